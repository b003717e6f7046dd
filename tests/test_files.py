"""Sound files as sources and sinks: exact to the bit, clear when something is wrong, playable after a full disk."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pong.streams.files import SoundSink, SoundSource, open_sink, open_source

VOICE = Path(__file__).resolve().parent.parent / "pong" / "examples" / "voice.wav"
SPEECH, RATE = soundfile.read(VOICE, dtype="int32", always_2d=True)


def noise(frames, channels=1, dtype="int16", seed=1):
    """Return samples that no format guesses, each channel its own."""
    random = np.random.default_rng(seed)
    if dtype.startswith("float"):
        return random.uniform(-1, 1, (frames, channels)).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, (frames, channels), dtype, endpoint=True)


def read_all(source, *sizes):
    """Read a source to its end in blocks of these sizes, in turn; close it."""
    blocks, number = [], 0
    while True:
        block = np.empty((sizes[number % len(sizes)], source.channels), source.dtype)
        got = source.read_into(block)
        blocks.append(block[:got].copy())
        number += 1
        if got < len(block):
            assert source.read_into(block) == 0
            source.close()
            return np.concatenate(blocks)


def sound(tmp_path, name, samples, rate=48000, subtype=None):
    """Write a file with soundfile alone; return its path."""
    path = tmp_path / name
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def streamed(tmp_path):
    """Return the content of a FLAC that went into a pipe: 0 in the 36 bits of the number of samples."""
    content = bytearray(sound(tmp_path, "a.flac", SPEECH, RATE).read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    assert content[86:88] == b"\xff\xf8", "not the first frame"
    return content


# --- sources


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("rate", [8000, 44100, 192000])
@pytest.mark.parametrize(
    ("name", "subtype", "dtype"),
    [
        ("a.wav", "PCM_U8", "int16"),
        ("a.wav", "PCM_16", "int16"),
        ("a.wav", "PCM_24", "int32"),
        ("a.wav", "PCM_32", "int32"),
        ("a.wav", "FLOAT", "float32"),
        ("a.wav", "DOUBLE", "float64"),
        ("a.wav", "ULAW", "int16"),
        ("a.flac", "PCM_16", "int16"),
        ("a.flac", "PCM_24", "int32"),
        ("a.aiff", "PCM_16", "int16"),
        ("a.rf64", "PCM_24", "int32"),
    ],
)
def test_a_copy_is_exact(tmp_path, name, subtype, dtype, rate, channels):
    path = sound(tmp_path, name, noise(3000, channels, "float64"), rate, subtype)
    source = SoundSource(path)
    assert (source.samplerate, source.channels, source.subtype) == (rate, channels, subtype)
    assert (source.dtype, source.frames) == (dtype, 3000)
    out = tmp_path / f"out{path.suffix}"
    sink = SoundSink(out, samplerate=rate, channels=channels, dtype=dtype, subtype=subtype)
    block = np.empty((700, channels), dtype)
    while got := source.read_into(block):
        sink.write(block[:got])
    source.close()
    sink.close()
    assert sink.frames == 3000
    info = soundfile.info(out)
    assert (info.frames, info.samplerate, info.channels, info.subtype) == (3000, rate, channels, subtype)
    for kind in (dtype, "float64"):
        np.testing.assert_array_equal(soundfile.read(out, dtype=kind)[0], soundfile.read(path, dtype=kind)[0])


@pytest.mark.parametrize(
    ("name", "subtype", "rate"),
    [
        ("a.wav", "PCM_16", RATE),
        ("a.flac", "PCM_16", RATE),
        ("a.ogg", "VORBIS", RATE),
        ("a.ogg", "OPUS", 24000),
        ("a.mp3", None, RATE),
        ("a.wav", "IMA_ADPCM", RATE),
        ("a.caf", "ALAC_24", RATE),
    ],
)
def test_reads_of_any_size_give_the_same(tmp_path, name, subtype, rate):
    """Of MP3 and Opus too, where seeking is not exact."""
    path = sound(tmp_path, name, SPEECH[:20000], rate, subtype)
    whole = read_all(SoundSource(path), 100_000)
    assert len(whole) >= 20000
    for sizes in [(64,), (1, 3, 1000, 7), (4096,), (len(whole),)]:
        np.testing.assert_array_equal(read_all(SoundSource(path), *sizes), whole)


def test_what_compressed_files_know_of_their_length(tmp_path):
    assert SoundSource(sound(tmp_path, "a.ogg", SPEECH, RATE)).frames == len(SPEECH)
    assert SoundSource(sound(tmp_path, "a.mp3", SPEECH, RATE)).frames is None
    (tmp_path / "piped.flac").write_bytes(streamed(tmp_path))
    source = SoundSource(tmp_path / "piped.flac")
    assert source.frames is None
    assert len(read_all(source, 1000)) == len(SPEECH)


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "DOUBLE"])
def test_another_dtype_keeps_the_scale(tmp_path, subtype, dtype):
    """libsndfile alone would read floats as integers of -1 to 1."""
    samples = np.array([[0.0], [0.5], [-0.25], [-1.0], [0.125]])
    read = read_all(SoundSource(sound(tmp_path, "a.wav", samples, subtype=subtype), dtype), 3)
    assert read.dtype == dtype
    full = 1 if dtype.startswith("float") else 2.0 ** (np.iinfo(dtype).bits - 1)
    np.testing.assert_array_equal(read, samples * full)


def test_what_is_beyond_full_scale_is_clipped(tmp_path):
    path = sound(tmp_path, "a.wav", np.array([[1.0], [2.0], [-2.0]]), subtype="FLOAT")
    assert read_all(SoundSource(path, "int16"), 9).tolist() == [[32767], [32767], [-32768]]


@pytest.mark.parametrize(("seconds", "frames"), [(0.5, 500), (0.0104, 10), (1.0, 1000), (7, 1000)])
def test_seconds_limit_a_file(tmp_path, seconds, frames):
    path = sound(tmp_path, "a.wav", noise(1000), 1000)
    source = SoundSource(path, seconds=seconds)
    assert source.frames == frames
    np.testing.assert_array_equal(read_all(source, 64), soundfile.read(path, dtype="int16", always_2d=True)[0][:frames])
    assert len(read_all(open_source(str(path), seconds=seconds), 64)) == frames


def test_seconds_limit_a_file_that_does_not_know_its_length(tmp_path):
    source = SoundSource(sound(tmp_path, "a.mp3", SPEECH, RATE), seconds=1)
    assert source.frames is None
    assert len(read_all(source, 1000)) == RATE


def broken(tmp_path, kind):
    """Make a bad input; return its path."""
    path = tmp_path / ("in.raw" if kind == "raw" else "in.wav")
    content = {
        "empty": b"",
        "truncated": VOICE.read_bytes()[:20000],
        "not a WAV": b"This is no sound at all. " * 40,
        "header only": VOICE.read_bytes()[:7],
        "raw": bytes(100),
    }
    if kind == "no frames":
        soundfile.write(path, np.zeros((0, 1)), 48000)
    elif kind == "no frames in FLAC":
        path.write_bytes(streamed(tmp_path)[:86])  # All but the encoded sound.
    elif kind == "a folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(content[kind])
    return path


@pytest.mark.parametrize("opened", [SoundSource, open_source])
@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        ("missing", FileNotFoundError, "No such file"),
        ("empty", ValueError, "the file is empty"),
        ("truncated", ValueError, "truncated: 20000 bytes of"),
        ("not a WAV", ValueError, "not a sound file that can be read"),
        ("header only", ValueError, "not a sound file that can be read"),
        ("no frames", ValueError, "holds no sound"),
        ("no frames in FLAC", ValueError, "holds no sound"),
        ("raw", ValueError, "not a sound file that can be read: samplerate must be specified"),
        ("a folder", IsADirectoryError, "directory"),
    ],
)
def test_bad_inputs(tmp_path, kind, error, text, opened):
    path = broken(tmp_path, kind)
    with pytest.raises(error, match=text) as caught:
        opened(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kept", [0.9, 0.5, 0.1])
def test_a_flac_that_was_cut(tmp_path, kept):
    path = sound(tmp_path, "a.flac", SPEECH, RATE, "PCM_16")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    source = SoundSource(path)
    assert source.frames == len(SPEECH)
    with pytest.raises(ValueError, match=rf"a\.flac: truncated.*: \d+ frames of {len(SPEECH)}"):
        read_all(source, 100)
    source.close()


def test_an_ogg_that_was_cut_ends_early(tmp_path):
    path = sound(tmp_path, "a.ogg", SPEECH, RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = SoundSource(path)
    assert 0 < source.frames < len(SPEECH)
    assert len(read_all(source, 100)) < len(SPEECH)


def test_a_wav_that_is_cut_while_it_is_read(tmp_path):
    path = sound(tmp_path, "a.wav", noise(10_000))
    source = SoundSource(path)
    assert source.read_into(np.empty((1000, 1), "int16")) == 1000
    os.truncate(path, 44 + 2 * 4500)
    assert source.read_into(np.empty((9000, 1), "int16")) == 3500
    with pytest.raises(ValueError, match=r"a\.wav: truncated: 4500 frames of 10000"):
        source.read_into(np.empty((1000, 1), "int16"))
    source.close()


def test_a_name_that_is_not_utf_8(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"\xff.wav")
    sink = SoundSink(path, samplerate=8000, channels=1, dtype="int16")
    sink.write(noise(10))
    sink.close()
    for name in (path, os.fsdecode(path)):
        np.testing.assert_array_equal(read_all(SoundSource(name), 4), noise(10))


@pytest.mark.parametrize(
    ("array", "error", "text"),
    [
        (np.zeros((4, 1), "int16"), ValueError, r"shape \(frames, 2\), not \(4, 1\)"),
        (np.zeros(4, "int16"), ValueError, r"shape \(frames, 2\), not \(4,\)"),
        (np.zeros((4, 2), "int32"), TypeError, "ndarray of int16, not int32"),
        ([[1, 2]], TypeError, "ndarray of int16, not list"),
        (np.zeros((4, 2), "int16", order="F"), ValueError, "writable and in C order"),
        (np.broadcast_to(np.int16(0), (4, 2)), ValueError, "writable and in C order"),
    ],
)
def test_bad_arrays(tmp_path, array, error, text):
    source = SoundSource(sound(tmp_path, "a.wav", noise(10, 2)))
    with pytest.raises(error, match=text):
        source.read_into(array)
    assert len(read_all(source, 100)) == 10
    with pytest.raises(ValueError, match=r"a\.wav: the source is closed"):
        source.read_into(np.zeros((4, 2), "int16"))
    source.close()
    if "C order" not in text:
        sink = SoundSink(tmp_path / "b.wav", samplerate=8000, channels=2, dtype="int16")
        with pytest.raises(error, match=text):
            sink.write(array)
        sink.close()
        assert sink.frames == 0
        with pytest.raises(ValueError, match=r"b\.wav: the sink is closed"):
            sink.write(np.zeros((4, 2), "int16"))


def test_reading_nothing_is_not_the_end(tmp_path):
    source = SoundSource(sound(tmp_path, "a.wav", noise(10)))
    assert source.read_into(np.empty((0, 1), "int16")) == 0
    assert len(read_all(source, 4)) == 10


# --- sinks


@pytest.mark.parametrize(
    ("name", "dtype", "subtype"),
    [
        ("a.wav", "int16", "PCM_16"),
        ("a.wav", "int32", "PCM_32"),
        ("a.wav", "float32", "FLOAT"),
        ("a.wav", "float64", "DOUBLE"),
        ("a.WAV", "int16", "PCM_16"),
        ("a.flac", "int16", "PCM_16"),
        ("a.flac", "int32", "PCM_24"),
        ("a.ogg", "int16", "VORBIS"),
        ("a.ogg", "float32", "VORBIS"),
        ("a.mp3", "float32", "MPEG_LAYER_III"),
    ],
)
def test_the_sample_format_follows_the_dtype(tmp_path, name, dtype, subtype):
    sink = open_sink(tmp_path / name, samplerate=48000.0, channels=1, dtype=dtype)
    assert (sink.subtype, sink.samplerate, sink.channels, sink.dtype) == (subtype, 48000, 1, dtype)
    sink.write(np.zeros((5000, 1), dtype))
    assert sink.frames == 5000
    sink.close()
    sink.close()
    assert soundfile.info(tmp_path / name).subtype == subtype


@pytest.mark.parametrize("dtype", ["int16", "int32"])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_integers_in_a_float_file_keep_the_scale(tmp_path, dtype, subtype):
    sink = SoundSink(tmp_path / "a.wav", samplerate=8000, channels=1, dtype=dtype, subtype=subtype)
    bits = np.iinfo(dtype).bits
    sink.write(np.array([[2 ** (bits - 2)], [-(2 ** (bits - 1))], [0]], dtype))
    sink.close()
    assert soundfile.read(tmp_path / "a.wav")[0].tolist() == [0.5, -1.0, 0.0]


GOOD = {"samplerate": 48000, "channels": 1, "dtype": "int16"}


@pytest.mark.parametrize(
    ("name", "options", "error", "text"),
    [
        ("missing/out.wav", {}, FileNotFoundError, "No such file"),
        ("out", {}, ValueError, "the ending must name a format: one of aiff, au"),
        ("out.xyz", {}, ValueError, "must name a format"),
        ("folder.wav", {}, IsADirectoryError, "directory"),
        ("kept.ogg", {"subtype": "PCM_16"}, ValueError, "cannot hold the input's sample format, PCM_16"),
        ("kept.wav", {"subtype": "MPEG_LAYER_III"}, ValueError, "WAV cannot hold the input's MPEG_LAYER_III"),
        ("kept.flac", {"dtype": "float32"}, ValueError, "FLAC cannot hold float32: give a subtype, one of PCM_16"),
        ("kept.caf", {"subtype": "ALAC_16"}, ValueError, "ALAC_16 is not written: libsndfile may lose it"),
        ("kept.flac", {"channels": 9}, ValueError, "FLAC cannot hold"),
        ("kept.wav", {"dtype": "int8"}, ValueError, "dtype must be one of int16, int32, float32, float64, not 'int8'"),
        ("kept.wav", {"dtype": ">i2"}, ValueError, "dtype must be one of"),
        ("kept.wav", {"dtype": None}, ValueError, "dtype must be one of"),
        ("kept.wav", {"dtype": "x"}, ValueError, "dtype must be one of"),
        ("kept.wav", {"samplerate": 44100.5}, ValueError, "whole number for a sound file, not 44100.5"),
        ("kept.wav", {"samplerate": 0}, ValueError, "samplerate must be more than 0 and at most"),
        ("kept.wav", {"samplerate": float("nan")}, ValueError, "samplerate must be more than 0"),
        ("kept.wav", {"samplerate": "1"}, TypeError, "samplerate must be a number"),
        ("kept.wav", {"samplerate": True}, TypeError, "samplerate must be a number"),
        ("kept.wav", {"channels": 0}, ValueError, "channels must be from 1 to 1024, not 0"),
        ("kept.wav", {"channels": 1.0}, TypeError, "channels must be a whole number"),
        ("kept.wav", {"subtype": 16}, TypeError, "subtype must be a str such as 'PCM_16', not 16"),
    ],
)
def test_bad_outputs(tmp_path, name, options, error, text):
    (tmp_path / "folder.wav").mkdir()
    if name.startswith("kept"):
        (tmp_path / name).write_bytes(b"kept")
    with pytest.raises(error, match=text):
        SoundSink(tmp_path / name, **{**GOOD, **options})
    if name.startswith("kept"):
        assert (tmp_path / name).read_bytes() == b"kept"


def test_a_pipe_cannot_hold_a_header(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    reader = os.open(tmp_path / "a.wav", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(OSError, match=r"a\.wav: cannot be written: not a regular file"):
        SoundSink(tmp_path / "a.wav", **GOOD)
    os.close(reader)
