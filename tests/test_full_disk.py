"""Sound files on a full disk: what was written is kept, can be played, and is counted."""

import errno
import resource
from contextlib import contextmanager, suppress

import numpy as np
import pytest
import soundfile

from pong.streams.files import SoundSink, SoundSource

RATE = 24000
LIMIT = 50_000  # bytes


@contextmanager
def small_disk(limit=LIMIT):
    """Let no file of this process grow further: the system's answer is an error like that of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def noise(frames, channels, dtype):
    """Return samples that cannot be compressed much."""
    wave = np.random.default_rng(1).uniform(-1, 1, (frames, channels))
    return wave.astype(dtype) if dtype.startswith("float") else (wave * np.iinfo(dtype).max).astype(dtype)


def fill(sink, samples, size):
    """Write blocks until an error; return it, and how many frames were accepted before."""
    for begin in range(0, len(samples), size):
        try:
            sink.write(samples[begin : begin + size])
        except OSError as error:
            return error, begin
    try:
        sink.close()
    except OSError as error:
        return error, len(samples)
    raise AssertionError("there was room for everything")


def read_back(path, channels):
    """Read a file to where it ends, or cannot be read on; return the frames that it claims and the samples."""
    source = SoundSource(path)
    blocks = []
    block = np.empty((500, channels), source.dtype)
    with suppress(ValueError):
        while got := source.read_into(block):
            blocks.append(block[:got].copy())
    source.close()
    return source.frames, np.concatenate(blocks)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [500, 2000])
@pytest.mark.parametrize(
    ("name", "subtype", "dtype", "held_back"),
    [
        ("a.wav", "PCM_16", "int16", 0),
        ("a.wav", "PCM_24", "int32", 0),
        ("a.wav", "FLOAT", "float32", 0),
        ("a.wav", "DOUBLE", "float64", 0),
        ("a.aiff", "PCM_16", "int16", 0),
        ("a.rf64", "PCM_16", "int16", 0),
        ("a.w64", "PCM_24", "int32", 0),
        ("a.flac", "PCM_16", "int16", 4096),
        ("a.flac", "PCM_24", "int32", 4096),
    ],
)
def test_what_was_written_is_kept(tmp_path, name, subtype, dtype, held_back, size, channels):
    """The header tells the right length, and the samples up to there are exact."""
    samples = noise(60_000, channels, dtype)
    if subtype == "PCM_24":
        samples &= ~0xFF
    sink = SoundSink(tmp_path / name, samplerate=RATE, channels=channels, dtype=dtype, subtype=subtype)
    with small_disk():
        error, accepted = fill(sink, samples, size)
    assert error.errno == errno.EFBIG
    assert str(tmp_path / name) in str(error)
    assert "cannot be written: File too large" in str(error)
    with pytest.raises(ValueError, match="the sink is closed"):
        sink.write(samples[:1])
    sink.close()
    claimed, found = read_back(tmp_path / name, channels)
    assert claimed == len(found) == sink.frames > 0
    assert accepted - held_back <= sink.frames < accepted + size
    np.testing.assert_array_equal(found, samples[: len(found)])
    assert soundfile.info(tmp_path / name).frames == sink.frames


@pytest.mark.parametrize(
    ("name", "subtype", "dtype"),
    [
        ("a.ogg", "VORBIS", "float32"),
        ("a.ogg", "OPUS", "float32"),
        ("a.mp3", "MPEG_LAYER_III", "float32"),
    ],
)
def test_encoders_that_notice_late(tmp_path, name, subtype, dtype):
    """Of an OGG that is seen by nobody but us: libsndfile goes on. Frames are those that can be read back."""
    sink = SoundSink(tmp_path / name, samplerate=RATE, channels=1, dtype=dtype, subtype=subtype)
    with small_disk():
        error, accepted = fill(sink, noise(400_000, 1, dtype), 1000)
    assert error.errno == errno.EFBIG
    sink.close()
    claimed, found = read_back(tmp_path / name, 1)
    assert 0 < sink.frames == len(found) < accepted
    if name == "a.ogg":
        assert claimed == sink.frames


def test_no_room_for_the_header(tmp_path):
    with small_disk(20), pytest.raises(OSError, match=r"a\.wav: cannot be written: File too large"):
        SoundSink(tmp_path / "a.wav", samplerate=RATE, channels=1, dtype="int16")


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.raw"])
def test_no_room_for_anything(tmp_path, name):
    sink = SoundSink(tmp_path / name, samplerate=RATE, channels=1, dtype="int16")
    with small_disk(20):
        error, accepted = fill(sink, noise(60_000, 1, "int16"), 30_000)
    assert error.errno == errno.EFBIG
    assert (accepted, sink.frames) == (0, 0)


def test_a_header_without_sound(tmp_path):
    sink = SoundSink(tmp_path / "a.wav", samplerate=RATE, channels=1, dtype="int16")
    with small_disk(50):
        assert fill(sink, noise(60_000, 1, "int16"), 1000)[1] == 0
    assert sink.frames == soundfile.info(tmp_path / "a.wav").frames == 0


def test_a_device_without_room(tmp_path):
    (tmp_path / "full.wav").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"full\.wav: cannot be written: No space left") as caught:
        SoundSink(tmp_path / "full.wav", samplerate=RATE, channels=1, dtype="int16")
    assert caught.value.errno == errno.ENOSPC


def test_an_interruption_comes_through(tmp_path, monkeypatch):
    """Ctrl-C while libsndfile writes is not taken for an error of the disk; the file is finished like after one."""
    sink = SoundSink(tmp_path / "a.wav", samplerate=RATE, channels=1, dtype="int16")
    sink.write(noise(100, 1, "int16"))

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sink.write(noise(100, 1, "int16"))
    assert sink.frames == 100
    with pytest.raises(ValueError, match="the sink is closed"):
        sink.write(noise(100, 1, "int16"))
