"""A virtual input: a native thread, without the GIL, that plays an array as a device would.

It calls the same capture function as a real device's callback.
"""
import math
import threading

import numpy as np

cimport cython
cimport numpy as cnp
from libc.stdint cimport uint32_t, uint64_t

from pong._arena cimport as_count
from pong._link cimport Sender
from pong._pool cimport BufferPool
from pong.errors import ClosedError
from pong.kernel.arena cimport arena_wiped
from pong.kernel.atomic cimport load_relaxed_u64, load_seq_cst_u32, store_relaxed_u32, store_seq_cst_u32
from pong.kernel.layout cimport PONG_SENDER_CLOSED
from pong.kernel.opening cimport link_close, link_closed
from pong.kernel.platform cimport (
    pong_now, pong_sleep_until, pong_thread_join, pong_thread_start, pong_wait,
)
from pong.kernel.wait cimport notify_pool_rt, prepare_wait
from pong.streams.base cimport capture_end_rt, capture_ready_rt, capture_rt

cnp.import_array()

cdef extern from *:
    """
    #define PONG_STREAM_TIME 2 /* "stream" in Buffer.TIME_SOURCES */
    """
    const int PONG_STREAM_TIME

# A stopped player that waits for its next deadline notices it after this long at the most, in nanoseconds.
cdef uint64_t SLICE = 50_000_000


cdef bint is_over(player* p) noexcept nogil:
    """Tell whether to stop playing: asked to, or nobody receives any more."""
    # V1: pairs with V2. Set before the wake-up, so that the player does not go to sleep again.
    return (
        load_seq_cst_u32(&p.stop) != 0
        or link_closed(p.capture.a, p.capture.link)
        # C11: pairs with C4. The same, for the pool.
        or load_seq_cst_u32(&p.capture.a.control.closed)
    )


cdef bint await_block(player* p) noexcept nogil:
    """Without a clock: wait until there is a block to fill, so that nothing can be lost."""
    cdef uint32_t seen
    while not capture_ready_rt(&p.capture):
        seen = prepare_wait(&p.capture.a.control.event)
        if is_over(p):
            return False
        if not capture_ready_rt(&p.capture):
            pong_wait(&p.capture.a.control.event, seen, pong_now() + SLICE, p.capture.a.header.shared)
    return not is_over(p)


cdef bint await_deadline(player* p, uint64_t deadline) noexcept nogil:
    """With a clock: sleep until the callback is due."""
    cdef uint64_t now = pong_now()
    while now < deadline and not is_over(p):
        pong_sleep_until(min(deadline, now + SLICE))
        now = pong_now()
    return not is_over(p)


cdef void play(void* argument) noexcept nogil:
    """The native thread: one turn is one callback of the device."""
    cdef player* p = <player*>argument
    cdef uint64_t began = pong_now()
    cdef uint64_t at = 0
    cdef uint32_t number, done
    cdef bint going = True
    while going and at < p.number:
        number = <uint32_t>min(p.callback_size, p.number - at)
        if p.speed > 0:
            going = await_deadline(p, began + <uint64_t>((at + number) * p.seconds_per_frame / p.speed * 1e9))
            if going:
                going = capture_rt(
                    &p.capture, p.frames + at * p.frame_bytes, number, at * p.seconds_per_frame,
                    p.seconds_per_frame, 0,
                )
            at += number
            continue
        # A callback may fill several blocks: hand over no more at a time than there is room for.
        going = await_block(p)
        if going:
            done = min(number, p.capture.a.header.blocksize - p.capture.filled)
            going = capture_rt(
                &p.capture, p.frames + at * p.frame_bytes, done, at * p.seconds_per_frame, p.seconds_per_frame, 0,
            )
            at += done
    capture_end_rt(&p.capture)
    link_close(p.capture.a, p.capture.link, PONG_SENDER_CLOSED)


@cython.final
cdef class VirtualInput:
    """Plays an array into a link, from a native thread that never takes the GIL.

    The stream is the pool's acquiring side and the link's sender: until it is closed, Python may do neither. At the end
    of the array it sends the last, short block and closes the link.

    Parameters
    ----------
    pool : BufferPool
        Where the blocks come from; its dtype and channels are the array's.
    sender : Sender
        Where they go, an end of a link of ``pool``.
    array : ndarray
        The sound, shape ``(frames, channels)``, or ``(frames,)`` for mono. It must not change while it is played.
    samplerate : float
        Frames per second.
    callback_size : int, optional
        Frames in one callback of the device; the pool's block size unless given.
    speed : float
        1 for real time, another number for a multiple of it: with no free buffer frames are dropped, as by hardware.
        0 for no clock: the stream waits for a free buffer and nothing can be lost.

    Raises
    ------
    TypeError, ValueError
        The array does not fit the pool, or a parameter is out of range.
    RuntimeError
        Another stream acquires from the pool.

    Notes
    -----
    Thread: any. Blocks: no. Allocates: a native thread at `start`.
    """

    def __init__(
        self, BufferPool pool not None, Sender sender not None, array, samplerate, *, callback_size=None, speed=0,
    ):
        cdef cnp.ndarray data
        if self.link is not None:
            raise RuntimeError("a virtual input is made once")
        if sender.link is None or sender.closed:
            raise ClosedError("the sender is closed")
        if sender.link.views != <cnp.PyObject*>pool.views:
            raise ValueError("the sender is of another pool")
        if not isinstance(array, np.ndarray) or array.dtype != pool.dtype:
            raise TypeError(f"array must be an ndarray of the pool's {pool.dtype}")
        if array.ndim == 1 and pool.channels == 1:
            array = array[:, np.newaxis]
        if array.ndim != 2 or array.shape[1] != pool.channels:
            raise ValueError(f"array must have shape (frames, {pool.channels}), not {array.shape}")
        for name, value, least in (("samplerate", samplerate, "more than 0"), ("speed", speed, "0 or more")):
            if isinstance(value, (bool, str)) or not isinstance(value, (int, float, np.number)):
                raise TypeError(f"{name} must be a number, not {value!r}")
            if not math.isfinite(value) or value < 0 or (value == 0 and name == "samplerate"):
                raise ValueError(f"{name} must be {least} and finite, not {value!r}")
        if callback_size is None:
            callback_size = pool.blocksize
        self.p.callback_size = as_count(callback_size, "callback_size", 1, 1 << 24)
        data = np.ascontiguousarray(array)
        self.array = data
        self.p.frames = <const unsigned char*>cnp.PyArray_DATA(data)
        self.p.number = len(data)
        self.p.frame_bytes = pool.a.header.frame_bytes
        self.p.seconds_per_frame = 1.0 / samplerate
        self.p.speed = speed
        self.p.capture.a = pool.a
        self.p.capture.link = sender.link.index
        self.p.capture.slot = -1
        self.p.capture.time_source = PONG_STREAM_TIME
        self.closing = threading.Lock()
        self.pool = pool
        self.sender = sender
        self.link = sender.link

    def start(self):
        """Start playing.

        Raises
        ------
        RuntimeError
            It has been started before, or another stream acquires from the pool or sends on the link.
        OSError
            The system gives no thread.

        Notes
        -----
        Thread: any. Blocks: no. Allocates: a native thread.
        """
        cdef int error
        if self.link is None or self.started:
            raise RuntimeError("a virtual input can be started once")
        self.pool.check_open()
        if self.pool.a.control.bound or self.link.native:
            raise RuntimeError("another stream acquires from the pool, or sends on the link")
        self.link.check_sender()
        self.pool.a.control.bound = 1
        self.link.native = self.link.playing = True
        self.start_arguments.run = play
        self.start_arguments.argument = &self.p
        error = pong_thread_start(&self.thread, &self.start_arguments)
        if error:
            self.pool.a.control.bound = 0
            self.link.native = self.link.playing = False
            raise OSError(error, "cannot start the thread of the virtual input")
        self.running = self.started = True

    def close(self):
        """Stop playing and wait until the thread has ended; closing twice changes nothing.

        What has been sent can still be received; then the receiver gets `ClosedError`.

        Notes
        -----
        Thread: any. Blocks: until the native thread has ended, at most about 50 ms. Allocates: no.
        """
        if self.link is None:
            return
        self.stop()
        with self.closing:
            self.started = True
            if self.running:
                self.join()
                self.sender.close()

    def stop(self):
        """Ask the stream to end, and do not wait: it sends its last block and closes the link.

        Notes
        -----
        Thread: any, a signal handler too. Blocks: no. Allocates: no.
        """
        # V2: pairs with V1. The player looks again after it has set its waiting bit.
        store_seq_cst_u32(&self.p.stop, 1)
        if self.running and not arena_wiped(self.p.capture.a):
            notify_pool_rt(self.p.capture.a)

    cdef void join(self) noexcept:
        self.running = False
        if arena_wiped(self.p.capture.a):
            # In a forked child there is no such thread.
            return
        with nogil:
            notify_pool_rt(self.p.capture.a)
            pong_thread_join(self.thread)
        store_relaxed_u32(&self.p.capture.a.control.bound, 0)
        self.link.stream_over()

    @property
    def lost(self):
        """Frames dropped so far because no buffer was free; exact once the stream is closed."""
        return load_relaxed_u64(&self.p.capture.lost_ever)

    @property
    def position(self):
        """Frames played so far, lost ones among them; exact once the stream is closed."""
        return load_relaxed_u64(&self.p.capture.position)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.close()

    def __del__(self):
        # A finalizer, not a deallocator: the thread must end before anything that it uses goes.
        self.close()

    def __reduce_ex__(self, protocol):
        raise TypeError("a VirtualInput is a thread of this process: it cannot be copied or pickled")
