"""A virtual device: a sound card made of memory."""
from libc.stdint cimport uint32_t

from pong._link cimport Link
from pong.kernel.platform cimport pong_thread, pong_thread_start_t
from pong.streams.virtual_loop cimport device


cdef class VirtualDevice:
    cdef device d
    cdef object __weakref__
    cdef Link capture_link, playback_link, feed_link, writer_link
    cdef list ends               # the program's ends of those links, closed with the device
    cdef list bound              # which sides of which links are the device's
    cdef list kept               # what the native thread uses
    cdef object callback
    cdef object heard            # the device's own memory, as a callback sees it
    cdef object sounded
    cdef object _error           # what the callback raised
    cdef object calling          # the thread that is in the callback
    cdef object closing          # held while the thread is waited for
    cdef pong_thread thread
    cdef pong_thread_start_t start_arguments
    cdef bint started            # or closed before: it cannot be started any more
    cdef bint running
    cdef int process             # where the thread is

    cdef object set_input(self, object source)
    cdef object set_output(self, object sink, object output_format)
    cdef object set_clock(self, object samplerate, object callback_size, object speed, object latency, object prefill)
    cdef int bind(self) except -1
    cdef void ask(self, uint32_t what)
    cdef bint call(self, uint32_t frames)
    cdef bint wiped(self)
    cdef int refuse_in_callback(self, str what) except -1
