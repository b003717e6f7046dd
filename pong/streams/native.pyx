"""`NativeDevice`: what the devices of all libraries share.

A library's device is opened, started and stopped by a class of its own (see `portaudio`, `jack`, `miniaudio`), which
gives the library a C function as its callback and the address of the stream's state.
"""
import threading

from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.math cimport NAN
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from pong._arena cimport as_count
from pong._link cimport Receiver, Sender
from pong.errors import StreamError
from pong.kernel.atomic cimport (
    fetch_or_seq_cst_u32, load_relaxed_u32, load_relaxed_u64, load_seq_cst_u32, store_seq_cst_u32,
)
from pong.kernel.platform cimport pong_now, pong_thread_join, pong_thread_start, pong_wait, pong_wake_all
from pong.streams import at_exit
from pong.streams.base cimport CAPTURES, PLAYS, STOP
from pong.streams.callback cimport CHANGED, GONE, STALLED, native_stream, shut_down, watch
from pong.streams.device cimport Device
from pong.streams.ends cimport (
    PONG_DEVICE_TIME, as_number, bind_links, open_end, set_capture, set_playback, unbind,
)

# How long a library may take to stop its device, in seconds, before it is taken to hang: a working one has played what
# it holds by then, and one whose server is gone may never come back.
TIME_TO_STOP = 3.0
TIME_AFTER_FAILURE = 0.5
# How long Python may keep everybody waiting before the library is even asked.
TIME_TO_ASK = 60.0

cdef dict FAILURES = {
    STALLED: "the device has stalled: no callback came for {:g} s",
    GONE: "the device or its server is gone",
    CHANGED: "the server's sample rate has changed",
}


cdef enum:
    ASKED = 1     # the library has been called
    HALTED = 2    # and has come back
    GIVEN_UP = 4  # or was taken to hang before that


cdef void run_watch(void* argument) noexcept nogil:
    """The native thread that sees a stall: Python itself may be what stalls."""
    watch(<native_stream*>argument)


cdef void run_halt(void* argument) noexcept with gil:
    """The native thread that stops a library: where it hangs, this one and what it needs stay for ever."""
    cdef NativeDevice device = <NativeDevice>argument
    cdef bint stopped = False
    # N15: pairs with N16. From here on it is the library that takes its time, not Python.
    fetch_or_seq_cst_u32(&device.halted, ASKED)
    pong_wake_all(&device.halted, False)
    try:
        device.halt(device.at_once)
        stopped = True
    except Exception as error:
        device._error = StreamError(f"the device could not be stopped: {error}")
    # N11: pairs with N12. All that `halt` did is done. One of both sees what the other has said.
    if fetch_or_seq_cst_u32(&device.halted, HALTED) & GIVEN_UP and stopped:
        # It was only very slow. Who gave it up has done so when the lock is free.
        with device.closing:
            device.opened = False
            device.take_back()
    pong_wake_all(&device.halted, False)
    Py_DECREF(device)


cdef class NativeDevice(Device):
    """A device that a library calls back for; a subclass knows the library.

    Until it is closed the native stream is the acquiring side of ``capture``'s pool, the link's sender, and the
    receiver of ``playback``'s link: Python may be none of these.

    Parameters
    ----------
    samplerate : float
        Frames per second.
    capture : Sender, optional
        Where captured blocks go; the device acquires them from the link's pool.
    playback : Receiver, optional
        Where blocks to play come from.
    prefill : int, optional
        Frames of silence to play before those of the program; none unless given.
    stall_timeout : float
        Seconds without a callback after which the stream has failed.
    process, process_output : optional
        Native functions that run on each block before it is sent, and before it is played: see `Chain`.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of range, or a pool is planar and the library's frames are interleaved.
    ClosedError
        An end of a link is closed.

    Notes
    -----
    Thread: any. Blocks: no. Allocates: the state, and a native thread at `start`.
    """

    # Whether pools may be planar.
    planar = False

    def __cinit__(self, *_, **__):
        self.make_state(sizeof(native_stream))

    def __dealloc__(self):
        # Leaked where the library may still call: then it was never seen to stop.
        if not self.opened:
            free(self.s)

    cdef native_stream* make_state(self, size_t size) except NULL:
        """Make the state, with room for what a subclass needs behind it."""
        if self.closing is not None:
            raise RuntimeError("a device is made once")
        free(self.s)
        self.s = <native_stream*>calloc(1, size)
        if self.s == NULL:
            raise MemoryError("no memory for the state of a stream")
        self.over = &self.s.over
        return self.s

    def __init__(
        self, samplerate, *, Sender capture=None, Receiver playback=None, prefill=None, stall_timeout=2.0,
        process=None, process_output=None,
    ):
        cdef native_stream* s = self.s
        if self.closing is not None:
            raise RuntimeError("a device is made once")
        if capture is None and playback is None:
            raise ValueError("a device needs capture, playback or both")
        self.samplerate = as_number(samplerate, "samplerate", "more than 0", 0, False)
        self.stall_timeout = as_number(stall_timeout, "stall_timeout", "more than 0", 0, False)
        s.prefill = 0 if prefill is None else as_count(prefill, "prefill", 0, 1 << 40)
        if s.prefill and playback is None:
            raise ValueError("prefill needs playback")
        if process is not None and capture is None or process_output is not None and playback is None:
            raise ValueError("process needs capture, process_output needs playback")
        self.capture_link = None if capture is None else open_end(capture, "sender", self.planar)
        self.playback_link = None if playback is None else open_end(playback, "receiver", self.planar)
        self.ends = [end for end in (capture, playback) if end is not None]
        self.kept = []
        s.samplerate = self.samplerate
        s.seconds_per_frame = 1 / s.samplerate
        s.stall_after = <uint64_t>(min(self.stall_timeout, 1e6) * 1e9)
        s.expected = NAN
        if capture is not None:
            s.parts |= CAPTURES
            s.hears = True
            self.kept.append(
                set_capture(&s.capture, self.capture_link, PONG_DEVICE_TIME, s.samplerate, process)
            )
            s.input_bytes = s.capture.a.header.frame_bytes
        if playback is not None:
            s.parts |= PLAYS
            s.sounds = True
            self.kept.append(set_playback(&s.playback, self.playback_link, s.samplerate, process_output))
            s.output_bytes = s.playback.a.header.frame_bytes
        self.last = (0.0, 0.0, 0.0)
        # A signal handler may close what is being closed.
        self.closing = threading.RLock()

    def address(self):
        """Return the address of the stream's state, for the library's callback."""
        return <size_t>self.s

    def begin(self):
        """Start the library's device, which is open: it calls from now on."""
        raise NotImplementedError

    def halt(self, at_once):
        """Stop and close the library's device, after it has played what it holds unless ``at_once``; it may hang."""
        raise NotImplementedError

    def readings(self):
        """Return the device's time in seconds, its latency in seconds (a pair for two directions), and its load."""
        raise NotImplementedError

    cdef object latencies(self, latency):
        """Return the latency of each direction: a pair for two."""
        return (latency, latency) if self.s.parts == CAPTURES | PLAYS else latency

    def give_up(self):
        """Do what must be done where the library hangs in `halt`."""

    def take_back(self):
        """Undo what `give_up` has done: the library has come back after all."""

    def start(self):
        """Start the device.

        Where the library refuses, or it is closed meanwhile, it cannot be started again; links that the program has
        given stay open for another device.

        Raises
        ------
        RuntimeError
            It has been started before, or another stream acquires from the pool or uses the link.
        ClosedError
            An end of a link is closed.
        StreamError
            The library refuses.
        OSError
            The system gives no thread.

        Notes
        -----
        Thread: any. Blocks: for the library. Allocates: a native thread.
        """
        cdef int error
        with self.closing:
            if self.started or self.ended:
                raise RuntimeError("a device can be started once")
            if self.wiped():
                raise RuntimeError("a forked child has no part in its parent's device")
            self.bound = bind_links((self.capture_link,), (self.playback_link,))
            self.started = self.starting = True
            at_exit.add(self)
        try:
            self.begin()
        except BaseException:
            # The library may have called all the same. What the program has given stays open, for another device.
            with nogil:
                shut_down(self.s, 0, False)
            self.ends = []
            self.begun()
            self.close()
            raise
        if not self.begun():
            return
        with self.closing:
            if self.ended:
                return
            self.watching.run = run_watch
            self.watching.argument = self.s
            error = pong_thread_start(&self.watcher, &self.watching)
            self.watched = not error
        if error:
            self.close()
            raise OSError(error, "cannot start the thread that watches the device")

    cdef bint begun(self) except -1:
        """Note that the library has come back; False: the device was closed meanwhile, which left the library open."""
        with self.closing:
            self.starting = False
            if self.ended:
                self.stop_library(True)
            return not self.ended

    def step(self, callbacks=1):
        """Raise: only a virtual device is moved by steps."""
        raise RuntimeError("only a virtual device with speed=None is moved by steps")

    def stop(self):
        """Ask the device to end, and do not wait: it hears no more, and plays what has been sent if senders close.

        Notes
        -----
        Thread: any, a signal handler too. Blocks: no. Allocates: no.
        """
        # N7: pairs with N8. The next callback obeys.
        store_seq_cst_u32(&self.s.asked, STOP)
        if not self.s.parts & PLAYS:
            # Nothing is left to be played: no callback needs to be awaited.
            self.abort()

    def abort(self):
        """End the device at once: what has been sent to it is not played.

        Notes
        -----
        Thread: any, a signal handler too. Blocks: for the end of a callback. Allocates: no.
        """
        if self.started and not self.wiped():
            with nogil:
                shut_down(self.s, 0)

    def close(self):
        """End the device at once, and give its links and the library's device back; closing twice changes nothing.

        What has been captured can still be received; then the receiver gets `ClosedError`.

        Notes
        -----
        Thread: any. Blocks: until the library has stopped the device, or is taken to hang. Allocates: a thread.
        """
        if self.closing is None or self.wiped():
            return
        self.abort()
        self.end(True)
        at_exit.discard(self)

    cdef int end_wait(self) except -1:
        self.end(False)
        return 0

    cdef object end(self, bint at_once):
        """Give everything back, once, the stream being over or never started."""
        with self.closing:
            if self.ended:
                return
            if not self.started:
                self.ended = True
                if self.opened:
                    self.stop_library(True)
                return
            if self.watched:
                # Before anything that a signal may interrupt: a thread is joined once.
                self.watched = False
                with nogil:
                    pong_thread_join(self.watcher)
            # Also where the stream has ended by itself: from here on no callback touches more than the gate. Before the
            # library ends its thread, which may still be in the callback that has said so.
            with nogil:
                shut_down(self.s, 0)
            try:
                self.read()
            except Exception:
                # They would only be told: the stream ends without them.
                self.last = (0.0, 0.0, 0.0)
            if self.ended:
                # A signal handler has closed it in the middle of that.
                return
            self.ended = True
            unbind(self.bound)
            for each in self.ends:
                each.close()
            self.capture_link = self.playback_link = None
            if not self.starting:
                # Unless at once, what the library holds is played meanwhile.
                self.stop_library(at_once or self.s.failure != 0)

    cdef object stop_library(self, bint at_once):
        """Let the library stop its device, in a thread of its own, because it may hang.

        The thread is none of Python's, which makes none any more when the interpreter ends (CPython 3.12).
        """
        # A library may wait for several of the device's callbacks.
        cdef double patience = TIME_TO_STOP + 8 * load_relaxed_u64(&self.s.most) / self.samplerate
        cdef uint64_t limit = <uint64_t>(1e9 * (TIME_AFTER_FAILURE if self.s.failure else patience))
        cdef uint64_t end = pong_now() + <uint64_t>(1e9 * TIME_TO_ASK)
        cdef uint32_t seen = 0, now
        self.at_once = at_once
        self.stopping.run = run_halt
        self.stopping.argument = <void*>self
        Py_INCREF(self)
        if pong_thread_start(&self.stopper, &self.stopping):
            # Better never stopped, and kept for ever, than freed under the library.
            self.give_up()
            return
        with nogil:
            while not seen & HALTED and pong_now() < end:
                pong_wait(&self.halted, seen, end, False)
                # N16: pairs with N15. The library's time begins.
                now = load_seq_cst_u32(&self.halted)
                if now != seen:
                    end = pong_now() + limit
                seen = now
        # N12: pairs with N11. It may have come back while this thread waited for the GIL.
        if fetch_or_seq_cst_u32(&self.halted, GIVEN_UP) & HALTED:
            with nogil:
                pong_thread_join(self.stopper)
            self.opened = False
        else:
            self.give_up()

    cdef tuple read(self):
        """Return the library's readings, which are the last ones once the device is closed, or does not answer."""
        if self.opened and not self.ended and not self.s.failure and not self.wiped():
            # Whoever closes it waits until the library has answered.
            with self.closing:
                if not self.ended:
                    self.last = self.readings()
        return self.last

    @property
    def error(self):
        """What has ended it before its time, or None."""
        cdef uint32_t failure = load_relaxed_u32(&self.s.failure)
        if failure:
            return StreamError(FAILURES[failure].format(self.stall_timeout))
        return self._error

    @property
    def lost(self):
        """Frames lost so far because no buffer was free or the device lost them; exact once it has ended."""
        return load_relaxed_u64(&self.s.capture.lost_ever)

    @property
    def lost_by_device(self):
        """Those of the lost frames that the device or its server lost."""
        return load_relaxed_u64(&self.s.capture.skipped)

    @property
    def underflow(self):
        """Frames of silence played so far because nothing had been sent; exact once it has ended."""
        return load_relaxed_u64(&self.s.playback.underflow)

    @property
    def position(self):
        """Frames of the device's callbacks so far, lost ones among them; exact once it has ended."""
        return load_relaxed_u64(&self.s.position)

    @property
    def time(self):
        """Seconds on the clock of `Buffer.time`."""
        return self.read()[0]

    @property
    def latency(self):
        """Seconds, as the library tells; of the input and the output as a pair."""
        return self.read()[1]

    @property
    def cpu_load(self):
        """The share of the time that callbacks take, as the library measures it: from 0 to 1."""
        return self.read()[2]

    @property
    def callbacks(self):
        """Callbacks so far."""
        return load_relaxed_u64(&self.s.callbacks)

    @property
    def xruns(self):
        """How often the device has told of a loss."""
        return load_relaxed_u64(&self.s.xruns)
