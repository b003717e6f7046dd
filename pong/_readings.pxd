"""Reading an arena's meters."""
from pong.kernel.layout cimport pong_arena


cdef object pool_stats(pong_arena* a, dict baseline)
cdef dict pool_counters(pong_arena* a)
