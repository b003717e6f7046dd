"""Recording an input into a sound file, and playing a sound file: what the commands ``record`` and ``play`` do."""

import errno
import os
import signal
import stat
import threading
from contextlib import contextmanager
from dataclasses import dataclass

from pong.errors import ClosedError, PoolExhausted
from pong.streams.files import SoundSink, open_source
from pong.streams.settings import VirtualSettings
from pong.streams.stream import InputStream, OutputStream

__all__ = ["Playback", "Recording", "play", "record"]

LOOK = 0.1  # seconds; no free buffer for so long: look whether a signal has come


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
    """Which signal came, if any, and the stream that it stops."""

    signal = None
    stream = None

    def handle(self, number, _):
        """Stop the stream at the first signal; at the second, abort it: what it has yet to play is dropped."""
        first, self.signal = self.signal is None, self.signal or number
        if self.stream is not None:
            (self.stream.stop if first else self.stream.abort)(wait=False)


@contextmanager
def stopping():
    """Let Ctrl-C, SIGTERM and SIGHUP stop a stream, which ends the loop over it; no exception comes from them.

    An exception between receiving a block and writing it would leave a hole in the file, and one while the file is
    opened or closed would leave it without its header.
    """
    came = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # What nohup has told to be ignored stays so.
        if number is not None and (name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN):
            before[number] = signal.signal(number, came.handle)
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
        meant = f": did you mean virtual:{device}?" if os.path.exists(device) else ""
        raise ValueError(f"{what} must be {choices[what]}, not {device!r}{meant}")
    return name


def check_output(output, path):
    """Raise if both name one file, or if the output is a pipe: to open one may take for ever."""
    if not os.path.exists(output):
        return
    if os.path.exists(path) and os.path.samefile(output, path):
        raise ValueError(f"{output}: the output is the input")
    if stat.S_ISFIFO(os.stat(output).st_mode):
        raise OSError(errno.ESPIPE, f"{output}: cannot be written: not a regular file")


def check_subtype(output, subtype):
    """Raise if the output's format cannot hold a sample format, and say what to do."""
    import soundfile

    name = os.path.splitext(output)[1][1:].upper()
    if name in soundfile.available_formats() and not soundfile.check_format(name, subtype):
        raise ValueError(
            f"{output}: {name} cannot hold the input's sample format, {subtype}: choose another, such as --dtype int16"
        )


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
    Ctrl-C, SIGTERM or SIGHUP ends the recording: what has been captured until then is written, and the file is closed
    and playable.
    Thread: any. Blocks: until the input ends. Allocates: yes.
    """
    device = virtual(source, "input")
    check_output(output, device)
    settings = VirtualSettings(callback_size=callback_size, speed=speed, seconds=seconds)
    stream = InputStream(samplerate, blocksize, device, channels, dtype, extra_settings=settings, buffers=buffers)
    blocks = 0
    try:
        subtype = stream.subtype if dtype is None else None
        if subtype is not None:
            check_subtype(output, subtype)
        with stopping() as came:
            sink = SoundSink(
                output, samplerate=stream.samplerate, channels=stream.channels, dtype=stream.dtype.name,
                subtype=subtype,
            )
            try:
                came.stream = stream
                if came.signal is None:
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


def send_all(source, stream, came, progress):
    """Send a source's sound to a stream, block by block, until a signal comes; yield the frames of each block.

    The stream starts when its pool is full: otherwise it would begin with silence.
    """
    started = False
    try:
        while came.signal is None:
            try:
                buf = stream.acquire(LOOK if started else 0)
            except PoolExhausted:
                if not started:
                    started = True
                    stream.start()
                elif not stream.active:
                    return
                continue
            with buf:
                buf.frames = frames = source.read_into(buf.samples)
                if not frames:
                    return
                if progress is not None:
                    progress(buf, stream)
                try:
                    stream.send(buf)
                except ClosedError:
                    if came.signal is None:
                        raise
                    return
            yield frames
    finally:
        if not started:
            stream.start()


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
    Ctrl-C, SIGTERM or SIGHUP ends it: what was sent to the device is still played; at a second signal it is dropped.
    Thread: any. Blocks: until all is played. Allocates: yes.
    """
    device = virtual(target, "output")
    check_output(device, path)
    source = open_source(path, seconds=seconds)
    frames = blocks = 0
    try:
        settings = VirtualSettings(callback_size=callback_size, speed=speed, subtype=source.subtype)
        with stopping() as came:
            stream = OutputStream(
                source.samplerate, blocksize, device, source.channels, source.dtype, extra_settings=settings,
                buffers=buffers,
            )
            came.stream = stream
            try:
                try:
                    for sent in send_all(source, stream, came, progress):
                        frames += sent
                        blocks += 1
                finally:
                    # What was sent is played, also if the source cannot be read to its end.
                    stream.stop()
            finally:
                stream.close()
    finally:
        source.close()
    return Playback(frames, blocks, stream.underflow, source.samplerate, source.channels, came.signal)
