"""The ends of links that a native stream takes."""
from pong._link cimport Link
from pong.streams.base cimport capture_state, playback_state
from pong.streams.process cimport Chain

cdef object as_number(object value, str name, str range, double least, bint least_too)
cdef Link open_end(object end, str name, bint planar=*)
cdef tuple format_of(Link link)
cdef int silence_of(object dtype)
cdef Chain set_capture(capture_state* c, Link link, int time_source, double samplerate, object process)
cdef Chain set_playback(playback_state* p, Link link, double samplerate, object process)
cdef list bind_links(tuple sending, tuple receiving)
cdef void unbind(list bound)

cdef extern from *:
    """
    #define PONG_MONOTONIC_TIME 1 /* places in Buffer.TIME_SOURCES */
    #define PONG_STREAM_TIME 2
    #define PONG_DEVICE_TIME 3
    """
    const int PONG_MONOTONIC_TIME
    const int PONG_STREAM_TIME
    const int PONG_DEVICE_TIME
