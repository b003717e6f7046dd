"""Sound cards in Cython: threads without the GIL are a sender, and a receiver and a sender, of pong links."""
import os

from cpython.object cimport PyObject
from libc.stdint cimport uint32_t, uint64_t
from pong cimport (
    PONG_CLOSED, PONG_EMPTY, PONG_OK, pong_api, pong_buffer, pong_end, pong_format, pong_import,
)


cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_t:
        pass
    int pthread_create(pthread_t*, const void*, void* (*)(void*) noexcept nogil, void*) noexcept
    int pthread_join(pthread_t, void**) noexcept


cdef extern from "card.h" nogil:
    uint32_t card_frames(const pong_format* format, uint64_t n) noexcept
    void card_fill(pong_buffer* buffer, uint64_t n, uint32_t frames, uint64_t position, uint64_t lost) noexcept


cdef const pong_api* pong = pong_import()


ctypedef struct card:
    pong_end* end
    uint64_t callbacks           # to do
    bint waits                   # for a free buffer; otherwise what finds none is lost
    bint finishes
    int result
    uint64_t n                   # callbacks done
    uint64_t position
    uint64_t gap
    uint64_t sent
    uint64_t lost


cdef int callback(card* c) noexcept nogil:
    """Do one callback, as an audio library would make it."""
    cdef uint32_t frames = card_frames(pong.format_rt(c.end), c.n)
    cdef pong_buffer buffer
    cdef int result = pong.acquire_rt(c.end, &buffer)
    if result == PONG_OK:
        card_fill(&buffer, c.n, frames, c.position, c.gap)
        result = pong.send_rt(c.end, &buffer)
        if result == PONG_OK:
            c.gap = 0
            c.sent += 1
        else:
            pong.release_rt(c.end, &buffer)
    elif result == PONG_EMPTY and c.waits:
        return result
    if result != PONG_OK:
        c.gap += frames
        c.lost += frames
    c.position += frames
    c.n += 1
    return result


cdef void* run_card(void* argument) noexcept nogil:
    cdef card* c = <card*>argument
    c.result = PONG_OK
    while c.callbacks and c.result != PONG_CLOSED:
        c.result = callback(c)
        if c.result == PONG_EMPTY and c.waits:
            c.result = pong.wait(c.end, 60)
            if c.result == PONG_EMPTY:
                break
        else:
            c.callbacks -= 1
    if c.finishes:
        pong.finish_rt(c.end)
    return NULL


cdef class Card:
    """A sound card that records numbers: block by block into the link of a `pong.Sender`."""

    cdef card c
    cdef pthread_t thread

    def __init__(self, sender):
        self.c.end = pong.open_sender(<PyObject*>sender, 1)

    def start(self, callbacks, waits=False, finishes=False):
        """Start a thread that does some callbacks."""
        self.c.callbacks = callbacks
        self.c.waits = waits
        self.c.finishes = finishes
        cdef int error = pthread_create(&self.thread, NULL, run_card, &self.c)
        if error:
            raise OSError(error, os.strerror(error))

    def join(self, hold_gil=False):
        """Wait for the thread; return its last result, blocks sent and frames lost."""
        if hold_gil:
            pthread_join(self.thread, NULL)
        else:
            with nogil:
                pthread_join(self.thread, NULL)
        return self.c.result, self.c.sent, self.c.lost

    def close(self):
        """Close the end."""
        pong.close(self.c.end)
        self.c.end = NULL


ctypedef struct effect:
    pong_end* source
    pong_end* sink
    int result
    uint64_t done


cdef void* run_effect(void* argument) noexcept nogil:
    """Invert every sample of every block, in place, and count in its tag that it was here."""
    cdef effect* e = <effect*>argument
    cdef pong_buffer buffer
    cdef uint32_t* samples
    cdef uint32_t i
    while True:
        e.result = pong.recv_rt(e.source, &buffer)
        if e.result == PONG_EMPTY:
            e.result = pong.wait(e.source, 60)
            if e.result == PONG_OK:
                continue
        if e.result != PONG_OK:
            break
        samples = <uint32_t*>buffer.samples
        for i in range(buffer.block.frames * buffer.block.channels):
            samples[i] = ~samples[i]
        buffer.block.tag += 1
        e.result = pong.send_rt(e.sink, &buffer)
        if e.result != PONG_OK:
            pong.release_rt(e.source, &buffer)
            break
        e.done += 1
    pong.finish_rt(e.source)
    pong.finish_rt(e.sink)
    return NULL


cdef class Effect:
    """An effect: blocks of one pool come in by a `pong.Receiver` and go on by a `pong.Sender`."""

    cdef effect e
    cdef pthread_t thread

    def __init__(self, receiver, sender):
        self.e.source = pong.open_receiver(<PyObject*>receiver)
        try:
            self.e.sink = pong.open_sender(<PyObject*>sender, 0)
        except BaseException:
            pong.close(self.e.source)
            raise
        cdef int error = pthread_create(&self.thread, NULL, run_effect, &self.e)
        if error:
            pong.close(self.e.source)
            pong.close(self.e.sink)
            raise OSError(error, os.strerror(error))

    def close(self):
        """Wait for the thread, which runs until an end of its links is closed; return its last result and blocks."""
        with nogil:
            pthread_join(self.thread, NULL)
        pong.close(self.e.source)
        pong.close(self.e.sink)
        return self.e.result, self.e.done


def import_pong():
    """Import the table anew."""
    pong_import()
