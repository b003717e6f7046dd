"""The buffers of one `Sender.send_many`."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from pong._buffer cimport Buffer
from pong._views cimport view_set


cdef class Batch:
    cdef Py_ssize_t number
    cdef uint32_t* slots
    cdef uint64_t* words         # the owner's, also after a move that was refused
    cdef int64_t* tags           # the new ones; the old ones once the buffers have left
    cdef view_set* taken

    cdef void leave(self, Py_ssize_t i, Buffer buf, bint tagged, bint with_message) noexcept
    cdef void come_back(self, Py_ssize_t i, Buffer buf) noexcept
    cdef void drop(self)


cdef tuple as_part(object item)
