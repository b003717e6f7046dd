"""A virtual device: a sound card made of memory."""
from libc.stdint cimport uint32_t

from pong._link cimport Link
from pong.kernel.platform cimport pong_thread, pong_thread_start_t
from pong.streams.device cimport Device
from pong.streams.virtual_loop cimport device


cdef class VirtualDevice(Device):
    cdef device d
    cdef Link capture_link, playback_link, feed_link, writer_link
    cdef object callback
    cdef object heard            # the device's own memory, as a callback sees it
    cdef object sounded
    cdef object calling          # the thread that is in the callback
    cdef pong_thread thread
    cdef pong_thread_start_t start_arguments
    cdef bint running

    cdef object set_input(self, object source)
    cdef object set_output(self, object sink, object output_format)
    cdef object set_clock(self, object samplerate, object callback_size, object speed, object latency, object prefill)
    cdef void ask(self, uint32_t what)
    cdef bint call(self, uint32_t frames)
    cdef int refuse_in_callback(self, str what) except -1
