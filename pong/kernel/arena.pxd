"""Where the parts of an arena are, and what they hold before the first use."""
from libc.stdint cimport uint32_t, uint64_t, uintptr_t

from pong.kernel.atomic cimport load_relaxed_u32, store_relaxed_u32
from pong.kernel.layout cimport (
    PONG_ACQUIRER, PONG_FREE, PONG_MAGIC, PONG_IDLE, PONG_RECEIVER_CLOSED,
    PONG_SENDER_CLOSED, pong_acquirer, pong_arena, pong_control, pong_header, pong_histogram, pong_link,
    pong_returned, pong_slot,
)


cdef inline uint64_t round_up(uint64_t size, uint64_t unit) noexcept nogil:
    return (size + unit - 1) // unit * unit


cdef inline uint64_t arena_locate(pong_arena* a, void* base, const pong_header* h, uint64_t page) noexcept nogil:
    """Point the members of ``a`` into a mapping at ``base`` with the geometry of ``h``; return its size in bytes.

    The geometry alone decides every offset, so a second process finds the same places from the header.
    """
    cdef uintptr_t start = <uintptr_t>base
    cdef uint64_t offset = sizeof(pong_header)
    a.base = <unsigned char*>base
    a.header = <pong_header*>base
    a.acquirer = <pong_acquirer*>(start + offset)
    offset += sizeof(pong_acquirer)
    a.returned = <pong_returned*>(start + offset)
    offset += sizeof(pong_returned)
    a.control = <pong_control*>(start + offset)
    offset += sizeof(pong_control)
    a.slots = <pong_slot*>(start + offset)
    offset += h.slots * sizeof(pong_slot)
    a.links = <pong_link*>(start + offset)
    offset += h.max_links * sizeof(pong_link)
    a.rings = <uint32_t*>(start + offset)
    offset += h.max_links * h.ring_stride * sizeof(uint32_t)
    a.hold = <pong_histogram*>(start + offset)
    offset += sizeof(pong_histogram)
    a.latency = <pong_histogram*>(start + offset)
    offset += h.max_links * sizeof(pong_histogram)
    offset = round_up(offset, page) + h.stagger
    a.samples = <unsigned char*>(start + offset)
    offset = round_up(offset + h.count * h.stride, page)
    a.overflow_samples = <unsigned char*>(start + offset)
    return offset + h.overflow * h.overflow_stride


cdef inline void arena_begin(pong_arena* a, const pong_header* h, uint64_t start) noexcept nogil:
    """Write the header and everything that is not zero at first.

    Positions of rings and generations of owner words begin at ``start`` (0, except in tests of wrap-around).
    """
    cdef uint64_t i
    cdef uint32_t entry = <uint32_t>((start >> h.ring_bits) << h.ring_bits)
    a.header[0] = h[0]
    a.header.magic = 0
    for i in range(h.slots):
        a.slots[i].owner = start << 16 | PONG_ACQUIRER << 4 | PONG_FREE
        a.acquirer.mask[i >> 6] |= <uint64_t>1 << (i & 63)
        a.acquirer.filled |= <uint64_t>1 << (i >> 6)
    for i in range(h.max_links):
        a.links[i].sender.head = start
        a.links[i].receiver.tail = start
        a.links[i].control.fd = -1
        a.links[i].control.closed = PONG_SENDER_CLOSED | PONG_RECEIVER_CLOSED | PONG_IDLE
    # An entry that has not been written yet must not look like one of the first lap: it carries the lap before.
    for i in range(<uint64_t>h.max_links * h.ring_stride):
        a.rings[i] = entry
    a.header.magic = PONG_MAGIC


cdef inline void touch(uintptr_t start, uintptr_t end, uint64_t page) noexcept nogil:
    """Write to every page between two addresses, without changing what it holds."""
    cdef uintptr_t at = start
    while at < end:
        store_relaxed_u32(<uint32_t*>at, load_relaxed_u32(<uint32_t*>at))
        at = (at // page + 1) * page


cdef inline void arena_prefault(pong_arena* a, uint64_t page) noexcept nogil:
    """Touch every page that a real-time thread may reach; the overflow samples stay untouched."""
    # Without time stamps nobody writes a histogram.
    touch(<uintptr_t>a.base, <uintptr_t>(a.samples if a.header.timed else <unsigned char*>a.hold), page)
    touch(<uintptr_t>a.samples, <uintptr_t>a.samples + a.header.count * a.header.stride, page)


cdef inline unsigned char* slot_samples_rt(const pong_arena* a, uint32_t slot) noexcept nogil:
    """Return the address of a slot's first sample."""
    if slot < a.header.count:
        return a.samples + slot * a.header.stride
    return a.overflow_samples + (slot - a.header.count) * a.header.overflow_stride


cdef inline bint arena_wiped(const pong_arena* a) noexcept nogil:
    """Tell whether this is a forked child's arena: the kernel has replaced it with zeros."""
    return a.header.magic != PONG_MAGIC
