"""Generated sources: a tone, a sweep, silence; and the checks and the scale that all sources and sinks share."""

import math
import operator
from numbers import Integral, Real

import numpy as np

__all__ = ["Silence", "Sweep", "Tone"]

# The sample formats that each dtype is written in: the first one that a file's format has.
SUBTYPES = {
    "int16": ("PCM_16",),
    "int32": ("PCM_32", "PCM_24"),
    "float32": ("FLOAT",),
    "float64": ("DOUBLE",),
}

# Samples are computed in whole blocks that begin at a multiple of this: NumPy's vector code may round the last few
# items of an array differently from the rest, and no sample may depend on the sizes of the reads.
BLOCK = 1024

MAX_CHANNELS = 1024
MAX_RATE = 2**31 - 1
MAX_SECONDS = 10**9


def check_number(name, value, low, high, allowed):
    """Raise unless ``low < value <= high``; ``allowed`` is how that reads."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not low < value <= high:
        raise ValueError(f"{name} must be {allowed}, not {value!r}")


def as_rate(samplerate):
    """Check frames per second; return them as an int or a float."""
    check_number("samplerate", samplerate, 0, MAX_RATE, f"more than 0 and at most {MAX_RATE}")
    return int(samplerate) if isinstance(samplerate, Integral) else float(samplerate)


def as_channels(channels):
    """Check a number of audio channels; return it as an int."""
    if isinstance(channels, bool) or not hasattr(type(channels), "__index__"):
        raise TypeError(f"channels must be a whole number, not {channels!r}")
    number = operator.index(channels)
    if not 1 <= number <= MAX_CHANNELS:
        raise ValueError(f"channels must be from 1 to {MAX_CHANNELS}, not {number}")
    return number


def as_dtype(dtype):
    """Return the name of a dtype that sound files know, or raise an error that lists them."""
    try:
        found = None if dtype is None else np.dtype(dtype)
    except (TypeError, ValueError):
        found = None
    if found is None or not found.isnative or found.name not in SUBTYPES:
        raise ValueError(f"dtype must be one of {', '.join(SUBTYPES)}, not {dtype!r}")
    return found.name


def as_frames(seconds, samplerate):
    """Turn a duration into frames; None stays None."""
    if seconds is None:
        return None
    check_number("seconds", seconds, 0, MAX_SECONDS, f"more than 0 and at most {MAX_SECONDS}")
    frames = round(seconds * samplerate)
    if not frames:
        raise ValueError(f"seconds must be a frame or more, 1/{samplerate}, not {seconds!r}")
    return frames


def check_block(array, channels, dtype):
    """Raise unless an array holds frames of the given kind."""
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        raise TypeError(f"array must be an ndarray of {dtype}, not {getattr(array, 'dtype', type(array).__name__)}")
    if array.ndim != 2 or array.shape[1] != channels:
        raise ValueError(f"array must have shape (frames, {channels}), not {array.shape}")


def check_target(array, channels, dtype):
    """Raise unless an array can take frames of the given kind."""
    check_block(array, channels, dtype)
    if not array.flags.c_contiguous or not array.flags.writeable:
        raise ValueError("array must be writable and in C order")


def scaled(samples, dtype):
    """Turn float64 samples, of which 1.0 is full scale, into a dtype: integers are rounded and clipped."""
    if dtype.startswith("float"):
        return samples.astype(dtype)
    full = 2.0 ** (np.iinfo(dtype).bits - 1)
    return np.clip(np.rint(samples * full), -full, full - 1).astype(dtype)


class _Generated:
    """What the generated sources share; a subclass says what the wave is at a frame's number."""

    def __init__(self, samplerate, channels, dtype, seconds):
        self.samplerate = as_rate(samplerate)
        self.channels = as_channels(channels)
        self.dtype = as_dtype(dtype)
        self.subtype = SUBTYPES[self.dtype][0]
        self.frames = as_frames(seconds, self.samplerate)
        self._position = 0
        self._number = self._block = None
        self._closed = False

    def read_into(self, array):
        """Generate the next frames, the same in all channels.

        Parameters
        ----------
        array : ndarray
            Where they go: shape ``(n, channels)``, C order, of the source's dtype.

        Returns
        -------
        int
            Frames generated; less than ``n`` only at the end, 0 after it. They depend on nothing but their place.

        Raises
        ------
        TypeError, ValueError
            The array has another dtype or shape, or the source is closed.

        Notes
        -----
        Thread: one at a time. Blocks: no. Allocates: yes.
        """
        check_target(array, self.channels, self.dtype)
        if self._closed:
            raise ValueError("the source is closed")
        want = len(array) if self.frames is None else min(len(array), self.frames - self._position)
        done = 0
        while done < want:
            number, offset = divmod(self._position, BLOCK)
            if number != self._number:
                frames = np.arange(number * BLOCK, (number + 1) * BLOCK, dtype="float64")
                self._number, self._block = number, scaled(self._wave(frames), self.dtype)[:, np.newaxis]
            part = min(want - done, BLOCK - offset)
            array[done : done + part] = self._block[offset : offset + part]
            done += part
            self._position += part
        return want

    def close(self):
        """Close the source; closing twice changes nothing.

        Notes
        -----
        Thread: one at a time. Blocks: no. Allocates: no.
        """
        self._closed = True


def _check_frequency(name, value, samplerate):
    """Raise unless a frequency can be sampled."""
    half = samplerate / 2
    check_number(name, value, 0, math.nextafter(half, 0), f"more than 0 and below half the samplerate, {half:g} Hz")


def _check_amplitude(amplitude):
    """Raise unless an amplitude is within full scale."""
    check_number("amplitude", amplitude, 0, 1, "more than 0 and at most 1, which is full scale")


class Tone(_Generated):
    """A sine wave that begins at phase 0.

    Parameters
    ----------
    frequency : float
        Hz: more than 0 and below half the samplerate.
    samplerate : int or float
        Frames per second.
    channels : int
        Audio channels, 1 to 1024, all with the same samples.
    dtype : {"int16", "int32", "float32", "float64"}
        Sample format. Integers are scaled to full scale, rounded and clipped.
    seconds : float, optional
        How long, rounded to frames; for ever unless given.
    amplitude : float
        The peak, up to 1, which is full scale.

    Attributes
    ----------
    samplerate, channels, dtype, subtype, frames
        As of every source: see `pong.streams.files`.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of range; the text names the range.

    Notes
    -----
    Thread: one at a time. Blocks: no. Allocates: no.
    """

    def __init__(
        self, frequency=440.0, *, samplerate=48000, channels=1, dtype="float32", seconds=None, amplitude=0.5
    ):
        super().__init__(samplerate, channels, dtype, seconds)
        _check_frequency("frequency", frequency, self.samplerate)
        _check_amplitude(amplitude)
        self._frequency, self._amplitude = float(frequency), float(amplitude)

    def _wave(self, frames):
        # The remainder is exact where frequency and samplerate are whole numbers: such a tone never drifts.
        turns = np.fmod(frames * self._frequency, self.samplerate) / self.samplerate
        return self._amplitude * np.sin(2 * np.pi * turns)


class Sweep(_Generated):
    """An exponential sine sweep (Farina): every octave takes the same time, the phase never jumps.

    Parameters
    ----------
    start, stop : float
        Hz at the beginning and at the end, different; more than 0 and below half the samplerate. It may go down.
    seconds : float
        How long, rounded to frames.
    samplerate, channels, dtype, amplitude
        As for `Tone`.

    Attributes
    ----------
    samplerate, channels, dtype, subtype, frames
        As of every source: see `pong.streams.files`.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of range; the text names the range.

    Notes
    -----
    Thread: one at a time. Blocks: no. Allocates: no.
    """

    def __init__(
        self, start=20.0, stop=20000.0, *, samplerate=48000, channels=1, dtype="float32", seconds=10.0, amplitude=0.5
    ):
        if seconds is None:
            raise TypeError("seconds must be a number: a sweep has an end")
        super().__init__(samplerate, channels, dtype, seconds)
        _check_frequency("start", start, self.samplerate)
        _check_frequency("stop", stop, self.samplerate)
        if start == stop:
            raise ValueError(f"start and stop must differ, both are {start!r}: a steady frequency is a tone")
        _check_amplitude(amplitude)
        self._growth = math.log(stop / start) / self.frames
        # Turns that the start's frequency makes while the frequency grows by a factor of e.
        self._turns = start / self.samplerate / self._growth
        self._amplitude = float(amplitude)

    def _wave(self, frames):
        turns = self._turns * np.expm1(self._growth * frames)
        return self._amplitude * np.sin(2 * np.pi * np.fmod(turns, 1.0))


class Silence(_Generated):
    """Nothing but zeros.

    Parameters
    ----------
    samplerate, channels, dtype, seconds
        As for `Tone`.

    Attributes
    ----------
    samplerate, channels, dtype, subtype, frames
        As of every source: see `pong.streams.files`.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of range; the text names the range.

    Notes
    -----
    Thread: one at a time. Blocks: no. Allocates: no.
    """

    def __init__(self, *, samplerate=48000, channels=1, dtype="float32", seconds=None):
        super().__init__(samplerate, channels, dtype, seconds)

    def _wave(self, frames):
        return np.zeros(len(frames))
