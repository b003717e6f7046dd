"""What a callback with one piece of memory per channel does to blocks, without a device."""
cimport cython
from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free

from pong._link cimport Receiver, Sender
from pong.streams.base cimport capture_end_rt
from pong.streams.callback cimport capture_planes_rt, native_stream, playback_planes_rt
from pong.streams.ends cimport set_capture, set_playback


cdef class Planes:
    """The state of a stream, fed by hand: its links are native here only for what the test does with them."""

    cdef native_stream* s
    cdef list kept

    def __cinit__(self, Sender sender, Receiver receiver):
        self.s = <native_stream*>calloc(1, sizeof(native_stream))
        if self.s == NULL:
            raise MemoryError
        self.s.seconds_per_frame = 1 / 8000.0
        self.kept = [sender, receiver]
        if sender is not None:
            self.kept.append(set_capture(&self.s.capture, sender.link, 0, 8000, None))
            self.s.input_bytes = self.s.capture.a.header.frame_bytes
        if receiver is not None:
            self.kept.append(set_playback(&self.s.playback, receiver.link, 8000, None))
            self.s.output_bytes = self.s.playback.a.header.frame_bytes

    def __dealloc__(self):
        free(self.s)

    @cython.boundscheck(False)   # of no frames there is no first one
    def capture(self, float[:, ::1] planes, double time):
        """Deliver channels of shape (channels, frames); return whether the link is open."""
        cdef const float* places[8]
        cdef Py_ssize_t c
        cdef uint32_t number = planes.shape[1]
        for c in range(planes.shape[0]):
            places[c] = &planes[c, 0]
        return capture_planes_rt(self.s, places, 0, number, time)

    @cython.boundscheck(False)
    def play(self, float[:, ::1] planes, uint32_t at):
        """Fill channels from place ``at`` on; return the place after the last frame that was there."""
        cdef float* places[8]
        cdef Py_ssize_t c
        cdef uint32_t number = planes.shape[1]
        for c in range(planes.shape[0]):
            places[c] = &planes[c, 0]
        return playback_planes_rt(self.s, places, at, number)

    def end(self):
        """Send the last, short block."""
        return capture_end_rt(&self.s.capture)
