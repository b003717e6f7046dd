"""A virtual device: a sound card made of memory, with a native thread that never takes the GIL for blocks of a pool.

It calls the same capture and playback functions as a real device's callback.
"""
import threading
from collections.abc import Sequence

import numpy as np

cimport cython
cimport numpy as cnp
from cpython.ref cimport Py_INCREF
from libc.math cimport isfinite
from libc.stdint cimport uint32_t, uint64_t

from pong._arena cimport as_count
from pong._link cimport Link, Receiver, Sender
from pong._pool cimport sample_dtype
from pong.kernel.arena cimport arena_wiped
from pong.kernel.atomic cimport load_relaxed_u64, store_seq_cst_u32
from pong.kernel.platform cimport pong_now, pong_thread_hurry, pong_thread_join, pong_thread_start, pong_wake_all
from pong.kernel.wait cimport notify_link_rt, notify_pool_rt
from pong.streams.base cimport ABORT, CAPTURES, PLAYS, STOP
from pong.streams import at_exit
from pong.streams.device cimport Device
from pong.streams.ends cimport (
    PONG_STREAM_TIME, as_number, bind_links, format_of, open_end, set_capture, set_playback, silence_of, unbind,
)
from pong.streams.virtual_loop cimport (
    CALLS, FED, PACED, STEPPED, UNPACED, WRITES, asked, device, finish, is_over, turn,
)

cnp.import_array()

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(object)

MAX_CALLBACK = 1 << 24

cdef void run(void* argument) noexcept nogil:
    """The native thread: one turn is one callback of the device."""
    cdef device* d = <device*>argument
    if d.clock == PACED and d.speed <= 1 and not d.parts & CALLS:
        # As a sound card's thread. Any faster it might not sleep at all, and must not keep the others from running;
        # nor must Python code, which takes as long as it likes and would be first at the GIL.
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


@cython.final
cdef class VirtualDevice(Device):
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
    process, process_output : optional
        Native functions that run on each block before it is sent, and before it is played: see `Chain`.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of range, formats differ, or a pool is planar.
    ClosedError
        An end of a link is closed.

    Notes
    -----
    While a feeder or a writer is behind, the device's clock stands still. The device's thread blocks all signals, and
    so does a program that a callback starts.
    Thread: any. Blocks: no. Allocates: a native thread at `start`.
    """

    def __cinit__(self, *_, **__):
        self.over = &self.d.over

    def __init__(
        self, samplerate, *, Sender capture=None, Receiver playback=None, source=None, sink=None, callback=None,
        output_format=None, callback_size=128, speed=0, latency=0.1, prefill=0,
        process=None, process_output=None,
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
        if playback is not None:
            self.playback_link = open_end(playback, "receiver")
            self.ends.append(playback)
            self.d.parts |= PLAYS
            self.d.sounds = True
        self.set_clock(samplerate, callback_size, speed, latency, prefill)
        cdef double rate = samplerate
        if capture is not None:
            self.kept.append(set_capture(&self.d.capture, self.capture_link, PONG_STREAM_TIME, rate, process))
        elif process is not None:
            raise ValueError("process needs capture")
        if playback is not None:
            self.kept.append(set_playback(&self.d.playback, self.playback_link, rate, process_output))
        elif process_output is not None:
            raise ValueError("process_output needs playback")
        self.set_input(source)
        self.set_output(sink, output_format)
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
            set_playback(&self.d.feed, self.feed_link, 0, None)
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
            set_capture(&self.d.writer, self.writer_link, PONG_STREAM_TIME, 0, None)
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
        self.d.silence = silence_of(dtype)
        self.sounded = np.zeros((self.d.most, channels), dtype)
        self.d.output = <unsigned char*>cnp.PyArray_DATA(self.sounded)
        self.d.output_bytes = channels * dtype.itemsize

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
        self.bound = bind_links((self.capture_link, self.writer_link), (self.playback_link, self.feed_link))
        self.d.began = pong_now()
        if self.d.clock != STEPPED:
            self.start_arguments.run = run_with_calls if self.d.parts & CALLS else run
            self.start_arguments.argument = &self.d
            error = pong_thread_start(&self.thread, &self.start_arguments)
        if error:
            unbind(self.bound)
            raise OSError(error, "cannot start the thread of the virtual device")
        self.running = self.started = True
        at_exit.add(self)

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
            # V5: pairs with V4, V6. A device that was never started is over too.
            store_seq_cst_u32(&self.d.over, 1)
        at_exit.discard(self)

    cdef int begin_wait(self) except -1:
        return self.refuse_in_callback("wait for")

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
    def lost_by_device(self):
        """Those of the lost frames for which the thread came too late."""
        if self.d.parts & CAPTURES:
            return load_relaxed_u64(&self.d.capture.skipped)
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
    def callbacks(self):
        """Callbacks so far; exact once it has ended."""
        return load_relaxed_u64(&self.d.turns)

    @property
    def xruns(self):
        """How often frames were lost because the thread came too late; exact once it has ended."""
        return load_relaxed_u64(&self.d.xruns)

    @property
    def cpu_load(self):
        """The share of the time that callbacks take, from 0 to 1; 0.0 without a clock."""
        cdef double elapsed = load_relaxed_u64(&self.d.position) * self.d.seconds_per_frame
        if self.d.clock != PACED or elapsed == 0:
            return 0.0
        return min(1.0, load_relaxed_u64(&self.d.busy) * 1e-9 * self.d.speed / elapsed)

    @property
    def latency(self):
        """Seconds that a callback may be late before frames are lost."""
        return self.d.latency * 1e-9

    @property
    def time(self):
        """Seconds of the stream: by the clock, or without one by the position."""
        if self.d.clock == PACED and self.running:
            return (pong_now() - load_relaxed_u64(&self.d.began)) * 1e-9 * self.d.speed
        return self.position * self.d.seconds_per_frame
