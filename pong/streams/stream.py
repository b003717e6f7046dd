"""`InputStream`, `OutputStream` and `Stream`, with the names of sounddevice's arguments."""

import os

from pong.errors import ClosedError, StreamError
from pong.streams.device_stream import DeviceStream
from pong.streams.settings import VirtualSettings
from pong.streams.virtual_card import CardInput, CardOutput

__all__ = ["InputStream", "OutputStream", "Stream"]

PARAMETERS = """
    Parameters
    ----------
    samplerate : float, optional
        Frames per second; that of the sound file, or 48000, unless given.
    blocksize : int, optional
        Frames in one buffer, 1024 unless given; with ``callback`` the frames of each call.
    device : {device}
    channels : int, optional
        Audio channels; the device's own unless given.{pair}
    dtype : dtype_like, optional
        Sample format; the one that holds the device's without loss unless given.{pair}
    latency : float or "low" or "high"
        Seconds that a callback may be late before the device, whose memory holds no more, loses frames.
    extra_settings : VirtualSettings, optional
        What only a virtual device knows: the size of its callbacks, its pace.
    callback : callable, optional
        For comparison: called as ``callback({arguments})`` with the GIL, as by sounddevice, in place of buffers.
    backend : "virtual"
        Which kind of device.
    buffers : int
        Buffers in the pool, 1 to 1024: with ``blocksize`` the seconds that Python may stall.{prefill}

    Raises
    ------
    ValueError, TypeError
        A parameter is out of its range, or the device is something else; pong does not convert.
    OSError
        A file cannot be read or written.
"""
ONE_INPUT = """ndarray or str or path
        What is heard: frames, shape ``(frames, channels)``; or a sound file, ``tone[:HZ]``, ``sweep[:FROM-TO]`` or
        ``silence``, the default."""
ONE_OUTPUT = """ndarray or str or path
        Where it is played: an array, filled from its beginning; or a sound file, or ``null``, the default."""
TWO = """(input, output)
        As for `InputStream` and `OutputStream`."""


def documented(device, arguments, pair="", prefill=""):
    """Return a decorator that adds the parameters, which streams share, to a docstring."""

    def add(cls):
        text = PARAMETERS.format(device=device, arguments=arguments, pair=pair, prefill=prefill)
        cls.__doc__ = cls.__doc__.format(parameters=text.strip())
        return cls

    return add


def settings_of(extra_settings):
    """Return the settings of a virtual device."""
    if extra_settings is None:
        return VirtualSettings()
    if not isinstance(extra_settings, VirtualSettings):
        raise TypeError(f"extra_settings must be VirtualSettings for a virtual device, not {extra_settings!r}")
    return extra_settings


class _Receiving:
    """The methods of a stream that hears."""

    def recv(self, timeout=None):
        """Return the next captured buffer; as `Receiver.recv`.

        Parameters
        ----------
        timeout : float or None
            Seconds to wait for one; None waits for ever, 0 not at all.

        Returns
        -------
        Buffer

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
            return self.receiver.recv(timeout)
        except ClosedError:
            self._raise_failure()
            raise

    def recv_nowait(self):
        """Return the next captured buffer, or raise `Empty` at once: ``recv(0)``."""
        return self.recv(0)

    def drain(self, max=None):
        """Return all captured buffers that are there now; as `Receiver.drain`."""
        try:
            return self.receiver.drain(max)
        except ClosedError:
            self._raise_failure()
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
        """Return an empty buffer to fill and `send`; as `BufferPool.acquire`, but it waits unless told otherwise."""
        self.sender  # noqa: B018 - raises for a stream with a callback
        return self.output_pool.acquire(timeout)

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
            self._raise_failure()
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
        self, samplerate=None, blocksize=None, device=None, channels=None, dtype=None, latency="high",
        extra_settings=None, callback=None, *, backend="virtual", buffers=16,
    ):
        settings = settings_of(extra_settings)
        card = CardInput(device, samplerate, channels, dtype, settings.seconds)
        self.device, self.channels, self.dtype, self.subtype = device, card.channels, card.dtype, card.subtype
        super().__init__(
            card, None, blocksize=blocksize, latency=latency, settings=settings, callback=callback, backend=backend,
            buffers=buffers, prefill=None,
        )


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
        self, samplerate=None, blocksize=None, device=None, channels=None, dtype=None, latency="high",
        extra_settings=None, callback=None, *, backend="virtual", buffers=16, prefill=None,
    ):
        settings = settings_of(extra_settings)
        card = CardOutput(device, samplerate, channels, dtype, settings.subtype)
        self.device, self.channels, self.dtype = device, card.channels, card.dtype
        super().__init__(
            None, card, blocksize=blocksize, latency=latency, settings=settings, callback=callback, backend=backend,
            buffers=buffers, prefill=prefill,
        )


@documented(TWO, "indata, outdata, frames, time, status", """ One value, or
        (input, output).""", """
    prefill : int, optional
        Frames of silence to play first; ``blocksize`` unless given, so that what is heard is played one block
        later. A program that keeps more than one block before it sends needs more: at speed 0 both sides would
        wait.""")
class Stream(_Receiving, _Sending, DeviceStream):
    """Both directions of a device at once. If both have one format, received buffers can be sent on as they are.

    {parameters}

    Notes
    -----
    With one format there is one pool, whose buffers the device acquires; `acquire` and `write` go with two formats.
    Thread: any. Blocks: no. Allocates: the pool.
    """

    def __init__(
        self, samplerate=None, blocksize=None, device=None, channels=None, dtype=None, latency="high",
        extra_settings=None, callback=None, *, backend="virtual", buffers=16, prefill=None,
    ):
        settings = settings_of(extra_settings)
        heard, played = pair("device", device, True)
        check_not_one_file(heard, played)
        channels, dtype = pair("channels", channels, False), pair("dtype", dtype, False)
        card_in = CardInput(heard, samplerate, channels[0], dtype[0], settings.seconds)
        # The output is what the input is, unless it says otherwise itself.
        like = (None, None) if hasattr(played, "dtype") else (card_in.channels, card_in.dtype)
        card_out = CardOutput(
            played, card_in.samplerate, like[0] if channels[1] is None else channels[1],
            like[1] if dtype[1] is None else dtype[1], settings.subtype,
        )
        self.device = heard, played
        self.channels = card_in.channels, card_out.channels
        self.dtype = card_in.dtype, card_out.dtype
        super().__init__(
            card_in, card_out, blocksize=blocksize, latency=latency, settings=settings, callback=callback,
            backend=backend, buffers=buffers, prefill=prefill,
        )


def check_not_one_file(heard, played):
    """Raise if both are one sound file, which would be overwritten before it is heard."""
    files = [path for path in (heard, played) if isinstance(path, (str, os.PathLike)) and os.path.isfile(path)]
    if len(files) == 2 and os.path.samefile(*files):
        raise ValueError(f"{os.fspath(played)}: the output is the input")


def pair(name, value, needed):
    """Split what may be given as (input, output), or as one value for both unless a pair is needed."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{name} must be one value or a pair (input, output), not {value!r}")
        return tuple(value)
    if needed and value is not None:
        raise ValueError(f"{name} must be a pair (input, output), not {value!r}")
    return value, value
