"""What streams of every direction share: the device, its pools and links, and its life."""

import time
from dataclasses import replace
from functools import partial
from importlib import import_module

from pong._pool import BufferPool
from pong.errors import ClosedError, StreamError
from pong.stats import StreamStats
from pong.streams import at_exit
from pong.streams.ends import check_buffers, link_of
from pong.streams.extras import naming_extras
from pong.streams.opening import choose_backend, choose_order
from pong.streams.settings import CallbackFlags, StreamTime

# Where each back end is; one is imported when it is first asked for, and the library behind it with it.
SETUPS = {
    "portaudio": ("pong.streams.portaudio", "PortAudioSetup"),
    "jack": ("pong.streams.jack", "JackSetup"),
    "miniaudio": ("pong.streams.miniaudio", "MiniaudioSetup"),
    "virtual": ("pong.streams.virtual_setup", "VirtualSetup"),
}


class DeviceStream:
    """A device, the pools and links between it and the program, and its life from start to close."""

    def __init__(self, request, *, backend, blocksize, buffers, prefill, pools, links, **common):
        # Until it is made as a whole there is nothing to close.
        self._closed = True
        self._started = self._stopped = self._told = False
        self._sender = self._receiver = self.pool = self.output_pool = None
        self._own = []
        callback = request.callback
        given = [
            link_of(pool, link, name)
            for pool, link, name in zip(pools, links, ("the input's", "the output's"), strict=True)
        ]
        self.backend, request = choose_backend(backend, fit(request, given))
        orders = choose_order(request, self.backend)
        if callback is not None:
            if not callable(callback):
                raise TypeError(f"callback must be callable, not {callback!r}")
            if any(given) or common["process"] is not None or common["process_output"] is not None:
                raise ValueError("pool, link and process do not go with a callback, which has no buffers")
            request = replace(
                request,
                callback=partial(call, callback, request.hears, request.plays),
                callback_size=request.callback_size if blocksize is None else blocksize,
            )
        module, name = SETUPS[self.backend]
        with naming_extras():
            setup = getattr(import_module(module), name)(request)
        try:
            capture = playback = None
            if callback is None:
                blocksize = next((each.blocksize for each in given if each), 1024) if blocksize is None else blocksize
                capture, playback = self._open_links(setup, given, buffers, blocksize, orders)
            if prefill is None and capture is not None and playback is not None:
                prefill = setup.default_prefill(blocksize)
            self._device = setup.open(capture, playback, self.pool, prefill=prefill, **common)
        except BaseException:
            setup.close()
            # What the program has given stays open.
            for each in reversed(self._own):
                each.close()
            raise
        self.samplerate, self.blocksize, self._cards = setup.samplerate, blocksize, setup.cards
        self._setup, self._orders = setup, orders
        self._device_ends = capture, playback
        self._closed = False
        at_exit.add(self)

    def _open_links(self, setup, given, buffers, blocksize, orders):
        """Make the pools and links that were not given; return the device's ends of the links."""
        ends = [None, None]
        for place, wanted in enumerate((setup.input, setup.output)):
            if wanted is None:
                continue
            order, pool, sender, receiver = orders[place], None, None, None
            if given[place]:
                pool, sender, receiver = given[place].ends(wanted, order, blocksize)
            if sender is None:
                if pool is None and place and self.pool is not None and given[0] is None:
                    # Both directions have one format: received buffers can be sent on.
                    one = self.pool
                    pool = one if (one.channels, one.dtype, one.order) == (*wanted, order) else None
                if pool is None:
                    check_buffers(buffers)
                    pool = BufferPool(
                        buffers, blocksize, *wanted, order=order, samplerate=setup.samplerate, on_empty="raise",
                        max_links=2,
                    )
                    self._own.append(pool)
                sender, receiver = pool.link()
                self._own += sender, receiver
            if place:
                self.output_pool, self._sender, ends[1] = pool, sender, receiver
            else:
                self.pool, ends[0], self._receiver = pool, sender, receiver
        return ends

    def start(self):
        """Start the device; a stream can be started once.

        Raises
        ------
        StreamError
            It was started before, or the sound card's library refuses.
        ClosedError
            It is closed.
        RuntimeError
            Another stream acquires from the pool, or uses the link.
        OSError
            The system gives no thread.

        Notes
        -----
        Thread: any. Blocks: for the sound card's library. Allocates: threads.
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
            The stream has failed: its callback raised, a file could not be read or written, its device is gone.
            Only where nothing else has told of it yet.

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
            while self._setup.speed is None and self._device.active and self._device.step():
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
        at_exit.discard(self)
        for card in self._cards:
            card.start()
            card.join()
        # A device that was never started has not closed its own ends.
        for end in (self._receiver, self._sender, *self._device_ends):
            if end is not None:
                end.close()

    def forsake(self):
        """In a forked child: leave the device to the parent."""
        self._device.forsake()

    @property
    def _failure(self):
        """What has ended the stream before its time, or None."""
        errors = [self._device.error, *(card.error for card in self._cards)]
        return next((error for error in errors if error is not None), None)

    def _raise_failure(self, again=False):
        """Raise a `StreamError` if the stream has failed: if nobody has been told yet, or ``again``."""
        failure = self._failure
        if failure is not None and (again or not self._told):
            self._told = True
            if isinstance(failure, StreamError):
                # Its thread may be giving buffers back still: who is told finds all of them there. And a library may
                # not bear that a client whose server is gone stays open while another is opened: libjack does not.
                self._device.close()
                raise failure
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
        """Seconds, on the clock of `Buffer.time`."""
        return self._device.time

    @property
    def latency(self):
        """Seconds between the program and the air, as the device tells; of the input and the output as a pair.

        A virtual device: how late a callback may be before frames are lost.
        """
        return self._device.latency

    @property
    def cpu_load(self):
        """The share of the time that callbacks take, as the device measures it: from 0 to 1."""
        return self._device.cpu_load

    def stats(self, reset=False):
        """Return how the stream and its pools are doing.

        Parameters
        ----------
        reset : bool
            Let the pools' counters begin anew, as `BufferPool.stats`.

        Returns
        -------
        StreamStats

        Notes
        -----
        Thread: any. Blocks: no. Allocates: yes.
        """
        device = self._device
        return StreamStats(
            callbacks=device.callbacks,
            position=device.position,
            lost=device.lost,
            lost_by_device=device.lost_by_device,
            underflow=device.underflow,
            xruns=device.xruns,
            cpu_load=device.cpu_load,
            pool=None if self.pool is None else self.pool.stats(reset),
            output_pool=None if self.output_pool in (None, self.pool) else self.output_pool.stats(reset),
        )

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


def fit(request, given):
    """Return a request with what the program's own pools say about formats, where it says nothing itself."""
    channels, dtype, rate, order = (
        list(request.channels), list(request.dtype), request.samplerate, list(request.order)
    )
    for place, each in enumerate(given):
        if each is None:
            continue
        channels[place] = each.channels if channels[place] is None else channels[place]
        dtype[place] = each.dtype if dtype[place] is None else dtype[place]
        rate = each.samplerate if rate is None else rate
        # One channel is the same memory in both orders.
        order[place] = each.order if order[place] is None and each.channels > 1 else order[place]
    return replace(
        request, channels=tuple(channels), dtype=tuple(dtype), samplerate=rate, order=tuple(order)
    )


def call(callback, hears, plays, indata, outdata, frames, time, status):
    """Call the program's callback with the arguments that this direction has."""
    data = [array for array, there in ((indata, hears), (outdata, plays)) if there]
    callback(*data, frames, StreamTime(*time), CallbackFlags(status))
