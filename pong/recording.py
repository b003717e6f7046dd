"""Recording an input into a sound file; the files are soundfile's work."""

import io
import os
import signal
import threading
from dataclasses import dataclass

import soundfile

from pong import BufferPool
from pong.streams.virtual import VirtualInput

__all__ = ["Recording", "record"]

# The dtype that holds each sample format without loss. Formats not named here are decoded to float32.
DTYPES = {
    "PCM_S8": "int16",
    "PCM_U8": "int16",
    "PCM_16": "int16",
    "PCM_24": "int32",
    "PCM_32": "int32",
    "ULAW": "int16",
    "ALAW": "int16",
    "DOUBLE": "float64",
}

# Programs that write a WAV into a pipe cannot know its size and put something about this big.
UNKNOWN_SIZE = 0x7FFF0000


@dataclass(frozen=True)
class Recording:
    """What was recorded.

    Attributes
    ----------
    frames, blocks : int
        Frames and blocks written.
    lost : int
        Frames that the input had and the file has not, because no buffer was free.
    samplerate : int
        Frames per second.
    channels : int
        Audio channels.
    interrupted : bool
        Whether Ctrl-C ended it.
    """

    frames: int
    blocks: int
    lost: int
    samplerate: int
    channels: int
    interrupted: bool


def read_sound(path):
    """Read a whole sound file.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    samples : ndarray
        Shape ``(frames, channels)``, in a dtype that holds the file's sample format without loss.
    samplerate : int
        Frames per second.
    subtype : str
        The sample format, as soundfile names it.

    Raises
    ------
    OSError
        The file is missing or unreadable.
    ValueError
        It is empty, truncated, or not a sound file.

    Notes
    -----
    Thread: any. Blocks: while reading. Allocates: the samples.
    """
    with open(path, "rb") as file:
        head = file.read(8)
        size = os.fstat(file.fileno()).st_size
    if not size:
        raise ValueError(f"{path}: the file is empty")
    if head[:4] == b"RIFF" and len(head) == 8:
        # The second field of a RIFF file is its size less these 8 bytes.
        promised = int.from_bytes(head[4:], "little") + 8
        if size < promised < UNKNOWN_SIZE:
            raise ValueError(f"{path}: truncated: {size} bytes of {promised}")
    try:
        with soundfile.SoundFile(path) as file:
            samples = file.read(dtype=DTYPES.get(file.subtype, "float32"), always_2d=True)
            samplerate, subtype = file.samplerate, file.subtype
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path}: not a sound file that can be read: {error.error_string}") from None
    if not len(samples):
        raise ValueError(f"{path}: holds no sound")
    return samples, samplerate, subtype


def open_output(path, samplerate, channels, subtype):
    """Open a sound file for writing, in the format its ending names, or raise an OSError or a ValueError."""
    ending = os.path.splitext(path)[1][1:].upper()
    known = soundfile.available_formats()
    if ending not in known:
        raise ValueError(f"{path}: the ending must name a format: one of {', '.join(sorted(known)).lower()}")
    if not soundfile.check_format(ending, subtype):
        raise ValueError(f"{path}: {ending} cannot hold the input's sample format, {subtype}")
    # libsndfile's answer can be wrong (MP3 samples in a WAV): it must show what it can before the file is touched.
    try:
        soundfile.SoundFile(io.BytesIO(), "w", samplerate, channels, subtype, format=ending).close()
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path}: {ending} cannot hold the input's {subtype}: {error.error_string}") from None
    # Python's own open tells clearly why a file cannot be written; libsndfile says "System error".
    with open(path, "ab"):
        pass
    return soundfile.SoundFile(path, "w", samplerate, channels, subtype, format=ending)


def record(output, source, *, buffers=16, blocksize=1024, callback_size=128, speed=0.0):
    """Record an input into a sound file.

    Parameters
    ----------
    output : str
        File to write; its ending names the format. The sample format is that of the source.
    source : str
        ``"virtual:FILE"``: a sound file, played by a virtual input.
    buffers, blocksize : int
        Buffers in the pool, and frames in each.
    callback_size : int
        Frames that the device delivers at a time.
    speed : float
        As for `pong.streams.virtual.VirtualInput`.

    Returns
    -------
    Recording

    Raises
    ------
    OSError
        A file cannot be read or written.
    ValueError
        The source names no sound, or a parameter is out of range.

    Notes
    -----
    Ctrl-C ends the recording: what has been sent until then is written, and the file is closed and playable.
    Thread: any. Blocks: until the sound has been played. Allocates: yes.
    """
    kind, _, path = source.partition(":")
    if kind != "virtual" or not path:
        raise ValueError(f"input must be virtual:FILE, not {source!r}")
    samples, samplerate, subtype = read_sound(path)
    if os.path.exists(output) and os.path.samefile(path, output):
        raise ValueError(f"{output}: the output is the input")
    channels = samples.shape[1]
    pool = BufferPool(
        buffers, blocksize, channels, samples.dtype, samplerate=samplerate, on_empty="raise", max_links=1
    )
    frames = blocks = 0
    interrupted = False
    sender, receiver = pool.link()
    stream = VirtualInput(pool, sender, samples, samplerate, callback_size=callback_size, speed=speed)

    def interrupt(*_):
        # The stream sends its last block and closes the link; the loop below writes all that was sent and ends. An
        # exception here, between receiving a block and writing it, would leave a hole in the file.
        nonlocal interrupted
        if interrupted:
            raise KeyboardInterrupt
        interrupted = True
        stream.stop()

    on_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, interrupt) if on_main_thread else None
    try:
        with open_output(output, samplerate, channels, subtype) as file:
            stream.start()
            for buf in receiver:
                with buf:
                    file.write(buf.samples)
                    frames += buf.frames
                    blocks += 1
    except soundfile.LibsndfileError as error:
        raise OSError(f"{output}: cannot be written: {error.error_string}") from None
    finally:
        if on_main_thread:
            signal.signal(signal.SIGINT, before)
        stream.close()
    return Recording(frames, blocks, stream.lost, samplerate, channels, interrupted)
