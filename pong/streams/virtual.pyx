"""A virtual device: a sound card made of memory, with a native thread that never takes the GIL for blocks of a pool.

It calls the same capture and playback functions as a real device's callback.
"""
import atexit
import math
import os
import sys
import threading
import weakref
from collections.abc import Sequence

import numpy as np

cimport cython
cimport numpy as cnp
from cpython.ref cimport Py_INCREF
from libc.math cimport isfinite
from libc.stdint cimport uint32_t, uint64_t

from pong._arena cimport NOW, as_count, deadline_of, sleep_until
from pong._link cimport Link, Receiver, Sender
from pong._pool cimport sample_dtype
from pong._views cimport Views
from pong.errors import ClosedError
from pong.kernel.arena cimport arena_wiped
from pong.kernel.atomic cimport load_relaxed_u64, store_relaxed_u32, store_seq_cst_u32
from pong.kernel.layout cimport PONG_RECEIVER_CLOSED, PONG_SENDER_CLOSED
from pong.kernel.platform cimport pong_now, pong_thread_hurry, pong_thread_join, pong_thread_start, pong_wake_all
from pong.kernel.wait cimport notify_link_rt, notify_pool_rt
from pong.streams.base cimport capture_state, playback_state
from pong.streams.virtual_loop cimport (
    ABORT, CALLS, CAPTURES, FED, PACED, PLAYS, STEPPED, STOP, UNPACED, WRITES, asked, device, finish,
    is_over, turn,
)

cnp.import_array()

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(object)

cdef extern from *:
    """
    #define PONG_STREAM_TIME 2 /* "stream" in Buffer.TIME_SOURCES */
    """
    const int PONG_STREAM_TIME

MAX_CALLBACK = 1 << 24

# Those whose thread runs: it must end before the interpreter does.
running_devices = weakref.WeakSet()


@atexit.register
def close_all():
    """End every device whose thread still runs."""
    for each in list(running_devices):
        try:
            each.close()
        except BaseException:
            # The others are still to be closed.
            sys.excepthook(*sys.exc_info())


cdef void run(void* argument) noexcept nogil:
    """The native thread: one turn is one callback of the device."""
    cdef device* d = <device*>argument
    if d.clock == PACED and d.speed <= 1:
        # As a sound card's thread. Any faster it might not sleep at all, and must not keep the others from running.
        pong_thread_hurry()
    while turn(d):
        pass
    finish(d)


cdef void run_with_calls(void* argument) noexcept with gil:
    """The native thread of a device that calls Python: known to the interpreter from its beginning to its end.

    Made anew for each callback, without the GIL, a thread state may be half in the interpreter's list when another
    thread forks (CPython 3.11), and the child hangs.
    """
    with nogil:
        run(argument)


cdef bint call_back(void* argument, uint32_t frames) noexcept with gil:
    """Let Python do a callback; False: it was the last."""
    cdef VirtualDevice self = <VirtualDevice>argument
    cdef bint going = self.call(frames)
    if Py_REFCNT(self) == 1:
        # Everybody else has dropped the device, and this thread cannot wait for its own end.
        going = False
        self.ask(ABORT)
        try:
            threading.Thread(target=self.close, daemon=True).start()
        except BaseException:
            # Better never freed than freed under its own thread.
            Py_INCREF(self)
    return going


cdef object as_number(object value, str name, str range, double least, bint least_too):
    """Return a finite number from ``least`` up, or raise an error that says the range."""
    if isinstance(value, (bool, str, bytes)) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{name} must be a number, not {value!r}")
    try:
        finite = math.isfinite(value)
    except OverflowError:
        # An int that no float can hold.
        finite = False
    if not finite or value < least or (value == least and not least_too):
        raise ValueError(f"{name} must be {range} and finite, not {value!r}")
    return value


cdef Link open_end(object end, str name):
    """Return the link of a `Sender` or `Receiver`, or raise because it is closed."""
    cdef Link link = (<Sender>end).link if isinstance(end, Sender) else (<Receiver>end).link
    if link is None or end.closed:
        raise ClosedError(f"the {name} is closed")
    return link


cdef object frames_of(object array, str name):
    """Return an array of frames as C-ordered memory of shape (frames, channels)."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be an ndarray or an end of a link, not {type(array).__name__}")
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or not array.shape[1]:
        raise ValueError(f"{name} must have shape (frames, channels), not {array.shape}")
    if array.dtype.hasobject or not array.dtype.isnative:
        raise TypeError(f"{name} must hold samples in native byte order, not {array.dtype}")
    return array


cdef object check_format(object is_one, object must_be, str what, str whose):
    if is_one != must_be:
        raise ValueError(
            f"{what} has {is_one[0]} channels of {is_one[1]}, but {whose} {must_be[0]} channels of {must_be[1]}"
        )


cdef tuple format_of(Link link):
    cdef Views views = <Views>link.views
    return views.channels, views.dtype


@cython.final
cdef class VirtualDevice:
    """A sound card made of memory: its input is an array or a feeder's, its output goes into an array or to a writer.

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
    source : ndarray or Receiver, optional
        What the device hears: frames of shape ``(frames, channels)``, or ``(frames,)`` for mono, that do not change
        meanwhile; or a link that a feeder sends them on.
    sink : ndarray or Sender, optional
        Where the device's output goes: an array, filled from its beginning, or a link to a writer; nowhere unless
        given.
    callback : callable, optional
        In place of ``capture`` and ``playback``, for comparison: called as ``callback(indata, outdata, frames,
        time, status)`` with the GIL, as `sounddevice` does. ``time`` is (time of the first frame heard, now, time of
        the first frame played) in seconds of the stream. ``indata`` and ``outdata`` are the same memory each time,
        or None.
    output_format : (int, dtype_like), optional
        Channels and dtype of a callback's ``outdata``; as ``sink`` unless given.
    callback_size : int or sequence of int
        Frames in each callback, used in turn. The last one is as short as what is left.
    speed : float or None
        1 for real time, another number for a multiple of it: with no free buffer frames are dropped, as by hardware.
        0 for no clock: the device waits for the program and nothing can be lost. None: only `step` moves it.
    latency : float
        Seconds that a callback may be late before the device, whose memory holds no more, loses frames.
    prefill : int
        Frames of silence to play before those of the program, with ``playback``.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of range, or formats differ.
    ClosedError
        An end of a link is closed.

    Notes
    -----
    While a feeder or a writer is behind, the device's clock stands still. The device's thread blocks all signals, and
    so does a program that a callback starts.
    Thread: any. Blocks: no. Allocates: a native thread at `start`.
    """

    def __init__(
        self, samplerate, *, Sender capture=None, Receiver playback=None, source=None, sink=None, callback=None,
        output_format=None, callback_size=128, speed=0, latency=0.1, prefill=0,
    ):
        if self.ends is not None:
            raise RuntimeError("a virtual device is made once")
        if callback is not None and not callable(callback):
            raise TypeError(f"callback must be callable, not {callback!r}")
        if (callback is None) == (capture is None and playback is None):
            raise ValueError("a device needs capture, playback or both; or else a callback")
        self.ends = []
        self.kept = []
        self.callback = callback
        if callback is not None:
            self.d.parts |= CALLS
            self.d.call = call_back
            self.d.object = <void*>self
        if capture is not None:
            self.capture_link = open_end(capture, "sender")
            self.ends.append(capture)
            self.d.parts |= CAPTURES
            set_capture(&self.d.capture, self.capture_link)
        if playback is not None:
            self.playback_link = open_end(playback, "receiver")
            self.ends.append(playback)
            self.d.parts |= PLAYS
            self.d.sounds = True
        self.set_clock(samplerate, callback_size, speed, latency, prefill)
        self.set_input(source)
        self.set_output(sink, output_format)
        self.process = os.getpid()
        self.closing = threading.Lock()

    cdef object set_clock(self, object samplerate, object callback_size, object speed, object latency, object prefill):
        """Take in the parameters of time."""
        self.d.seconds_per_frame = 1.0 / as_number(samplerate, "samplerate", "more than 0", 0, False)
        if not isfinite(self.d.seconds_per_frame):
            raise ValueError(f"samplerate must be great enough for a frame to end, not {samplerate!r}")
        if speed is None:
            self.d.clock = STEPPED
        else:
            self.d.speed = as_number(speed, "speed", "0 or more", 0, True)
            self.d.clock = PACED if self.d.speed else UNPACED
        self.d.latency = <uint64_t>(min(as_number(latency, "latency", "0 or more", 0, True), 1e6) * 1e9)
        self.d.prefill = as_count(prefill, "prefill", 0, 1 << 40)
        if self.d.prefill and not self.d.parts & PLAYS:
            raise ValueError("prefill needs playback: a callback makes its own silence")
        if not isinstance(callback_size, (Sequence, np.ndarray)) or isinstance(callback_size, (str, bytes)):
            callback_size = [callback_size]
        if not len(callback_size):
            raise ValueError("callback_size must name one size at least")
        sizes = np.array([as_count(size, "callback_size", 1, MAX_CALLBACK) for size in callback_size], "uint32")
        self.kept.append(sizes)
        self.d.sizes = <const uint32_t*>cnp.PyArray_DATA(sizes)
        self.d.sizes_number = len(sizes)
        self.d.most = sizes.max()

    cdef object set_input(self, object source):
        """Take in what the device hears."""
        if source is None:
            if self.d.parts & CAPTURES:
                raise ValueError("capture needs a source")
            self.d.generates = self.d.parts & CALLS != 0
            return
        if not self.d.parts & (CAPTURES | CALLS):
            raise ValueError("a source needs capture, or a callback")
        if isinstance(source, Receiver):
            self.feed_link = open_end(source, "feeder's receiver")
            self.ends.append(source)
            self.d.parts |= FED
            set_playback(&self.d.feed, self.feed_link, 0)
            channels, dtype = format_of(self.feed_link)
        else:
            source = np.ascontiguousarray(frames_of(source, "source"))
            channels, dtype = source.shape[1], source.dtype
            self.kept.append(source)
            self.d.source = <const unsigned char*>cnp.PyArray_DATA(source)
            self.d.source_frames = len(source)
        if self.capture_link is not None:
            check_format((channels, dtype), format_of(self.capture_link), "source", "the pool of capture has")
        self.heard = np.zeros((self.d.most, channels), dtype)
        self.d.input = <unsigned char*>cnp.PyArray_DATA(self.heard)
        self.d.input_bytes = channels * dtype.itemsize
        self.d.hears = True

    cdef object set_output(self, object sink, object output_format):
        """Take in where the device's output goes."""
        if isinstance(sink, Sender):
            self.writer_link = open_end(sink, "writer's sender")
            self.ends.append(sink)
            self.d.parts |= WRITES
            set_capture(&self.d.writer, self.writer_link)
            found = format_of(self.writer_link)
        elif sink is not None:
            array = frames_of(sink, "sink")
            if not array.flags.c_contiguous or not array.flags.writeable:
                raise ValueError("sink must be writeable and in C order")
            self.kept.append(array)
            self.d.sink = <unsigned char*>cnp.PyArray_DATA(array)
            self.d.sink_frames = len(array)
            found = array.shape[1], array.dtype
        else:
            found = None
        if self.playback_link is not None:
            if output_format is not None:
                raise ValueError("output_format goes with a callback: with playback the pool says it")
            channels, dtype = format_of(self.playback_link)
        elif output_format is not None or found is not None:
            channels, dtype = found if output_format is None else output_format
            channels, dtype = as_count(channels, "channels", 1, 1024), sample_dtype(dtype)
            if not self.d.parts & CALLS:
                raise ValueError("an output needs playback, or a callback")
        else:
            return
        if found is not None:
            check_format(found, (channels, dtype), "sink", "the output has")
        # Silence is the middle of the range: 0 but for unsigned bytes (PortAudio's paUInt8 says the same).
        self.d.silence = 0x80 if dtype == np.uint8 else 0
        if self.playback_link is not None:
            set_playback(&self.d.playback, self.playback_link, self.d.silence)
        self.sounded = np.zeros((self.d.most, channels), dtype)
        self.d.output = <unsigned char*>cnp.PyArray_DATA(self.sounded)
        self.d.output_bytes = channels * dtype.itemsize

    cdef int bind(self) except -1:
        """Become what Python may not be meanwhile: acquirer of pools, sender and receiver of links."""
        cdef Link link
        cdef list done = []
        try:
            for link in (self.capture_link, self.writer_link):
                if link is not None:
                    if link.a.control.bound or link.sends_natively:
                        raise RuntimeError("another stream acquires from the pool, or sends on the link")
                    link.begin_sending()
                    link.a.control.bound = 1
                    done.append((link, PONG_SENDER_CLOSED))
            for link in (self.playback_link, self.feed_link):
                if link is not None:
                    link.begin_receiving()
                    done.append((link, PONG_RECEIVER_CLOSED))
        except BaseException:
            unbind(done)
            raise
        self.bound = done
        for link, _ in done:
            # Whoever waits in Python for what is now the device's is told.
            notify_pool_rt(link.a)
            notify_link_rt(link.a, link.place)
        return 0

    def start(self):
        """Start the device.

        Raises
        ------
        RuntimeError
            It has been started before, or another stream acquires from the pool or uses the link.
        ClosedError
            An end of a link is closed.
        OSError
            The system gives no thread.

        Notes
        -----
        Thread: any. Blocks: no. Allocates: a native thread.
        """
        cdef int error = 0
        if self.closing is None or self.started:
            raise RuntimeError("a virtual device can be started once")
        if self.wiped():
            raise RuntimeError("a forked child has no part in its parent's device")
        self.bind()
        self.d.began = pong_now()
        if self.d.clock != STEPPED:
            self.start_arguments.run = run_with_calls if self.d.parts & CALLS else run
            self.start_arguments.argument = &self.d
            error = pong_thread_start(&self.thread, &self.start_arguments)
        if error:
            unbind(self.bound)
            raise OSError(error, "cannot start the thread of the virtual device")
        self.running = self.started = True
        running_devices.add(self)

    def step(self, callbacks=1):
        """Do callbacks of a device whose speed is None, in the calling thread.

        Parameters
        ----------
        callbacks : int
            How many, unless the device's end comes before.

        Returns
        -------
        bool
            Whether the device goes on.

        Raises
        ------
        RuntimeError
            It is not started, or has a clock.
        TypeError, ValueError
            Not a number of callbacks.

        Notes
        -----
        Thread: one at a time, not the device's own. Blocks: only for a feeder or a writer, Ctrl-C waits too.
        Allocates: no.
        """
        cdef uint64_t number = as_count(callbacks, "callbacks", 1, <uint64_t>-1)
        self.refuse_in_callback("step")
        if self.wiped():
            raise RuntimeError("a forked child has no part in its parent's device")
        if self.d.clock != STEPPED or not self.running:
            raise RuntimeError("only a started device with speed=None is moved by steps")
        with self.closing, nogil:
            while number and not is_over(&self.d):
                number -= 1
                if not turn(&self.d):
                    finish(&self.d)
        return not is_over(&self.d)

    def stop(self):
        """Ask the device to end, and do not wait: it hears no more, and plays what has been sent if senders close.

        Notes
        -----
        Thread: any, a signal handler too. Blocks: no. Allocates: no.
        """
        self.ask(STOP)

    def abort(self):
        """Ask the device to end at once, and do not wait: what has been sent to it is not played.

        Notes
        -----
        Thread: any, a signal handler too. Blocks: no. Allocates: no.
        """
        self.ask(ABORT)

    cdef void ask(self, uint32_t what):
        cdef Link link
        if asked(&self.d) >= what:
            return
        # V2: pairs with V1. The thread looks again after it has set its waiting bit.
        store_seq_cst_u32(&self.d.asked, what)
        if not self.running:
            return
        pong_wake_all(&self.d.asked, False)
        for link in (self.capture_link, self.playback_link, self.feed_link, self.writer_link):
            if link is not None and not arena_wiped(link.a):
                notify_pool_rt(link.a)
                notify_link_rt(link.a, link.place)

    def wait(self, timeout=None):
        """Wait until the device has ended.

        Parameters
        ----------
        timeout : float or None
            Seconds to wait; None waits for ever.

        Returns
        -------
        bool
            Whether it has ended.

        Raises
        ------
        RuntimeError
            It was never started, or this is its own callback.
        TypeError, ValueError
            Not a timeout.

        Notes
        -----
        Thread: any but the device's. Blocks: up to ``timeout``; Ctrl-C ends the wait. Allocates: no.
        """
        cdef uint64_t deadline = deadline_of(timeout)
        if not self.started:
            raise RuntimeError("the virtual device was not started")
        self.refuse_in_callback("wait for")
        while not is_over(&self.d) and not self.wiped():
            if deadline == NOW or not sleep_until(&self.d.over, 0, deadline):
                return is_over(&self.d)
        return True

    def close(self):
        """End the device at once and wait until its thread has ended; closing twice changes nothing.

        What has been captured can still be received; then the receiver gets `ClosedError`. A device that was never
        started leaves the ends that it was given open.

        Raises
        ------
        RuntimeError
            Called in the device's own callback.

        Notes
        -----
        Thread: any but the device's. Blocks: until the native thread has ended. Allocates: no.
        """
        if self.closing is None:
            return
        self.refuse_in_callback("close")
        if self.wiped():
            # In a forked child there is no such thread, and whoever held the lock is not there to give it back.
            return
        self.ask(ABORT)
        with self.closing:
            self.started = True
            if self.running:
                with nogil:
                    if self.d.clock != STEPPED:
                        pong_thread_join(self.thread)
                    elif not is_over(&self.d):
                        finish(&self.d)
                # From the join to here no Python code runs, so that no exception of a signal handler comes between.
                self.running = False
                unbind(self.bound)
                for end in self.ends:
                    end.close()
            # V5: pairs with V4. A device that was never started is over too.
            store_seq_cst_u32(&self.d.over, 1)
        running_devices.discard(self)

    cdef int refuse_in_callback(self, str what) except -1:
        """Raise if this is the device's own thread, in its callback: it cannot wait for itself."""
        if self.calling is not None and self.calling == threading.get_ident():
            raise RuntimeError(
                f"a callback cannot {what} its own device: call stop() without waiting, or raise an exception"
            )
        return 0

    cdef bint call(self, uint32_t frames):
        """Call the callback; False: it raised."""
        cdef double spf = self.d.seconds_per_frame
        self.calling = threading.get_ident()
        try:
            self.callback(
                None if self.heard is None else self.heard[:frames],
                None if self.sounded is None else self.sounded[:frames],
                frames,
                (self.d.position * spf, self.time, (self.d.position + frames) * spf + self.d.latency * 1e-9),
                self.d.status,
            )
        except BaseException as error:
            self._error = error
            return False
        finally:
            self.calling = None
        return True

    cdef bint wiped(self):
        """Tell whether this is a forked child, where the device's thread is not."""
        return os.getpid() != self.process

    @property
    def active(self):
        """Whether it is started and has not ended."""
        return self.running and not is_over(&self.d) and not self.wiped()

    @property
    def error(self):
        """What the callback raised; None if it did not."""
        return self._error

    @property
    def lost(self):
        """Frames dropped so far because no buffer was free or the thread came too late; exact once it has ended."""
        if self.d.parts & CAPTURES:
            return load_relaxed_u64(&self.d.capture.lost_ever)
        return load_relaxed_u64(&self.d.lost)

    @property
    def underflow(self):
        """Frames of silence played so far because nothing had been sent; exact once it has ended."""
        return load_relaxed_u64(&self.d.playback.underflow)

    @property
    def position(self):
        """Frames played or heard so far, lost ones among them; exact once it has ended."""
        if self.d.parts & CAPTURES and not self.d.parts & PLAYS:
            return load_relaxed_u64(&self.d.capture.position)
        return load_relaxed_u64(&self.d.position)

    @property
    def written(self):
        """Frames put into the array ``sink`` so far; exact once it has ended."""
        return load_relaxed_u64(&self.d.written)

    @property
    def time(self):
        """Seconds of the stream: by the clock, or without one by the position."""
        if self.d.clock == PACED and self.running:
            return (pong_now() - load_relaxed_u64(&self.d.began)) * 1e-9 * self.d.speed
        return self.position * self.d.seconds_per_frame

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.close()

    def __del__(self):
        # A finalizer, not a deallocator: the thread must end before anything that it uses goes.
        self.close()

    def __reduce_ex__(self, protocol):
        raise TypeError("a VirtualDevice is a thread of this process: it cannot be copied or pickled")


cdef void set_capture(capture_state* c, Link link) noexcept:
    c.a = link.a
    c.link = link.index
    c.slot = -1
    c.time_source = PONG_STREAM_TIME


cdef void set_playback(playback_state* p, Link link, int silence) noexcept:
    p.a = link.a
    p.link = link.index
    p.slot = -1
    p.silence = silence


cdef void unbind(list bound):
    """Give the sides of links back that a native stream has used."""
    cdef Link link
    for link, side in bound:
        if side == PONG_SENDER_CLOSED:
            store_relaxed_u32(&link.a.control.bound, 0)
        link.end_native(side)
