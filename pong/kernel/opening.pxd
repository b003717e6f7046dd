"""Opening and closing a link: flags in the arena, never an entry of the ring."""
from libc.stdint cimport int32_t, uint32_t
from libc.string cimport memset

from pong.kernel.atomic cimport fetch_or_seq_cst_u32, load_seq_cst_u32, store_relaxed_u64, store_seq_cst_u32
from pong.kernel.layout cimport PONG_IDLE, pong_arena, pong_histogram, pong_link
from pong.kernel.wait cimport notify_link_rt, notify_pool_rt


cdef inline int32_t link_find_idle(pong_arena* a) noexcept nogil:
    """Return a link that nobody holds, or -1."""
    cdef uint32_t link
    for link in range(a.header.max_links):
        if link_closed(a, link) & PONG_IDLE:
            return <int32_t>link
    return -1


cdef inline void link_begin(pong_arena* a, uint32_t link) noexcept nogil:
    """Open an idle link: its counters start anew, its positions go on."""
    cdef pong_link* place = &a.links[link]
    store_relaxed_u64(&place.sender.sent, 0)
    store_relaxed_u64(&place.sender.dropped, 0)
    store_relaxed_u64(&place.receiver.received, 0)
    memset(&a.latency[link], 0, sizeof(pong_histogram))
    place.control.fd = -1
    place.control.opened += 1
    # C8: pairs with C3. Who sees the link open sees its counters begin.
    store_seq_cst_u32(&place.control.closed, 0)


cdef inline void link_close(pong_arena* a, uint32_t link, uint32_t side) noexcept nogil:
    """Say that one side of a link is closed, and wake its receivers."""
    # C2: pairs with C1, C3, C12. Set before the receiver drains: a later send sees it, an earlier one is drained.
    fetch_or_seq_cst_u32(&a.links[link].control.closed, side)
    notify_link_rt(a, &a.links[link])
    # A native sender may be waiting for a slot that it would send here.
    notify_pool_rt(a)


cdef inline void link_end(pong_arena* a, uint32_t link) noexcept nogil:
    """Say that nobody holds an end of the link any more."""
    # C9: pairs with C3. Whoever opens it again finds it drained.
    fetch_or_seq_cst_u32(&a.links[link].control.closed, PONG_IDLE)


cdef inline uint32_t link_closed(pong_arena* a, uint32_t link) noexcept nogil:
    """Return which sides are closed; looked at before the ring, it never hides a message that was sent before."""
    # C3: pairs with C2, C8, C9. What the sender published before it closed is visible now.
    return load_seq_cst_u32(&a.links[link].control.closed)
