"""Recording an input into a sound file, and playing a sound file: what the commands ``record`` and ``play`` do."""

import os
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass

from pong.streams.files import SoundSink, open_source
from pong.streams.settings import VirtualSettings
from pong.streams.stream import InputStream, OutputStream

__all__ = ["Playback", "Recording", "play", "record"]


@dataclass(frozen=True)
class Recording:
    """What was recorded.

    Attributes
    ----------
    frames, blocks : int
        Frames and blocks written.
    lost : int
        Frames that the input had and the file has not, because no buffer was free or the device came too late.
    samplerate : float
        Frames per second.
    channels : int
        Audio channels.
    interrupted : int or None
        The signal that ended it.
    """

    frames: int
    blocks: int
    lost: int
    samplerate: float
    channels: int
    interrupted: int | None


@dataclass(frozen=True)
class Playback:
    """What was played.

    Attributes
    ----------
    frames, blocks : int
        Frames and blocks of the file that were played.
    underflow : int
        Frames of silence played because nothing was there in time.
    samplerate, channels, interrupted
        As `Recording`.
    """

    frames: int
    blocks: int
    underflow: int
    samplerate: float
    channels: int
    interrupted: int | None


class Interruption:
    """Which signal came, if any."""

    signal = None


@contextmanager
def stopping(stop):
    """Call ``stop`` when Ctrl-C or SIGTERM comes; a second one raises KeyboardInterrupt.

    The stream then ends by itself and the loop over it with it. An exception here, between receiving a block and
    writing it, would leave a hole in the file.
    """
    came = Interruption()

    def interrupt(number, _):
        if came.signal is not None:
            raise KeyboardInterrupt
        came.signal = number
        stop()

    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def virtual(device, what):
    """Return the name behind ``virtual:``, or raise an error that says which devices there are."""
    kind, _, name = device.partition(":")
    if kind != "virtual" or not name:
        choices = {
            "input": "virtual:FILE, virtual:tone[:HZ], virtual:sweep[:FROM-TO] or virtual:silence",
            "output": "virtual:FILE or virtual:null",
        }
        raise ValueError(f"{what} must be {choices[what]}, not {device!r}")
    return name


def check_not_the_same(output, path):
    """Raise if both name one file."""
    if os.path.exists(output) and os.path.exists(path) and os.path.samefile(output, path):
        raise ValueError(f"{output}: the output is the input")


def record(
    output, source, *, samplerate=None, blocksize=1024, callback_size=128, channels=None, dtype=None, buffers=16,
    speed="auto", seconds=None, progress=None,
):
    """Record an input into a sound file.

    Parameters
    ----------
    output : str
        File to write; its ending names the format. Its sample format is that of the source, unless ``dtype`` is given.
    source : str
        ``virtual:`` and a sound file, ``tone[:HZ]``, ``sweep[:FROM-TO]`` or ``silence``.
    samplerate, channels, dtype : optional
        Of generated sound; those of a sound file must agree, but for ``dtype``.
    blocksize, buffers : int
        Frames in a buffer, and buffers in the pool.
    callback_size : int
        Frames that the device delivers at a time.
    speed, seconds
        As `VirtualSettings`.
    progress : callable, optional
        Called as ``progress(buf, stream)`` for each block.

    Returns
    -------
    Recording

    Raises
    ------
    OSError
        A file cannot be read or written. What was recorded until then is kept.
    ValueError
        The source is no sound, or a parameter is out of range.
    StreamError
        The source failed while it was read. What was recorded until then is kept.

    Notes
    -----
    Ctrl-C or SIGTERM ends the recording: what has been sent until then is written, and the file is closed and playable.
    Thread: any. Blocks: until the input ends. Allocates: yes.
    """
    device = virtual(source, "input")
    check_not_the_same(output, device)
    settings = VirtualSettings(callback_size=callback_size, speed=speed, seconds=seconds)
    stream = InputStream(samplerate, blocksize, device, channels, dtype, extra_settings=settings, buffers=buffers)
    blocks = 0
    try:
        sink = SoundSink(
            output, samplerate=stream.samplerate, channels=stream.channels, dtype=stream.dtype.name,
            subtype=stream.subtype if dtype is None else None,
        )
        try:
            with stopping(lambda: stream.stop(wait=False)) as came:
                stream.start()
                for buf in stream:
                    with buf:
                        sink.write(buf.samples)
                        blocks += 1
                        if progress is not None:
                            progress(buf, stream)
        finally:
            # A disk that is full is told of here at the latest.
            sink.close()
    finally:
        stream.close()
    return Recording(sink.frames, blocks, stream.lost, stream.samplerate, stream.channels, came.signal)


def play(path, target, *, blocksize=1024, callback_size=128, buffers=16, speed="auto", seconds=None, progress=None):
    """Play a sound file.

    Parameters
    ----------
    path : str
        A sound file.
    target : str
        ``virtual:`` and a sound file to write, or ``null``.
    blocksize, callback_size, buffers, speed, seconds, progress
        As `record`.

    Returns
    -------
    Playback

    Raises
    ------
    OSError, ValueError, StreamError
        As `record`.

    Notes
    -----
    Ctrl-C or SIGTERM ends it; what was sent to the device is played.
    Thread: any. Blocks: until all is played. Allocates: yes.
    """
    device = virtual(target, "output")
    check_not_the_same(device, path)
    source = open_source(path, seconds=seconds)
    frames = blocks = 0
    try:
        settings = VirtualSettings(callback_size=callback_size, speed=speed, subtype=source.subtype)
        stream = OutputStream(
            source.samplerate, blocksize, device, source.channels, source.dtype, extra_settings=settings,
            buffers=buffers,
        )
        with stream, stopping(lambda: stream.stop(wait=False)) as came:
            while came.signal is None:
                with stream.acquire() as buf:
                    buf.frames = source.read_into(buf.samples)
                    if not buf.frames:
                        break
                    if progress is not None:
                        progress(buf, stream)
                    frames += buf.frames
                    blocks += 1
                    stream.send(buf)
    finally:
        source.close()
    return Playback(frames, blocks, stream.underflow, source.samplerate, source.channels, came.signal)
