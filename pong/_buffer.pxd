"""The handle that owns one slot."""
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t

from pong._views cimport Views, view_set
from pong.kernel.layout cimport pong_arena, pong_slot


cdef class Buffer:
    cdef pong_arena* a
    cdef PyObject* views         # owned; out of the garbage collector's sight, so that it is there until the end
    cdef uint64_t word           # the owner word of this handle; 0 once detached
    cdef uint32_t slot
    cdef uint32_t limit          # frames may be set up to this
    cdef bint viewed             # `samples` has been asked for
    cdef object _message

    cdef pong_slot* header(self) except NULL
    cdef PyObject* open(self) except NULL
    cdef object fresh_view(self)
    cdef int check_sendable(self, Views views) except -1
    cdef view_set leave(self) noexcept
    cdef void come_back(self, view_set taken, uint64_t word) noexcept
    cdef int set_frames(self, uint32_t frames) except -1


cdef Buffer blank_buffer()
cdef void attach(Buffer buf, Views views, uint32_t slot, uint64_t word) noexcept
cdef int64_t as_tag(object tag) except? -1
