"""Event counts: a waiter says that it waits, looks again at everything it waits for, then sleeps.

Bit 0 of the word says that somebody waits; each wake-up changes the upper bits. A sender that finds bit 0
clear makes no system call.
"""
from libc.stdint cimport int32_t, uint32_t

from pong.kernel.atomic cimport cas_seq_cst_u32, fetch_or_seq_cst_u32, load_relaxed_u32, load_seq_cst_u32
from pong.kernel.layout cimport pong_arena, pong_link
from pong.kernel.platform cimport pong_event_signal, pong_wake_all


cdef inline bint notify_rt(pong_arena* a, uint32_t* event) noexcept nogil:
    """Wake all who sleep on ``event``, if any; return whether somebody waited."""
    # S1: pairs with S3. A waiter either set its bit before this load, or sees what was published before it.
    cdef uint32_t seen = load_seq_cst_u32(event)
    if not seen & 1:
        return False
    # Adding 1 clears bit 0 and carries into the upper bits. One try is enough: only another notifier can have
    # changed the word, and who waits anew after that looks again at what this caller has published.
    # S2: pairs with S3. The waiter's futex finds a changed word, or is woken.
    if cas_seq_cst_u32(event, seen, seen + 1):
        pong_wake_all(event, a.header.shared)
        return True
    return False


cdef inline void notify_pool_rt(pong_arena* a) noexcept nogil:
    """Wake those who wait for a free slot."""
    notify_rt(a, &a.control.event)


cdef inline void notify_link_rt(pong_arena* a, pong_link* link) noexcept nogil:
    """Wake the link's receivers: sleepers, and whoever selects on its file descriptor."""
    cdef int32_t fd
    if notify_rt(a, &link.control.event):
        fd = <int32_t>load_relaxed_u32(<uint32_t*>&link.control.fd)
        if fd >= 0:
            pong_event_signal(fd)


cdef inline uint32_t prepare_wait(uint32_t* event) noexcept nogil:
    """Say that somebody waits; return the word to sleep on. The caller looks again before it sleeps."""
    # S3: pairs with S1, S2. Whoever publishes after this sees the bit; what was published before, the waiter sees.
    return fetch_or_seq_cst_u32(event, 1) | 1
