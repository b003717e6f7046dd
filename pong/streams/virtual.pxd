"""The virtual input: a native thread that plays an array into a link."""
from libc.stdint cimport uint32_t, uint64_t

from pong._link cimport Link
from pong._pool cimport BufferPool
from pong.kernel.platform cimport pong_thread, pong_thread_start_t
from pong.streams.base cimport capture_state


ctypedef struct player:
    capture_state capture
    const unsigned char* frames
    uint64_t number
    uint64_t frame_bytes
    uint32_t callback_size
    double seconds_per_frame
    double speed                 # 1: real time; 0: no clock
    uint32_t stop                # set by any thread, read by the player


cdef class VirtualInput:
    cdef player p
    cdef BufferPool pool
    cdef Link link
    cdef object sender
    cdef object array            # keeps the frames alive
    cdef pong_thread thread
    cdef pong_thread_start_t start_arguments
    cdef bint started            # or closed before: it cannot be started any more
    cdef bint running
    cdef object closing          # held while the thread is waited for

    cdef void join(self) noexcept
