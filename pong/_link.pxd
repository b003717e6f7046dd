"""A link and its two ends."""
from cpython.object cimport PyObject
from libc.stdint cimport uint32_t, uint64_t

from pong._buffer cimport Buffer
from pong._views cimport Views
from pong.kernel.layout cimport pong_arena, pong_link, pong_slot


cdef class Link:
    cdef pong_arena* a
    cdef pong_link* place
    cdef PyObject* views         # owned; out of the garbage collector's sight, so that it is there until the end
    cdef uint32_t index
    cdef uint32_t ended          # which sides were closed through this object
    cdef bint sends_natively     # a native stream sends, Python may not
    cdef bint receives_natively  # a native stream receives, Python may not
    cdef int read_fd
    cdef int write_fd
    cdef dict messages           # by slot, for the entries that carry one

    cdef int check_sender(self) except -1
    cdef int refuse_sender(self) except -1
    cdef void close_side(self, uint32_t side)
    cdef int begin_sending(self) except -1
    cdef int begin_receiving(self) except -1
    cdef void end_native(self, uint32_t side)
    cdef void tidy(self) noexcept
    cdef int refuse_receiver(self) except -1
    cdef int check_message(self) except -1
    cdef int forget(self, dict messages) except -1
    cdef void drain(self) noexcept
    cdef bint is_over(self) noexcept
    cdef bint take(self, Buffer buf)
    cdef bint waiting(self) noexcept
    cdef void rearm(self) noexcept


cdef class Sender:
    cdef Link link
    cdef object __weakref__

    cdef Link open_link(self)


cdef class Receiver:
    cdef Link link
    cdef object __weakref__

    cdef Link open_link(self)
    cdef Buffer take_until(self, uint64_t deadline)
    cdef int wait_and_take(self, Link link, Buffer buf, uint64_t deadline) except -1
