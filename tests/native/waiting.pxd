"""Waiting without the GIL for what the kernel's event counts announce, and blocks whose every byte is known."""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from pong.kernel.arena cimport slot_samples_rt
from pong.kernel.atomic cimport load_acquire_u32, load_seq_cst_u32, store_seq_cst_u32
from pong.kernel.layout cimport pong_arena
from pong.kernel.opening cimport link_closed
from pong.kernel.platform cimport ETIMEDOUT, pong_now, pong_wait
from pong.kernel.transfer cimport acquire_rt, recv_rt
from pong.kernel.wait cimport notify_rt, prepare_wait

cdef enum:
    OVER = -1       # closed, and nothing is left
    STALLED = -2    # nothing happened for so long that a wake-up must have been lost
    PATIENCE = 60   # seconds
    SPINS = 2000    # looks before a thread sleeps, where the other one is about to answer


ctypedef struct Turn:
    uint32_t value
    uint32_t event


cdef inline uint64_t mix(uint64_t number) noexcept nogil:
    """Return 64 bits that depend on every bit of ``number``; test_stress.py says the same in NumPy."""
    number = number * <uint64_t>0x9E3779B97F4A7C15
    return number ^ number >> 29


cdef inline int64_t fill(pong_arena* a, uint32_t slot, uint64_t block) noexcept nogil:
    """Write every byte of a slot's samples from the block's number; return their sum."""
    cdef uint64_t* words = <uint64_t*>slot_samples_rt(a, slot)
    cdef uint64_t i, total = 0, number = a.header.blocksize * a.header.frame_bytes // 8
    for i in range(number):
        words[i] = mix(block << 16 | i)
        total += words[i]
    return <int64_t>total


cdef inline bint intact(pong_arena* a, uint32_t slot, uint64_t block) noexcept nogil:
    """Tell whether a slot's samples and tag are what `fill` made of them."""
    cdef uint64_t* words = <uint64_t*>slot_samples_rt(a, slot)
    cdef uint64_t i, total = 0, number = a.header.blocksize * a.header.frame_bytes // 8
    for i in range(number):
        if words[i] != mix(block << 16 | i):
            return False
        total += words[i]
    return a.slots[slot].tag == <int64_t>total


cdef inline bint sleep_on_event(pong_arena* a, uint32_t* event, uint32_t seen) noexcept nogil:
    return pong_wait(event, seen, pong_now() + <uint64_t>PATIENCE * 1_000_000_000, a.header.shared) != ETIMEDOUT


cdef inline int32_t acquire_waiting(pong_arena* a, uint64_t* word, uint64_t* sleeps) noexcept nogil:
    """Take a free slot, or OVER when the pool is closed."""
    cdef uint32_t seen
    cdef int32_t slot = acquire_rt(a, a.header.count, word)
    while slot < 0:
        seen = prepare_wait(&a.control.event)
        if load_seq_cst_u32(&a.control.closed):
            return OVER
        slot = acquire_rt(a, a.header.count, word)
        if slot < 0:
            sleeps[0] += 1
            if not sleep_on_event(a, &a.control.event, seen):
                return STALLED
    return slot


cdef inline int32_t recv_waiting(pong_arena* a, uint32_t link, uint64_t* word, uint64_t* sleeps) noexcept nogil:
    """Take the next message, or OVER when a side or the pool is closed and the ring is empty."""
    cdef uint32_t seen
    cdef bint over
    cdef int32_t slot = recv_rt(a, link, word)
    while slot < 0:
        seen = prepare_wait(&a.links[link].control.event)
        over = link_closed(a, link) or load_seq_cst_u32(&a.control.closed)
        slot = recv_rt(a, link, word)
        if slot < 0:
            if over:
                return OVER
            sleeps[0] += 1
            if not sleep_on_event(a, &a.links[link].control.event, seen):
                return STALLED
    return slot


cdef inline void give_turn(pong_arena* a, Turn* turn, uint32_t value) noexcept nogil:
    store_seq_cst_u32(&turn.value, value)
    notify_rt(a, &turn.event)


cdef inline bint await_turn(pong_arena* a, Turn* turn, uint32_t value) noexcept nogil:
    """Wait until the other thread has said ``value``; False when it never does."""
    cdef uint32_t seen
    for _ in range(SPINS):
        if load_acquire_u32(&turn.value) == value:
            return True
    while True:
        seen = prepare_wait(&turn.event)
        if load_seq_cst_u32(&turn.value) == value:
            return True
        if not sleep_on_event(a, &turn.event, seen):
            return False
