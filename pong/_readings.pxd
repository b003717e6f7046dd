"""Reading an arena's meters."""
from libc.stdint cimport uint32_t

from pong.kernel.layout cimport pong_arena

ctypedef struct census:
    # Slots, by where they are (I3).
    uint32_t free                # in the free set and not pinned, overflow slots not among them
    uint32_t owned
    uint32_t queued
    uint32_t pinned
    uint32_t overflow_in_use


cdef object pool_stats(pong_arena* a, dict now, dict baseline)
cdef dict pool_counters(pong_arena* a)
cdef census take_census(pong_arena* a, uint32_t* queued_by_link) noexcept
