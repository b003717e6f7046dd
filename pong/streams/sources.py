"""Sound files to play from, and `open_source`, which knows all sources by name."""

import os

from pong.streams.signals import Silence, Sweep, Tone, as_channels, as_dtype, as_frames, as_rate, check_target, scaled

__all__ = ["SoundSource", "open_source"]

# The dtype that holds each sample format without loss. Formats not named here are decoded to float32.
DTYPES = {
    "PCM_S8": "int16",
    "PCM_U8": "int16",
    "PCM_16": "int16",
    "PCM_24": "int32",
    "PCM_32": "int32",
    "ULAW": "int16",
    "ALAW": "int16",
    "ALAC_16": "int16",
    "ALAC_20": "int32",
    "ALAC_24": "int32",
    "ALAC_32": "int32",
    "DOUBLE": "float64",
}

# Programs that write a WAV into a pipe cannot know its size and put something about this big.
UNKNOWN_SIZE = 0x7FFF0000

# What libsndfile says of a file that does not tell how many frames it has.
UNKNOWN_FRAMES = 2**63 - 1


def check_head(path):
    """Raise what `open` raises, and a ValueError if the file is empty, or a RIFF that was cut."""
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


def _open(path):
    """Open a file for reading from its beginning to its end."""
    import soundfile

    # As bytes, because a name need not be valid UTF-8.
    file = soundfile.SoundFile(os.fsencode(path))
    # soundfile seeks after each read of what it takes for seekable. That is not exact in MP3 and Opus: samples would
    # depend on the sizes of the reads.
    file.seekable = lambda: False
    return file


class SoundSource:
    """A sound file, read block by block.

    Parameters
    ----------
    path : path_like
        The file: whatever soundfile reads.
    dtype : {"int16", "int32", "float32", "float64"}, optional
        What to read it as; unless given, what holds its sample format without loss. Integers are full scale where
        floats are 1.0; what is beyond is clipped.
    seconds : float, optional
        Stop after this long, rounded to frames; unless given, or if the file is shorter, the whole file.

    Attributes
    ----------
    frames : int or None
        Frames that `read_into` will give. None if the file does not tell: MP3 has at best an estimate, a FLAC that was
        written into a pipe has nothing.

    Raises
    ------
    OSError
        The file is missing or unreadable.
    ValueError
        It is empty, truncated, not a sound file, holds no sound; or a parameter is out of range.

    Notes
    -----
    Thread: one at a time. Blocks: while the head of the file is read. Allocates: yes.
    """

    def __init__(self, path, dtype=None, *, seconds=None):
        dtype = None if dtype is None else as_dtype(dtype)
        self._path = os.fsdecode(path)
        self._position = 0
        check_head(self._path)
        import soundfile

        try:
            file = _open(self._path)
            known = file.format != "MP3" and file.frames < UNKNOWN_FRAMES
            silent = not file.frames
            if not known:
                # Seeking back is not exact in every format, so the first frame is looked at in another go.
                with _open(self._path) as probe:
                    silent = not len(probe.read(1))
        except (soundfile.LibsndfileError, TypeError) as error:
            # TypeError: a RAW file, of which soundfile wants to be told everything.
            reason = getattr(error, "error_string", error)
            raise ValueError(f"{self._path}: not a sound file that can be read: {reason}") from None
        if silent:
            raise ValueError(f"{self._path}: holds no sound")
        limit = as_frames(seconds, file.samplerate)
        self._file = file
        self.samplerate, self.channels, self.subtype = file.samplerate, file.channels, file.subtype
        self.dtype = dtype or DTYPES.get(file.subtype, "float32")
        self._promised = file.frames if known else None
        self.frames = min(file.frames, limit or file.frames) if known else None
        self._limit = self.frames if known else limit
        # libsndfile does not scale floats that it reads as integers: -1.0 to 1.0 would be -1 to 1.
        self._scales = file.subtype in ("FLOAT", "DOUBLE") and self.dtype.startswith("int")

    def read_into(self, array):
        """Read the next frames.

        Parameters
        ----------
        array : ndarray
            Where they go: shape ``(n, channels)``, C order, of the source's dtype.

        Returns
        -------
        int
            Frames read; less than ``n`` only at the end, 0 after it.

        Raises
        ------
        ValueError
            The file ends before the number of frames that it promised, cannot be decoded further, or is closed; or the
            array has another shape. A FLAC that was cut is noticed here, a WAV when it is opened. Of most others, OGG
            and MP3 among them, libsndfile takes the length from what is there: they end early, without an error.
        TypeError
            Not an array of the source's dtype.

        Notes
        -----
        Thread: one at a time. Blocks: while the file is read. Allocates: yes.
        """
        check_target(array, self.channels, self.dtype)
        if self._file is None:
            raise ValueError(f"{self._path}: the source is closed")
        want = len(array) if self._limit is None else min(len(array), self._limit - self._position)
        if not want:
            return 0
        import soundfile

        try:
            if self._scales:
                found = self._file.read(want, dtype="float64", always_2d=True)
                array[: len(found)] = scaled(found, self.dtype)
                got = len(found)
            else:
                got = len(self._file.read(out=array[:want]))
        except soundfile.LibsndfileError as error:
            # What was decoded before is in the array. The next read fails again, and at once.
            got = 0 if self._scales else self._file.tell() - self._position
            if not 0 < got <= want:
                raise ValueError(f"{self._where('truncated or damaged')}: {error.error_string}") from None
        if not got and self._promised is not None:
            raise ValueError(self._where("truncated"))
        self._position += got
        return got

    def _where(self, what):
        """Say up to where the file could be read."""
        of = "" if self._promised is None else f" of {self._promised}"
        return f"{self._path}: {what}: {self._position} frames{of}"

    def close(self):
        """Close the file; closing twice changes nothing.

        Notes
        -----
        Thread: one at a time. Blocks: no. Allocates: no.
        """
        file, self._file = self._file, None
        if file is not None:
            file.close()


def is_name(text):
    """Tell whether a text looks like the name of a device, and not like the path of a file."""
    return isinstance(text, str) and not any(mark and mark in text for mark in (".", os.sep, os.altsep))


def open_source(text_or_path, *, samplerate=None, channels=None, dtype=None, seconds=None):
    """Open what a text names: a generated sound, or else a file.

    Parameters
    ----------
    text_or_path : str or path_like
        ``"tone"`` (440 Hz), ``"tone:HZ"``, ``"sweep"`` (20 Hz to 20 kHz), ``"sweep:FROM-TO"``, ``"silence"``, or the
        path of a sound file (``"./tone"`` if it is called like that).
    samplerate : int or float, optional
        Frames per second: of a generated sound, 48000 unless given; a file must have it.
    channels : int, optional
        Audio channels: of a generated sound, 1 unless given; a file must have as many.
    dtype : {"int16", "int32", "float32", "float64"}, optional
        Of a generated sound, float32 unless given; of a file, what holds its samples without loss.
    seconds : float, optional
        How long, rounded to frames. Unless given a file is played whole, a sweep takes 10 s, the others have no end.

    Returns
    -------
    source
        A `SoundSource`, `Tone`, `Sweep` or `Silence`.

    Raises
    ------
    OSError
        The file is missing or unreadable.
    ValueError
        Nothing is called like that, the file is no sound or another one than asked for, a parameter is out of range.
    TypeError
        A parameter is not what it should be.

    Notes
    -----
    Thread: any. Blocks: while the head of a file is read. Allocates: yes.
    """
    name, colon, rest = text_or_path.partition(":") if isinstance(text_or_path, str) else ("", "", "")
    if name not in ("tone", "sweep", "silence"):
        return _open_file(text_or_path, samplerate, channels, dtype, seconds)
    options = {"samplerate": samplerate, "channels": channels, "dtype": dtype, "seconds": seconds}
    options = {key: value for key, value in options.items() if value is not None}
    numbers = rest.split("-") if colon else []
    try:
        numbers = [float(number) for number in numbers]
    except ValueError:
        numbers = None
    if name == "tone" and numbers is not None and len(numbers) <= 1:
        return Tone(*numbers, **options)
    if name == "sweep" and numbers is not None and len(numbers) in (0, 2):
        return Sweep(*numbers, **options)
    if name == "silence" and not colon:
        return Silence(**options)
    raise ValueError(
        f"{text_or_path!r} must be tone, tone:HZ, sweep, sweep:FROM-TO or silence, with numbers such as tone:440 or "
        f"sweep:20-20000; a file called like that is './{text_or_path}'"
    )


def _open_file(path, samplerate, channels, dtype, seconds):
    """Open a sound file that must have the samplerate and the channels asked for."""
    if is_name(path) and not os.path.exists(path):
        raise ValueError(
            f"no virtual input is called {path!r}: a sound file's path, tone[:HZ], sweep[:FROM-TO] or silence"
        )
    rate = None if samplerate is None else as_rate(samplerate)
    wide = None if channels is None else as_channels(channels)
    source = SoundSource(path, dtype, seconds=seconds)
    try:
        if rate not in (None, source.samplerate):
            raise ValueError(f"{path}: has {source.samplerate} frames per second, not {rate}: pong does not resample")
        if wide not in (None, source.channels):
            has = f"{source.channels} channel{'s' * (source.channels != 1)}"
            raise ValueError(f"{path}: has {has}, not {wide}: pong does not mix")
    except ValueError:
        source.close()
        raise
    return source
