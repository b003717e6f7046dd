"""The pool: geometry, policy, acquire."""
from libc.stdint cimport int32_t, uint32_t, uint64_t

from pong._arena cimport Arena
from pong._views cimport Views
from pong.kernel.layout cimport pong_arena


cdef object sample_dtype(object dtype)


cdef class BufferPool:
    cdef Arena arena
    cdef Views views
    cdef pong_arena* a
    cdef object _samplerate
    cdef bint allocate           # take overflow slots when the pool is empty
    cdef bint warning            # a warning is on its way: whatever runs meanwhile gives no other
    cdef bint episode            # overflow slots are, or were a moment ago, in use
    cdef object baseline         # what the counters said at the last stats(reset=True)
    cdef object __weakref__

    cdef int check_open(self) except -1
    cdef int refuse_acquire(self) except -1
    cdef int32_t take_or_wait(self, uint64_t deadline, uint64_t* word) except -2
    cdef int32_t take(self, uint32_t limit, uint64_t* word) except -2
    cdef int32_t wait(self, uint64_t deadline, uint64_t* word) except -2
    cdef int32_t take_overflow(self, uint64_t* word) except -2
    cdef void end_episode(self) noexcept
    cdef str where_slots_are(self)
