"""The mapping behind a pool, and waiting on it."""
from libc.stdint cimport uint32_t, uint64_t

from pong.kernel.layout cimport pong_arena, pong_header


cdef extern from *:
    """
    #define PONG_NOW 0
    #define PONG_FOREVER UINT64_MAX
    """
    const uint64_t NOW "PONG_NOW"
    const uint64_t FOREVER "PONG_FOREVER"

cdef object ZERO

cdef enum counted:
    ARENAS
    LEASES
    HANDLES
    PINS
    LINKS
    COUNTED


cdef class Arena:
    cdef pong_arena a
    cdef uint64_t size


cdef Arena map_arena(pong_header* geometry, bint lock, uint64_t start)
cdef uint64_t parse_timeout(object timeout) except? 1


cdef inline uint64_t deadline_of(object timeout) except? 1:
    """Turn a timeout in seconds into a time of the monotonic clock: NOW for 0, FOREVER for None."""
    if timeout is None:
        return FOREVER
    if timeout is ZERO:
        # CPython keeps one object for each small integer; another 0 only takes the longer way.
        return NOW
    return parse_timeout(timeout)


cdef bint sleep_on(Arena arena, uint32_t* event, uint32_t seen, uint64_t deadline) except -1
cdef bint sleep_until(uint32_t* event, uint32_t seen, uint64_t deadline, bint shared=*) except -1
cdef uint64_t as_count(object value, str name, uint64_t least, uint64_t most) except? 0
cdef void balance_add(counted what, int number) noexcept nogil
