"""The sound card behind a virtual stream: what it hears, and where its output goes.

Arrays are used as they are; files and generated sound are read ahead by a feeder, and written behind by a writer, in
threads of Python with a pool of their own.
"""

from functools import partial

import numpy as np

from pong._pool import BufferPool
from pong.streams.files import Feeder, SoundSource, Writer, open_sink, open_source
from pong.streams.signals import as_channels, as_dtype, as_frames, as_rate

# Long enough a block that the feeder needs the GIL a few times a second only, in bytes and in frames.
MOST_BYTES = 1 << 18
MOST_FRAMES = 16384
BLOCKS = 8


def card_pool(channels, dtype):
    """Return the pool between the device and its feeder or writer."""
    blocksize = max(256, min(MOST_FRAMES, MOST_BYTES // (channels * np.dtype(dtype).itemsize)))
    return BufferPool(BLOCKS, blocksize, channels, dtype, on_empty="raise", max_links=1)


def frames_of(array):
    """Return an array as frames, shape ``(frames, channels)``."""
    return array[:, np.newaxis] if array.ndim == 1 else array


def differs(what, given, found):
    """Tell whether a parameter contradicts what the array is; not given, it cannot."""
    if given is not None and given != found:
        raise ValueError(f"the device is an array with {what} {found}, not {given}: pong does not convert")


def check_array(array, channels, dtype):
    """Raise unless an array fits what was asked for."""
    if array.ndim != 2 or not array.shape[1]:
        raise ValueError(f"an array as device must have shape (frames, channels), not {array.shape}")
    differs("channels", channels, array.shape[1])
    differs("dtype", None if dtype is None else np.dtype(dtype), array.dtype)


class CardInput:
    """What a virtual device hears.

    Parameters
    ----------
    device : ndarray or str or path
        Frames; or a sound file, ``tone[:HZ]``, ``sweep[:FROM-TO]`` or ``silence`` (None).
    samplerate, channels, dtype
        As for a stream; None takes the device's own.
    seconds : float, optional
        How much of it.

    Attributes
    ----------
    samplerate : float
        Frames per second.
    channels : int
        Audio channels.
    dtype : numpy.dtype
        Sample format.
    subtype : str or None
        Sample format of a file, as soundfile names it.
    has_end : bool
        Whether it ends by itself, though a file may not tell when.
    source : ndarray or Receiver
        For a `VirtualDevice`.
    """

    def __init__(self, device, samplerate, channels, dtype, seconds):
        self.feeder = None
        self.started = False
        if isinstance(device, np.ndarray):
            array = frames_of(device)
            check_array(array, channels, dtype)
            self.samplerate = 48000 if samplerate is None else as_rate(samplerate)
            array = array[: as_frames(seconds, self.samplerate)]
            self.source, self.has_end, self.subtype = array, True, None
            self.channels, self.dtype = array.shape[1], array.dtype
            return
        sound = open_source(
            "silence" if device is None else device, samplerate=samplerate, channels=channels, dtype=dtype,
            seconds=seconds,
        )
        self.samplerate, self.channels = sound.samplerate, sound.channels
        self.has_end = sound.frames is not None or isinstance(sound, SoundSource)
        self.dtype, self.subtype = np.dtype(sound.dtype), sound.subtype
        pool = card_pool(self.channels, self.dtype)
        sender, self.source = pool.link()
        self.feeder = Feeder(sound, pool, sender)

    def start(self):
        """Begin to read ahead; twice changes nothing."""
        if self.feeder is not None and not self.started:
            self.started = True
            self.feeder.start()

    def join(self):
        """Wait for the end of reading; the device has ended."""
        if self.feeder is not None:
            self.source.close()
            self.feeder.join()

    @property
    def error(self):
        """What ended the reading before its time, or None."""
        return None if self.feeder is None else self.feeder.error


class CardOutput:
    """Where a virtual device's output goes.

    Parameters
    ----------
    device : ndarray or str or path
        Filled from its beginning; or a sound file to write, or ``null`` (None), which is nowhere.
    samplerate, channels, dtype
        As for a stream; None takes an array's own, or 48000, 1 and float32.
    subtype : str, optional
        Sample format of a file.

    Attributes
    ----------
    samplerate, channels, dtype
        As `CardInput`.
    has_end : bool
        Whether it is something to be filled, without a clock of its own.
    sink : ndarray, Sender or None
        For a `VirtualDevice`.
    """

    def __init__(self, device, samplerate, channels, dtype, subtype):
        self.writer = self.sink = self._receiver = None
        self.started = False
        self.samplerate = 48000 if samplerate is None else as_rate(samplerate)
        if isinstance(device, np.ndarray):
            array = frames_of(device)
            check_array(array, channels, dtype)
            self.sink, self.channels, self.dtype, self.has_end = array, array.shape[1], array.dtype, True
            return
        self.channels = 1 if channels is None else as_channels(channels)
        self.dtype = np.dtype("float32" if dtype is None else dtype)
        self.has_end = device is not None and str(device) != "null"
        if device is None:
            return
        options = {"samplerate": self.samplerate, "channels": self.channels, "dtype": as_dtype(self.dtype)}
        self._open_file = partial(open_sink, device, subtype=subtype, **options)
        self.sink, self._receiver = card_pool(self.channels, self.dtype).link()

    def open(self):
        """Open the file, which is overwritten: so everything else was checked before."""
        if self._receiver is not None:
            self.writer = Writer(self._open_file(), self._receiver)
            self._receiver = None

    def start(self):
        """Begin to write behind; twice changes nothing."""
        if self.writer is not None and not self.started:
            self.started = True
            self.writer.start()

    def join(self):
        """Wait until everything is written; the device has ended."""
        if self.writer is not None:
            self.sink.close()
            self.writer.join()

    @property
    def error(self):
        """What ended the writing before its time, or None."""
        return None if self.writer is None else self.writer.error
