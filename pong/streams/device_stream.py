"""What streams of every direction share: the device, its pools and links, and its life."""

import atexit
import math
import sys
import time
import weakref

import numpy as np

from pong._pool import BufferPool
from pong.errors import ClosedError, StreamError
from pong.streams.settings import CallbackFlags, StreamTime
from pong.streams.virtual import VirtualDevice

BACKENDS = ("virtual",)
LATENCIES = {"low": 0.02, "high": 0.1}

open_streams: weakref.WeakSet = weakref.WeakSet()


@atexit.register
def close_all():
    """Close every stream that is still open: what it has written is finished."""
    for each in list(open_streams):
        try:
            each.close()
        except BaseException:
            # The others are still to be closed.
            sys.excepthook(*sys.exc_info())


def check_choice(name, value, allowed):
    """Raise unless a value is one of those that are allowed."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")


def check_duplex(pool, callback_size, prefill):
    """Raise if the device and a program that sends on what it receives would wait for each other without a clock."""
    sizes = [int(size) for size in np.atleast_1d(callback_size)]
    blocksize = pool.blocksize
    # Callbacks may end at each multiple of this within a block, at the worst one step before its end.
    step = math.gcd(blocksize, *sizes)
    if prefill < blocksize - step:
        raise ValueError(
            f"prefill must be at least {blocksize - step} frames, not {prefill}: without a clock the device would wait "
            f"for a block of {blocksize} that it has not heard yet"
        )
    # The blocks that are touched by what a callback hears and by what is yet to be played.
    most = max(sizes) + prefill
    needed = max(-(-end // blocksize) - (end - most) // blocksize for end in range(0, blocksize, step))
    if len(pool) < needed:
        raise ValueError(
            f"buffers must be at least {needed}, not {len(pool)}, for callbacks of {max(sizes)} frames that are sent "
            f"on in blocks of {blocksize} and played after {prefill} frames of silence"
        )


class DeviceStream:
    """A device, the pools and links between it and the program, and its life from start to close."""

    def __init__(self, card_in, card_out, *, blocksize, latency, settings, callback, backend, buffers, prefill):
        check_choice("backend", backend, BACKENDS)
        if isinstance(latency, str):
            check_choice("latency", latency, tuple(LATENCIES))
            latency = LATENCIES[latency]
        self._cards = [card for card in (card_in, card_out) if card is not None]
        self._callback = callback
        # Until it is made as a whole there is nothing to close.
        self._closed = True
        self._started = self._stopped = self._told = False
        self.samplerate = self._cards[0].samplerate
        self.latency = LATENCIES["high"] if latency is None else latency
        self._input, self._output = card_in, card_out
        self._sender = self._receiver = self.pool = self.output_pool = None
        callback_size = settings.callback_size
        parts = {}
        if callback is not None:
            if not callable(callback):
                raise TypeError(f"callback must be callable, not {callback!r}")
            callback_size = callback_size if blocksize is None else blocksize
            parts["callback"] = self._call
            if card_out is not None:
                parts["output_format"] = (card_out.channels, card_out.dtype)
            if prefill is not None:
                parts["prefill"] = prefill
        else:
            blocksize = 1024 if blocksize is None else blocksize
            parts.update(self._open_links(buffers, blocksize))
            if card_in is not None and card_out is not None:
                parts["prefill"] = blocksize if prefill is None else prefill
            elif prefill is not None:
                parts["prefill"] = prefill
        self._device_ends = [parts.get("capture"), parts.get("playback")]
        self.blocksize = blocksize
        speed = settings.speed
        if speed == "auto":
            # What has an end waits; what has none would never.
            speed = 0 if (card_out if card_in is None else card_in).has_end else 1
        self._stepped = speed is None
        self._device = VirtualDevice(
            self.samplerate,
            source=None if card_in is None else card_in.source,
            sink=None if card_out is None else card_out.sink,
            callback_size=callback_size,
            speed=speed,
            latency=self.latency,
            **parts,
        )
        if speed == 0 and callback is None and card_in is not None and card_out is not None:
            check_duplex(self.pool, callback_size, parts["prefill"])
        if card_out is not None:
            card_out.open()
        self._closed = False
        open_streams.add(self)

    def _open_links(self, buffers, blocksize):
        """Make the pools and the links; return what the device gets of them."""
        parts = {}
        samplerate = self.samplerate
        if self._input is not None:
            channels, dtype = self._input.channels, self._input.dtype
            self.pool = BufferPool(
                buffers, blocksize, channels, dtype, samplerate=samplerate, on_empty="raise", max_links=2
            )
            parts["capture"], self._receiver = self.pool.link()
        if self._output is not None:
            channels, dtype = self._output.channels, self._output.dtype
            self.output_pool = self.pool
            if self.pool is None or (self.pool.channels, self.pool.dtype) != (channels, dtype):
                self.output_pool = BufferPool(
                    buffers, blocksize, channels, dtype, samplerate=samplerate, on_empty="raise", max_links=1
                )
            self._sender, parts["playback"] = self.output_pool.link()
        return parts

    def _call(self, indata, outdata, frames, time, status):
        """Call the program's callback with the arguments that this direction has."""
        data = [array for array, card in ((indata, self._input), (outdata, self._output)) if card is not None]
        self._callback(*data, frames, StreamTime(*time), CallbackFlags(status))

    def start(self):
        """Start the device; a stream can be started once.

        Raises
        ------
        StreamError
            It was started before.
        ClosedError
            It is closed.

        Notes
        -----
        Thread: any. Blocks: no. Allocates: threads.
        """
        if self._closed:
            raise ClosedError("the stream is closed")
        if self._started:
            raise StreamError("a stream can be started once: open another")
        self._device.start()
        self._started = True
        for card in self._cards:
            card.start()

    def stop(self, wait=True):
        """Stop the device: it hears no more, and everything that was sent to it is played before this returns.

        What has been captured can still be received.

        Parameters
        ----------
        wait : bool
            False: only ask it to, as in a signal handler or in the device's own callback.

        Raises
        ------
        StreamError
            The stream has failed: its callback raised, a file could not be read or written. Raised once.

        Notes
        -----
        Thread: any; the device's own only without waiting. Blocks: until all is played; Ctrl-C ends the wait.
        Allocates: no.
        """
        self._stopped = True
        if self._sender is not None:
            self._sender.close()
        if wait:
            self._end(self._device.stop)
        else:
            self._device.stop()

    def abort(self, wait=True):
        """Stop the device at once: what was sent to it and not yet played is dropped.

        Parameters
        ----------
        wait : bool
            False: only ask it to, as in a signal handler.

        Raises
        ------
        StreamError
            As `stop`.

        Notes
        -----
        Thread: any but the device's own. Blocks: until the device has ended. Allocates: no.
        """
        self._stopped = True
        if wait:
            self._end(self._device.abort)
        else:
            self._device.abort()

    def _end(self, ask):
        """Ask the device to end, and wait until it and the sound card's own threads have."""
        ask()
        if self._started:
            while self._stepped and self._device.active and self._device.step():
                pass
            self._device.wait()
            for card in self._cards:
                card.join()
        self._raise_failure()

    def wait(self, timeout=None):
        """Wait until the device has ended by itself: at the end of its input, or of an output that was stopped.

        Parameters
        ----------
        timeout : float or None
            Seconds; None waits for ever.

        Returns
        -------
        bool
            Whether it has ended.

        Raises
        ------
        StreamError
            As `stop`.

        Notes
        -----
        Thread: any. Blocks: up to ``timeout``. Allocates: no.
        """
        began = time.monotonic()
        if not self._started or not self._device.wait(timeout):
            return False
        for card in self._cards:
            # What is left of the time, for the last of the writing.
            if not card.join(None if timeout is None else max(0, timeout - (time.monotonic() - began))):
                return False
        self._raise_failure()
        return True

    def step(self, callbacks=1):
        """Do callbacks of a device whose speed is None; see `VirtualSettings`.

        Parameters
        ----------
        callbacks : int
            How many.

        Returns
        -------
        bool
            Whether the device goes on.

        Raises
        ------
        RuntimeError
            The device has a clock, or was not started.

        Notes
        -----
        Thread: one at a time, not the device's own. Blocks: only for a sound file. Allocates: no.
        """
        return self._device.step(callbacks)

    def close(self):
        """Close the stream: an active one is aborted, buffers that were not received go home.

        Closing twice changes nothing; a failure that nobody has been told of is not raised here.

        Notes
        -----
        Thread: any but the device's own. Blocks: until the device has ended. Allocates: no.
        """
        if self._closed:
            return
        self._device.close()
        self._closed = self._stopped = True
        open_streams.discard(self)
        for card in self._cards:
            card.start()
            card.join()
        # A device that was never started has not closed its own ends.
        for end in (self._receiver, self._sender, *self._device_ends):
            if end is not None:
                end.close()

    @property
    def _failure(self):
        """What has ended the stream before its time, or None."""
        errors = [self._device.error, *(card.error for card in self._cards)]
        return next((error for error in errors if error is not None), None)

    def _raise_failure(self):
        """Raise a `StreamError` if the stream has failed and nobody has been told."""
        failure = self._failure
        if failure is not None and not self._told:
            self._told = True
            what = "the callback raised" if failure is self._device.error else "the device failed:"
            raise StreamError(f"{what} {type(failure).__name__}: {failure}") from failure

    @property
    def active(self):
        """Whether the device runs."""
        return self._device.active

    @property
    def stopped(self):
        """Whether the stream has not been started, or was stopped, aborted or closed; not if it ended by itself."""
        return not self._started or self._stopped

    @property
    def closed(self):
        """Whether the stream is closed."""
        return self._closed

    @property
    def time(self):
        """Seconds of the stream, on the clock of `Buffer.time`."""
        return self._device.time

    @property
    def position(self):
        """Frames since the stream began, lost ones among them."""
        return self._device.position

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.stop()
        finally:
            self.close()

    def __del__(self):
        if not self.__dict__.get("_closed", True):
            self.close()
