"""The ring of a link: 32-bit entries that carry (lap, slot).

The consumer tells a new entry by its lap and writes nothing into the ring. There are never more messages than
slots and a ring has room for all of them (I4), so there is no full check. An entry is overwritten one lap later at the
earliest; by then its slot, or another one, has come round through the free set, and the consumer is past it.
"""
from libc.stdint cimport uint32_t, uint64_t

from pong.kernel.atomic cimport load_seq_cst_u32, store_release_u32, store_seq_cst_u32
from pong.kernel.layout cimport pong_arena


cdef inline uint32_t* ring_entry_rt(pong_arena* a, uint32_t link, uint64_t position) noexcept nogil:
    """Return the place of a position in a link's ring."""
    cdef uint64_t place = position & ((<uint64_t>1 << a.header.ring_bits) - 1)
    return a.rings + <uint64_t>link * a.header.ring_stride + place


cdef inline uint32_t ring_lap_rt(const pong_arena* a, uint64_t position) noexcept nogil:
    """Return the lap of a position, as an entry carries it; laps start at 1."""
    cdef uint32_t bits = a.header.ring_bits
    return <uint32_t>((position >> bits) + 1) << bits


cdef inline void ring_fill_rt(pong_arena* a, uint32_t link, uint64_t position, uint32_t slot) noexcept nogil:
    """Write an entry behind one that is yet to be published: nobody looks at it before that one."""
    # E1: pairs with E3. Ordered before the first entry of the batch, which is written last.
    store_release_u32(ring_entry_rt(a, link, position), ring_lap_rt(a, position) | slot)


cdef inline void ring_publish_rt(pong_arena* a, uint32_t link, uint64_t position, uint32_t slot) noexcept nogil:
    """Write the entry that makes a message visible, and all that were filled behind it."""
    # E2: pairs with E3. The receiver that sees the entry sees the slot's header and samples.
    store_seq_cst_u32(ring_entry_rt(a, link, position), ring_lap_rt(a, position) | slot)


cdef inline bint ring_look_rt(pong_arena* a, uint32_t link, uint64_t position, uint32_t* slot) noexcept nogil:
    """Tell whether there is an entry at ``position``, and give its slot."""
    # E3: pairs with E1, E2. Sequentially consistent, because a waiter looks here after it has set its bit.
    cdef uint32_t entry = load_seq_cst_u32(ring_entry_rt(a, link, position))
    cdef uint32_t found = entry & ((<uint32_t>1 << a.header.ring_bits) - 1)
    slot[0] = found
    return entry - found == ring_lap_rt(a, position)
