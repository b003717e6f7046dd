"""What the devices of all libraries share: the stream's state, its links, and who ends it."""
from libc.stdint cimport uint32_t

from pong._link cimport Link
from pong.kernel.platform cimport pong_thread, pong_thread_start_t
from pong.streams.callback cimport native_stream
from pong.streams.device cimport Device


cdef class NativeDevice(Device):
    cdef native_stream* s        # in memory of its own: the library may still call when this object is gone
    cdef readonly double samplerate
    cdef readonly double stall_timeout
    cdef Link capture_link, playback_link
    cdef tuple last              # readings
    cdef pong_thread watcher, stopper
    cdef pong_thread_start_t watching, stopping
    cdef uint32_t halted         # how far the library has got with stopping; who waits for that sleeps on it
    cdef bint at_once            # how it is to stop it
    cdef bint watched            # the watcher is to be joined
    cdef bint ended              # everything was given back
    cdef bint starting           # the library has been asked to start, and has not come back
    cdef public bint opened      # the library may call, and is to be stopped

    cdef native_stream* make_state(self, size_t size) except NULL
    cdef bint begun(self) except -1
    cdef object end(self, bint at_once)
    cdef object stop_library(self, bint at_once)
    cdef object latencies(self, latency)
    cdef tuple read(self)
