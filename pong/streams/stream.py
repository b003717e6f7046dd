"""`InputStream`, `OutputStream` and `Stream`, with the names of sounddevice's arguments."""

import warnings

from pong._link import Sender
from pong.errors import ClosedError, Empty, StreamError
from pong.streams.device_stream import DeviceStream
from pong.streams.opening import FLAGS, Request

__all__ = ["InputStream", "OutputStream", "Stream"]

PARAMETERS = """
    Parameters
    ----------
    samplerate : float, optional
        Frames per second; the device's own unless given.
    blocksize : int, optional
        Frames in one buffer, 1024 unless given; with ``callback`` the frames of each call.
    device : {device}
    channels : int, optional
        Audio channels; the device's own unless given.{pair}
    dtype : dtype_like, optional
        Sample format: float32 for a sound card unless given, for a virtual device the one that holds its own without
        loss. Packed 24-bit integers are ``"int24"`` or ``"V3"``.{pair}
    latency : float or "low" or "high", optional
        For PortAudio as sounddevice's; other sound cards have none. For a virtual device the seconds that a callback
        may be late before the device, whose memory holds no more, loses frames.
    extra_settings : optional
        What only one back end knows: `VirtualSettings`, `JackSettings`, or for PortAudio one of sounddevice's.
    callback : callable, optional
        For comparison, with a virtual device: called as ``callback({arguments})`` with the GIL, as by sounddevice, in
        place of buffers.
    backend : "portaudio", "jack", "miniaudio" or "virtual", optional
        Which library; ``device`` may name it as well (``"jack:system"``). Arrays, sound files and generated sound are
        virtual devices; all else is PortAudio's unless given.
    buffers : int
        Buffers in the pool, 1 to 1024: with ``blocksize`` the seconds that Python may stall.
    process : function or list, optional
        Native functions that run on each block in the callback, without the GIL, in order: before it is sent to the
        program, or for an output before it is played. See `pong.streams.process.Chain` for what may be one.{prefill}
    callback_size : int, optional
        Frames that the device delivers at a time, where it lets the program choose; 0: as it likes.
    stall_timeout : float
        Seconds without a callback after which a sound card's stream has failed.
    pool : BufferPool, optional
        A pool of your own to capture into, or to play from.{pair}
    link : (Sender, Receiver), optional
        A link of your own: what ``pool.link()`` returned, for both directions a pair of such. The stream closes its
        ends.
    order : {{"C", "F"}}, optional
        How samples lie in the buffers of a pool that the stream makes: interleaved, "C", unless given; "F" is one plane
        per channel, as in JACK's own buffers, and goes with no other back end. A pool of your own has its order.{pair}
    clip_off, dither_off, never_drop_input, prime_output_buffers_using_stream_callback : bool, optional
        PortAudio's flags, as sounddevice's.

    Raises
    ------
    ValueError, TypeError
        A parameter is out of its range, or the device is something else; pong does not convert.
    StreamError
        The back end refuses.
    OSError
        A file cannot be read or written; the back end's library is not there.
    ImportError
        The back end's package is not there: ``pip install "pong[portaudio]"``, or ``[jack]``, ``[miniaudio]``.
"""
SOUND_CARD = """int or str
        A sound card: PortAudio's number or part of its name, miniaudio's part of a name, or the JACK client whose
        ports are connected; the default one unless given."""
ONE_INPUT = f"""{SOUND_CARD} Or an array of frames, shape ``(frames, channels)``; or a sound file,
        ``tone[:HZ]``, ``sweep[:FROM-TO]``, ``silence``."""
ONE_OUTPUT = f"""{SOUND_CARD} Or an array, filled from its beginning; or a sound file to write;
        or ``null``, which is nowhere."""
TWO = """(input, output)
        As for `InputStream` and `OutputStream`; one sound card for both may be named once."""


def documented(device, arguments, pair="", prefill=""):
    """Return a decorator that adds the parameters, which streams share, to a docstring."""

    def add(cls):
        text = PARAMETERS.format(device=device, arguments=arguments, pair=pair, prefill=prefill)
        cls.__doc__ = cls.__doc__.format(parameters=text.strip())
        return cls

    return add


# Seconds in which a block comes if the device has a buffer to fill, and the program waits for it.
PATIENCE = 2.0


class _Receiving:
    """The methods of a stream that hears."""

    _warned = False

    def recv(self, timeout=None):
        """Return the next captured buffer; as `Receiver.recv`.

        Parameters
        ----------
        timeout : float or None
            Seconds to wait for one; None waits for ever, 0 not at all.

        Returns
        -------
        Buffer

        Warns
        -----
        RuntimeWarning
            Once, where it waits for ever and nothing can come: the program itself keeps all buffers.

        Raises
        ------
        Empty
            Nothing came in time.
        ClosedError
            The stream has ended and everything was received.
        StreamError
            The stream is not started; or it has failed, and everything was received.

        Notes
        -----
        Thread: any. Blocks: up to ``timeout``. Allocates: no.
        """
        if not self._started and not self.closed:
            raise StreamError("the stream is not started: use it in a `with`, or call start()")
        try:
            if timeout is None and self.pool is not None and not self._warned:
                return self._recv_or_warn()
            return self.receiver.recv(timeout)
        except ClosedError:
            self._raise_failure(again=True)
            raise

    def _recv_or_warn(self):
        """Wait for ever, but say so if the device has no buffer to fill: then nothing is what will come."""
        try:
            # A block is not due before so many frames were heard.
            return self.receiver.recv(PATIENCE + 2 * self.blocksize / self.samplerate)
        except Empty:
            stats = self.pool.stats()
            if not stats.free and not stats.queued:
                self._warned = True
                warnings.warn(
                    f"nothing can be received: the program keeps all {stats.count} buffers ({stats.owned} owned, "
                    f"{stats.pinned} pinned); release them, and keep data with buf.copy()",
                    RuntimeWarning, stacklevel=3,
                )
        return self.receiver.recv(None)

    def recv_nowait(self):
        """Return the next captured buffer, or raise `Empty` at once: ``recv(0)``."""
        return self.recv(0)

    def drain(self, max=None):
        """Return all captured buffers that are there now; as `Receiver.drain`."""
        try:
            return self.receiver.drain(max)
        except ClosedError:
            self._raise_failure(again=True)
            raise

    def poll(self, timeout=0):
        """Tell whether a buffer, or the end, is there; as `Receiver.poll`."""
        return self.receiver.poll(timeout)

    def fileno(self):
        """Return a file descriptor for ``select``; as `Receiver.fileno`."""
        return self.receiver.fileno()

    @property
    def receiver(self):
        """The receiving end of the stream's link."""
        if self._receiver is None:
            raise TypeError("a stream with a callback has no buffers to receive")
        return self._receiver

    @property
    def lost(self):
        """Frames lost so far: no buffer was free in time, or the device came too late. They stand in ``gap``."""
        return self._device.lost

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return self.recv()
        except ClosedError:
            raise StopIteration from None


class _Sending:
    """The methods of a stream that plays."""

    def acquire(self, timeout=None):
        """Return an empty buffer to fill and `send`; as `BufferPool.acquire`, but it waits unless told otherwise.

        Raises
        ------
        StreamError
            It would wait for ever, because the stream is not started and every buffer waits to be played; or the
            stream has failed.
        ClosedError
            It would wait for ever, because the stream has ended.
        TypeError
            The stream was given a link: then its buffers come from that link's pool, which the program has.
        """
        self.sender  # noqa: B018 - raises for a stream with a callback
        pool = self.output_pool
        if pool is None:
            raise TypeError("the stream was given a link: acquire from the pool of that link")
        if timeout is not None:
            return pool.acquire(timeout)
        if not self._started and not pool.free:
            raise StreamError("every buffer waits to be played: use the stream in a `with`, or call start()")
        buf = pool._acquire_unless(lambda: self._started and not self._device.active)
        if buf is None:
            self._raise_failure(again=True)
            raise ClosedError("the stream has ended")
        return buf

    def send(self, buf, *, tag=None):
        """Transfer a buffer to be played; as `Sender.send`.

        Parameters
        ----------
        buf : Buffer
            From `acquire`; or, if both directions have one format, a received one.
        tag : int, optional
            Sets `Buffer.tag`.

        Raises
        ------
        StreamError
            The stream has failed; the buffer stays the caller's.
        ClosedError
            The stream has ended; the buffer stays the caller's.

        Notes
        -----
        Thread: any. Blocks: no. Allocates: no.
        """
        try:
            self.sender.send(buf, tag=tag)
        except ClosedError:
            self._raise_failure(again=True)
            raise

    def write(self, array):
        """Copy frames into buffers and send them.

        Parameters
        ----------
        array : ndarray
            Shape ``(frames, channels)``, or ``(frames,)`` for mono, of any length; cast as NumPy's ``same_kind``.

        Returns
        -------
        bool
            Whether silence was played since the last `write` because nothing was there (`underflow`).

        Raises
        ------
        ValueError, TypeError
            Wrong shape or dtype; nothing of the array was sent.
        StreamError, ClosedError
            As `send`.

        Notes
        -----
        Thread: any. Blocks: until the last part of the array is in a buffer. Allocates: no.
        """
        for at in range(0, max(len(array), 1), self.blocksize):
            buf = self.acquire()
            try:
                buf.write(array[at : at + self.blocksize])
                self.send(buf)
            finally:
                if not buf.detached:
                    buf.release()
        before, self._underflow_told = self._underflow_told, self.underflow
        return self._underflow_told > before

    _underflow_told = 0

    @property
    def sender(self):
        """The sending end of the stream's link."""
        if self._sender is None:
            raise TypeError("a stream with a callback takes no buffers")
        return self._sender

    @property
    def underflow(self):
        """Frames of silence played so far because nothing had been sent."""
        return self._device.underflow


@documented(ONE_INPUT, "indata, frames, time, status")
class InputStream(_Receiving, DeviceStream):
    """A device's input, captured by native code into buffers of a pool.

    ``for buf in stream:`` ends with the input; write ``with buf:`` inside the loop.

    {parameters}

    Notes
    -----
    Thread: any. Blocks: no. Allocates: the pool.
    """

    def __init__(
        self, samplerate=None, blocksize=None, device=None, channels=None, dtype=None, latency=None,
        extra_settings=None, callback=None, *, backend=None, buffers=16, process=None, callback_size=None,
        stall_timeout=2.0, pool=None, link=None, order=None, clip_off=None,
        dither_off=None, never_drop_input=None, prime_output_buffers_using_stream_callback=None,
    ):
        request = Request(
            "input", samplerate, (device, None), (channels, None), (dtype, None), latency, (extra_settings, None),
            callback_size, flags(locals()), callback, (order, None),
        )
        super().__init__(
            request, backend=backend, blocksize=blocksize, buffers=buffers, prefill=None, process=process,
            process_output=None, stall_timeout=stall_timeout, pools=(pool, None), links=(link, None),
        )
        self.device, (self.channels, self.dtype), self.subtype = device, self._setup.input, self._setup.subtype
        self.order = self._orders[0]


@documented(ONE_OUTPUT, "outdata, frames, time, status", prefill="""
    prefill : int, optional
        Frames of silence to play first.""")
class OutputStream(_Sending, DeviceStream):
    """A device's output, played by native code from buffers of a pool.

    Leaving ``with stream:`` waits until everything is played.

    {parameters}

    Notes
    -----
    Thread: any. Blocks: no. Allocates: the pool.
    """

    def __init__(
        self, samplerate=None, blocksize=None, device=None, channels=None, dtype=None, latency=None,
        extra_settings=None, callback=None, *, backend=None, buffers=16, process=None, prefill=None,
        callback_size=None, stall_timeout=2.0, pool=None, link=None, order=None, clip_off=None,
        dither_off=None, never_drop_input=None, prime_output_buffers_using_stream_callback=None,
    ):
        request = Request(
            "output", samplerate, (None, device), (None, channels), (None, dtype), latency, (None, extra_settings),
            callback_size, flags(locals()), callback, (None, order),
        )
        super().__init__(
            request, backend=backend, blocksize=blocksize, buffers=buffers, prefill=prefill, process=None,
            process_output=process, stall_timeout=stall_timeout, pools=(None, pool), links=(None, link),
        )
        self.device, (self.channels, self.dtype) = device, self._setup.output
        self.order = self._orders[1]


@documented(TWO, "indata, outdata, frames, time, status", """ One value, or
        (input, output).""", """
    process_output : function or list, optional
        As ``process``, which is for the input, for the output.
    prefill : int, optional
        Frames of silence to play first. A virtual device: ``blocksize`` unless given, so that what is heard is played
        one block later; a program that keeps more than one block before it sends needs more: at speed 0 both sides
        would wait. A sound card: one block and one callback, or two blocks.""")
class Stream(_Receiving, _Sending, DeviceStream):
    """Both directions of a device at once. If both have one format, received buffers can be sent on as they are.

    {parameters}

    Notes
    -----
    With one format there is one pool, whose buffers the device acquires; `acquire` and `write` go with two formats.
    Thread: any. Blocks: no. Allocates: the pool.
    """

    def __init__(
        self, samplerate=None, blocksize=None, device=None, channels=None, dtype=None, latency=None,
        extra_settings=None, callback=None, *, backend=None, buffers=16, process=None, process_output=None,
        prefill=None, callback_size=None, stall_timeout=2.0, pool=None, link=None, order=None, clip_off=None,
        dither_off=None, never_drop_input=None, prime_output_buffers_using_stream_callback=None,
    ):
        request = Request(
            "duplex", samplerate, pair("device", device), pair("channels", channels), pair("dtype", dtype), latency,
            pair("extra_settings", extra_settings), callback_size, flags(locals()), callback, pair("order", order),
        )
        links = (None, None) if link is None else pair("link", link)
        if links != (None, None) and isinstance(links[0], Sender):
            raise TypeError("link must be a pair of links for both directions: (the input's, the output's)")
        super().__init__(
            request, backend=backend, blocksize=blocksize, buffers=buffers, prefill=prefill, process=process,
            process_output=process_output, stall_timeout=stall_timeout, pools=pair("pool", pool), links=links,
        )
        self.device = request.device
        self.channels, self.dtype = zip(self._setup.input, self._setup.output, strict=True)
        self.order = self._orders


def flags(arguments):
    """Return those of PortAudio's flags that were given."""
    given = {name: arguments[name] for name in FLAGS if arguments[name] is not None}
    for name, value in given.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be True or False, not {value!r}")
    return given


def pair(name, value):
    """Split what may be given as (input, output), or as one value for both."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{name} must be one value or a pair (input, output), not {value!r}")
        return tuple(value)
    return value, value
