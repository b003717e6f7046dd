"""Recording an input into a sound file, and playing a sound file: what the commands ``record`` and ``play`` do."""

import errno
import os
import stat
from dataclasses import dataclass
from functools import partial

import numpy as np

from pong.errors import ClosedError, PoolExhausted, StreamError
from pong.interruption import stopping
from pong.streams.files import SoundSink, open_source
from pong.streams.int24 import pack, unpack
from pong.streams.opening import is_virtual, split_name
from pong.streams.settings import VirtualSettings
from pong.streams.signals import SUBTYPES, as_frames
from pong.streams.stream import InputStream, OutputStream
from pong.streams.virtual_setup import check_not_one_file

__all__ = ["Playback", "Recording", "play", "record"]

CALLBACK_SIZE = 128  # frames, of a virtual device
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
    lost_by_device : int
        Those of them that the device or its server lost.
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
    lost_by_device: int
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


def split(device, what):
    """Split ``backend:device``, or raise an error that says which devices there are."""
    backend, name = split_name(device)
    if backend is None or (backend == "virtual" and name is None):
        choices = {
            "input": "virtual:FILE, virtual:tone[:HZ], virtual:sweep[:FROM-TO], virtual:silence",
            "output": "virtual:FILE, virtual:null",
        }
        meant = f": did you mean virtual:{device}?" if is_virtual(device) else ""
        raise ValueError(
            f"{what} must be {choices[what]}, portaudio[:DEVICE], jack[:CLIENT] or miniaudio[:DEVICE], not "
            f"{device!r}{meant}"
        )
    return backend, name


def device_options(backend, callback_size, speed, **settings):
    """Return the arguments of a stream that virtual devices take in another way than sound cards."""
    if backend == "virtual":
        size = CALLBACK_SIZE if callback_size is None else callback_size
        return {"extra_settings": VirtualSettings(callback_size=size, speed=speed, **settings)}
    if speed != "auto":
        raise ValueError(f"speed is for virtual devices: {backend} has a clock of its own")
    return {"callback_size": callback_size}


def check_no_pipe(output):
    """Raise if the output is a pipe: to open one may take for ever."""
    if os.path.exists(output) and stat.S_ISFIFO(os.stat(output).st_mode):
        raise OSError(errno.ESPIPE, f"{output}: cannot be written: not a regular file")


def check_subtype(output, subtype):
    """Raise if the output's format cannot hold a sample format, and say what to do."""
    import soundfile

    name = os.path.splitext(output)[1][1:].upper()
    if name in soundfile.available_formats() and not soundfile.check_format(name, subtype):
        raise ValueError(
            f"{output}: {name} cannot hold the input's sample format, {subtype}: choose another, such as --dtype int16"
        )


def open_file(output, stream, dtype):
    """Open the file that a stream is recorded into; return it, and what makes its samples of the stream's."""
    found, subtype, convert = stream.dtype, None, None
    if found == "V3":
        found, subtype, convert = np.dtype("int32"), "PCM_24", unpack
    elif dtype is None:
        # A sound card delivers what it was asked for, float32.
        subtype = stream.subtype or SUBTYPES[found.name][0]
    if subtype is not None:
        check_subtype(output, subtype)
    sink = SoundSink(
        output, samplerate=stream.samplerate, channels=stream.channels, dtype=found.name, subtype=subtype
    )
    return sink, convert


def blocks_of(stream, end):
    """Receive a stream's blocks up to a position, the last one cut there; None: all of them."""
    for buf in stream:
        with buf:
            last = end is not None and buf.position + buf.frames >= end
            if last:
                buf.frames = max(0, end - buf.position)
            # What stood at the end may have been lost.
            if len(buf):
                yield buf
        if last:
            return


def record(
    output, source, *, samplerate=None, blocksize=1024, callback_size=None, channels=None, dtype=None, buffers=16,
    speed="auto", seconds=None, progress=None,
):
    """Record an input into a sound file.

    Parameters
    ----------
    output : str
        File to write; its ending names the format. Its sample format is that of the source, unless ``dtype`` is given.
    source : str
        ``virtual:`` and a sound file, ``tone[:HZ]``, ``sweep[:FROM-TO]`` or ``silence``; or a sound card:
        ``portaudio``, ``jack`` or ``miniaudio``, and after a colon the device of a stream, if not the default one.
    samplerate, channels, dtype : optional
        Of a sound card and of generated sound; those of a sound file must agree, but for ``dtype``. A sound card
        delivers float32 unless told otherwise; ``"int24"`` becomes a file of 24 bits.
    blocksize, buffers : int
        Frames in a buffer, and buffers in the pool.
    callback_size : int, optional
        Frames that the device delivers at a time; 128 unless given, and for a sound card as many as it likes.
    speed
        As `VirtualSettings`; not for a sound card.
    seconds : float, optional
        How much is recorded, lost frames among it; all that comes unless given.
    progress : callable, optional
        Called as ``progress(buf, stream)`` for each block.

    Returns
    -------
    Recording

    Raises
    ------
    OSError
        A file cannot be read or written, the back end's library is not there. What was recorded until then is kept.
    ValueError
        The source is no sound, or a parameter is out of range.
    StreamError
        The source failed while it was read, or the sound card's server is gone. What was recorded until then is kept;
        or the back end refuses.
    ImportError
        A package is not there: soundfile, or the back end's.

    Notes
    -----
    Ctrl-C, SIGTERM or SIGHUP ends the recording: what has been captured until then is written, and the file is closed
    and playable.
    Thread: any. Blocks: until the input ends. Allocates: yes.
    """
    backend, name = split(source, "input")
    virtual = backend == "virtual"
    check_no_pipe(output)
    if virtual:
        check_not_one_file(name, output)
    options = device_options(backend, callback_size, speed, **({"seconds": seconds} if virtual else {}))
    stream = InputStream(
        samplerate, blocksize, name, channels, dtype, backend=backend, buffers=buffers, **options
    )
    blocks, end = 0, None
    try:
        if not virtual:
            end = as_frames(seconds, stream.samplerate)
        with stopping() as came:
            came.stream = stream
            if not virtual:
                # A card that refuses leaves a file that was there as it is. What comes meanwhile is in the pool.
                stream.start()
            sink, convert = open_file(output, stream, dtype)
            try:
                if came.signal is None:
                    if virtual:
                        stream.start()
                    for buf in blocks_of(stream, end):
                        sink.write(buf.samples if convert is None else convert(buf.samples))
                        blocks += 1
                        if progress is not None:
                            progress(buf, stream)
            finally:
                # A disk that is full is told of here at the latest.
                sink.close()
            # What came after the end is not missing.
            lost = stream.lost if end is None or came.signal is not None else end - sink.frames
    finally:
        stream.close()
    return Recording(
        sink.frames, blocks, lost, min(lost, stream.stats().lost_by_device), stream.samplerate, stream.channels,
        came.signal,
    )


def read_packed(source, samples):
    """Read a source's next frames, which are int32, as packed 24-bit integers; return how many there are."""
    wide = np.empty(samples.shape, "int32")
    frames = source.read_into(wide)
    pack(wide, samples)
    return frames


def open_sound(path, backend, dtype, seconds):
    """Open what is to be played, in a dtype that the back end knows; return it, and the dtype of the stream."""
    if backend == "virtual":
        source = open_source(path, dtype=dtype, seconds=seconds)
        return source, source.dtype
    if dtype == "int24":
        return open_source(path, dtype="int32", seconds=seconds), dtype
    if dtype is None and backend == "jack":
        dtype = "float32"
    source = open_source(path, dtype=dtype, seconds=seconds)
    if dtype is None and source.dtype == "float64":
        # No sound card has it.
        source.close()
        source = open_source(path, dtype="float32", seconds=seconds)
    return source, source.dtype


def send_all(source, stream, came, progress):
    """Send a source's sound to a stream, block by block, until a signal comes; yield the frames of each block.

    The stream starts when its pool is full: otherwise it would begin with silence.
    """
    started = False
    read = partial(read_packed, source) if stream.dtype == "V3" else source.read_into
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
                buf.frames = frames = read(buf.samples)
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


def open_output(path, source, backend, name, dtype, blocksize, buffers, options):
    """Open the stream that plays a sound; where a sound card refuses, say what the sound is."""
    try:
        return OutputStream(
            source.samplerate, blocksize, name, source.channels, dtype, backend=backend, buffers=buffers, **options
        )
    except (ValueError, StreamError) as error:
        if backend == "virtual":
            raise
        wide = f"{source.channels} channel{'s' * (source.channels != 1)}"
        raise type(error)(
            f"{error} ({path}: {source.samplerate:g} Hz, {wide}, {dtype}; pong does not convert)"
        ) from error


def play(
    path, target, *, blocksize=1024, callback_size=None, buffers=16, dtype=None, speed="auto", seconds=None,
    progress=None,
):
    """Play a sound file.

    Parameters
    ----------
    path : str
        A sound file, or the name of generated sound.
    target : str
        ``virtual:`` and a sound file to write, or ``null``; or a sound card, as the source of `record`.
    dtype : optional
        What the device gets: unless given what holds the sound without loss, but float32 for JACK, and for a sound
        card in place of float64. ``"int24"`` for a sound card: the upper 24 bits.
    seconds : float, optional
        How much is played; all of it unless given.
    blocksize, callback_size, buffers, speed, progress
        As `record`.

    Returns
    -------
    Playback

    Raises
    ------
    OSError, ValueError, StreamError, ImportError
        As `record`. pong does not resample: the device must take the sound's samplerate.

    Notes
    -----
    Ctrl-C, SIGTERM or SIGHUP ends it: what was sent to the device is still played; at a second signal it is dropped.
    Thread: any. Blocks: until all is played. Allocates: yes.
    """
    backend, name = split(target, "output")
    if backend == "virtual":
        check_no_pipe(name)
        check_not_one_file(path, name)
    source, kind = open_sound(path, backend, dtype, seconds)
    frames = blocks = 0
    try:
        subtype = {"subtype": source.subtype if dtype is None else None} if backend == "virtual" else {}
        options = device_options(backend, callback_size, speed, **subtype)
        with stopping() as came:
            stream = open_output(path, source, backend, name, kind, blocksize, buffers, options)
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
