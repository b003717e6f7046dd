"""Sound files to record into, and `open_sink`, which knows all sinks by name."""

import contextlib
import errno
import io
import os

import numpy as np

from pong.streams.signals import SUBTYPES, as_channels, as_dtype, as_rate, check_block
from pong.streams.sources import SoundSource, is_name

__all__ = ["NullSink", "SoundSink", "open_sink"]


class _File(io.FileIO):
    """What libsndfile writes through, to learn why a write failed, and to keep the file whole then.

    A write is done as a whole or not at all. After one that failed the file does not grow any more; what is in it can
    still be overwritten, so that the header gets its lengths.
    """

    failure = None

    def write(self, data):
        """Write, and return how many bytes were written; keep an error in `failure`: libsndfile could not raise it."""
        begin, size, done = self.tell(), os.fstat(self.fileno()).st_size, 0
        if self.failure is not None and begin + len(data) > size:
            return 0
        try:
            while done < len(data):
                done += os.write(self.fileno(), data[done:])
        except BaseException as error:
            self.failure = self.failure or error.with_traceback(None)
            # Devices cannot be cut.
            with contextlib.suppress(OSError):
                self.seek(begin)
                self.truncate(size)
            return 0
        return done


class SoundSink:
    """A sound file that is written block by block, in the format its ending names.

    Parameters
    ----------
    path : path_like
        The file. It is overwritten, but not touched if a parameter is wrong.
    samplerate : int or float
        Frames per second, a whole number.
    channels : int
        Audio channels.
    dtype : {"int16", "int32", "float32", "float64"}
        What `write` gets. Integers are full scale where floats are 1.0.
    subtype : str, optional
        The sample format, as soundfile names it. Unless given, PCM_16, PCM_32 (PCM_24 where the format has no such, as
        FLAC), FLOAT or DOUBLE by the dtype, and in a format that has only lossy ones, as OGG, the usual one.

    Attributes
    ----------
    samplerate, channels, dtype, subtype
        As given, or as chosen.
    frames : int
        Frames written so far. After an error: frames that the file really holds.

    Raises
    ------
    OSError
        The file cannot be written.
    TypeError, ValueError
        The ending names no format, or one that cannot hold this; or a parameter is out of range.

    Notes
    -----
    Thread: one at a time. Blocks: while the header is written. Allocates: yes.

    When `write` or `close` fails, on a full disk for example, the file is closed, playable, and holds the blocks that
    were written before. WAV, RF64, W64, AIFF and FLAC have the right length in the header then. A FLAC lacks what the
    encoder held back (up to 4096 frames) and its checksum; an OGG ends with its last whole page, which may be seconds
    earlier; an MP3 claims a little more than it holds. ALAC is refused: libsndfile writes it through a temporary file
    of its own, and crashes, or says nothing and loses everything, when that cannot grow.
    """

    def __init__(self, path, *, samplerate, channels, dtype, subtype=None):
        self.dtype = as_dtype(dtype)
        self.channels = as_channels(channels)
        self.samplerate = int(as_rate(samplerate))
        if self.samplerate != samplerate:
            raise ValueError(f"samplerate must be a whole number for a sound file, not {samplerate!r}")
        if not isinstance(subtype, (str, type(None))):
            raise TypeError(f"subtype must be a str such as 'PCM_16', not {subtype!r}")
        self._path = os.fsdecode(path)
        self.frames = 0
        import soundfile

        self._errors = (soundfile.LibsndfileError, AssertionError)
        self._format = os.path.splitext(self._path)[1][1:].upper()
        known = soundfile.available_formats()
        if self._format not in known:
            raise ValueError(f"{self._path}: the ending must name a format: one of {', '.join(sorted(known)).lower()}")
        self.subtype = subtype.upper() if subtype else _subtype_for(self._path, self._format, self.dtype)
        if not soundfile.check_format(self._format, self.subtype):
            raise ValueError(f"{self._path}: {self._format} cannot hold the input's sample format, {self.subtype}")
        if self.subtype.startswith("ALAC"):
            raise ValueError(f"{self._path}: {self.subtype} is not written: libsndfile may lose it and not tell")
        # libsndfile's answer can be wrong (MP3 samples in a WAV): it must show what it can before the file is touched.
        what = (self.samplerate, self.channels, self.subtype)
        try:
            soundfile.SoundFile(io.BytesIO(), "w", *what, format=self._format).close()
        except soundfile.LibsndfileError as error:
            text = f"{self._path}: {self._format} cannot hold the input's {self.subtype}: {error.error_string}"
            raise ValueError(text) from None
        # libsndfile does not scale integers that it writes as floats.
        scales = self.dtype.startswith("int") and self.subtype in ("FLOAT", "DOUBLE")
        self._scale = 2.0 ** (1 - np.iinfo(self.dtype).bits) if scales else None
        self._raw = _File(self._path, "w")
        try:
            if not self._raw.seekable():
                raise OSError(errno.ESPIPE, f"{self._path}: cannot be written: not a regular file")
            self._file = soundfile.SoundFile(self._raw, "w", *what, format=self._format)
        except BaseException:
            self._raw.close()
            raise
        # soundfile would seek four times for each block.
        self._file.seekable = lambda: False
        if self._raw.failure is not None:
            self._end()

    def write(self, array):
        """Write frames.

        Parameters
        ----------
        array : ndarray
            Shape ``(n, channels)``, of the sink's dtype.

        Raises
        ------
        OSError
            The file cannot be written, the disk may be full. The sink is closed then, and `frames` is what it holds.
        ValueError
            The array has another shape, or the sink is closed.
        TypeError
            Not an array of the sink's dtype.

        Notes
        -----
        Thread: one at a time. Blocks: while the file is written. Allocates: yes.
        """
        check_block(array, self.channels, self.dtype)
        if self._file is None:
            raise ValueError(f"{self._path}: the sink is closed")
        try:
            self._file.write(array if self._scale is None else array * self._scale)
        except self._errors as error:
            self._end(error)
        if self._raw.failure is not None:
            self._end()
        self.frames += len(array)

    def close(self):
        """Close the file; closing twice changes nothing.

        Raises
        ------
        OSError
            What the encoder had held back, or the header, cannot be written. `frames` is what the file holds.

        Notes
        -----
        Thread: one at a time. Blocks: while the file is written. Allocates: yes.
        """
        if self._file is not None:
            self._end()

    def _end(self, error=None):
        """Close the file, and raise if that, or what went before, has failed."""
        file, self._file = self._file, None
        try:
            file.close()
        except self._errors as late:
            error = error or late
        self._raw.close()
        failure = self._raw.failure
        if error is None and failure is None:
            return
        self.frames = self._held()
        if isinstance(failure, OSError):
            raise OSError(failure.errno, f"{self._path}: cannot be written: {failure.strerror}") from None
        if failure is not None:
            raise failure
        # Nothing failed below libsndfile: it is its own error, or the assertion in soundfile that it took all.
        text = getattr(error, "error_string", "libsndfile took less than it got")
        raise OSError(errno.EIO, f"{self._path}: cannot be written: {text}") from None

    def _held(self):
        """Count the frames that the file holds after an error; tell them to a FLAC's header, which does not know."""
        if self._format == "RAW":
            return self.frames  # There is no header, so it cannot be read back.
        try:
            source = SoundSource(self._path)
        except (OSError, ValueError):
            return 0
        frames = source.frames
        if frames is None:
            frames = 0
            block = np.empty((1 << 16, self.channels), source.dtype)
            # What cannot be decoded to the end holds what could be.
            with contextlib.suppress(ValueError):
                while got := source.read_into(block):
                    frames += got
        source.close()
        if self._format == "FLAC":
            # The number of samples, 36 bits from the middle of byte 21 on: the encoder fills it in only after success.
            with open(self._path, "r+b") as file:
                file.seek(21)
                high = file.read(1)[0] & 0xF0
                file.seek(21)
                file.write((high << 32 | frames).to_bytes(5, "big"))
        return frames


def _subtype_for(path, format, dtype):
    """Choose the sample format for a dtype, or raise a ValueError that lists what there is."""
    import soundfile

    there = soundfile.available_subtypes(format)
    for subtype in SUBTYPES[dtype]:
        if subtype in there:
            return subtype
    if not any(subtype.startswith("PCM") for subtype in there):
        return soundfile.default_subtype(format)
    raise ValueError(f"{path}: {format} cannot hold {dtype}: give a subtype, one of {', '.join(sorted(there))}")


class NullSink:
    """A sink that counts frames and discards them.

    Parameters
    ----------
    samplerate, channels, dtype
        As for `SoundSink`; the samplerate need not be a whole number.

    Attributes
    ----------
    frames : int
        Frames written so far.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of range.

    Notes
    -----
    Thread: one at a time. Blocks: no. Allocates: no.
    """

    def __init__(self, *, samplerate, channels, dtype):
        self.samplerate, self.channels, self.dtype = as_rate(samplerate), as_channels(channels), as_dtype(dtype)
        self.subtype = SUBTYPES[self.dtype][0]
        self.frames = 0
        self._closed = False

    def write(self, array):
        """Count an array's frames, shape ``(n, channels)``; raise as `SoundSink.write` if it does not fit.

        Notes
        -----
        Thread: one at a time. Blocks: no. Allocates: no.
        """
        check_block(array, self.channels, self.dtype)
        if self._closed:
            raise ValueError("the sink is closed")
        self.frames += len(array)

    def close(self):
        """Close the sink; closing twice changes nothing.

        Notes
        -----
        Thread: one at a time. Blocks: no. Allocates: no.
        """
        self._closed = True


def open_sink(text_or_path, *, samplerate, channels, dtype, subtype=None):
    """Open what a text names: ``"null"``, which discards everything, or else a sound file.

    Parameters
    ----------
    text_or_path : str or path_like
        ``"null"``, or the path of the file, whose ending names the format.
    samplerate, channels, dtype, subtype
        As for `SoundSink`; without a meaning for ``"null"``, but checked.

    Returns
    -------
    SoundSink or NullSink

    Raises
    ------
    OSError
        The file cannot be written.
    TypeError, ValueError
        Nothing is called like that, or as `SoundSink`.

    Notes
    -----
    Thread: any. Blocks: while a header is written. Allocates: yes.
    """
    if is_name(text_or_path):
        if text_or_path != "null":
            raise ValueError(f"no virtual output is called {text_or_path!r}: a sound file's path or null")
        return NullSink(samplerate=samplerate, channels=channels, dtype=dtype)
    return SoundSink(text_or_path, samplerate=samplerate, channels=channels, dtype=dtype, subtype=subtype)
