"""Generated sources, and what names stand for: every sample depends on its place alone."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pong.streams.files import NullSink, Silence, SoundSink, SoundSource, Sweep, Tone, open_sink, open_source

VOICE = Path(__file__).resolve().parent.parent / "pong" / "examples" / "voice.wav"
DTYPES = {"int16": "PCM_16", "int32": "PCM_32", "float32": "FLOAT", "float64": "DOUBLE"}


def read(source, frames, *sizes):
    """Read so many frames in blocks of these sizes, in turn."""
    blocks, number, left = [], 0, frames
    while left:
        block = np.empty((min(sizes[number % len(sizes)], left), source.channels), source.dtype)
        assert source.read_into(block) == len(block)
        blocks.append(block)
        left -= len(block)
        number += 1
    return np.concatenate(blocks)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("make", [Tone, Sweep, Silence])
def test_what_a_source_says_of_itself(make, channels, dtype):
    source = make(samplerate=44100, channels=channels, dtype=dtype, seconds=0.1)
    assert (source.samplerate, source.channels, source.dtype) == (44100, channels, dtype)
    assert (source.subtype, source.frames) == (DTYPES[dtype], 4410)
    block = np.full((5000, channels), 1, dtype)
    assert source.read_into(block) == 4410
    assert source.read_into(block) == 0
    assert (block[:4410] == block[:4410, :1]).all()
    assert (block[4410:] == 1).all()
    source.close()
    source.close()
    with pytest.raises(ValueError, match="the source is closed"):
        source.read_into(block)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(1,), (1, 3, 1000, 7), (1023,), (1024,), (5000,)])
@pytest.mark.parametrize("make", [Tone, Sweep, Silence])
def test_reads_of_any_size_give_the_same(make, sizes, dtype):
    np.testing.assert_array_equal(read(make(dtype=dtype), 5000, *sizes), read(make(dtype=dtype), 5000, 4096))


@pytest.mark.parametrize("frequency", [440, 0.5, 1000.25, 23999])
@pytest.mark.parametrize("amplitude", [0.5, 1])
def test_a_tone_is_a_sine(frequency, amplitude):
    tone = read(Tone(frequency, amplitude=amplitude, dtype="float64"), 48000, 1000)[:, 0]
    wanted = amplitude * np.sin(2 * np.pi * frequency * np.arange(48000) / 48000)
    np.testing.assert_allclose(tone, wanted, atol=1e-10)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tone_of_whole_hertz_never_drifts(dtype):
    tone = Tone(441, dtype=dtype, samplerate=44100)
    first = read(tone, 44100, 44100)
    for _ in range(5):
        np.testing.assert_array_equal(read(tone, 44100, 999), first)


@pytest.mark.parametrize(("dtype", "full"), [("int16", 2**15), ("int32", 2**31)])
@pytest.mark.parametrize("amplitude", [0.5, 1])
def test_integers_are_rounded_and_clipped(dtype, full, amplitude):
    exact = read(Tone(1000, amplitude=amplitude, dtype="float64"), 480, 480) * full
    samples = read(Tone(1000, amplitude=amplitude, dtype=dtype), 480, 480)
    np.testing.assert_array_equal(samples, np.clip(np.rint(exact), -full, full - 1))
    assert samples.max() == min(amplitude * full, full - 1)


@pytest.mark.parametrize(("start", "stop"), [(20, 20000), (5000, 50), (100.5, 101)])
def test_a_sweep_is_exponential_and_continuous(start, stop):
    """The phase's slope is the frequency: equal factors in equal times, from start to stop."""
    sweep = read(Sweep(start, stop, seconds=2, dtype="float64", amplitude=1), 96000, 1000)[:, 0]
    time = np.arange(96000) / 48000
    growth = np.log(stop / start) / 2
    phase = 2 * np.pi * start / growth * (np.exp(growth * time) - 1)
    np.testing.assert_allclose(sweep, np.sin(phase), atol=1e-7)
    assert np.abs(np.diff(sweep)).max() <= 2 * np.pi * max(start, stop) / 48000


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Tone(0), ValueError, "frequency must be more than 0 and below half the samplerate, 24000 Hz, not 0"),
        (lambda: Tone(24000), ValueError, "frequency must be more than 0 and below"),
        (lambda: Tone(float("nan")), ValueError, "frequency must be"),
        (lambda: Tone("440"), TypeError, "frequency must be a number, not '440'"),
        (lambda: Tone(True), TypeError, "frequency must be a number"),
        (lambda: Tone(amplitude=1.1), ValueError, "amplitude must be more than 0 and at most 1"),
        (lambda: Tone(amplitude=0), ValueError, "amplitude must be"),
        (lambda: Tone(samplerate=-1), ValueError, "samplerate must be more than 0"),
        (lambda: Tone(samplerate=float("inf")), ValueError, "samplerate must be more than 0"),
        (lambda: Tone(samplerate=1j), TypeError, "samplerate must be a number"),
        (lambda: Tone(channels=0), ValueError, "channels must be from 1 to 1024, not 0"),
        (lambda: Tone(channels=1025), ValueError, "channels must be from 1 to 1024"),
        (lambda: Tone(channels="2"), TypeError, "channels must be a whole number"),
        (lambda: Tone(channels=True), TypeError, "channels must be a whole number"),
        (lambda: Tone(dtype="int8"), ValueError, "dtype must be one of int16, int32, float32, float64, not 'int8'"),
        (lambda: Tone(seconds=0), ValueError, "seconds must be more than 0"),
        (lambda: Tone(seconds=float("inf")), ValueError, "seconds must be more than 0 and at most"),
        (lambda: Tone(seconds=1e-9), ValueError, "seconds must be a frame or more, 1/48000, not 1e-09"),
        (lambda: Silence(seconds="1"), TypeError, "seconds must be a number"),
        (lambda: Sweep(stop=24000), ValueError, "stop must be more than 0 and below half the samplerate"),
        (lambda: Sweep(start=-1), ValueError, "start must be more than 0"),
        (lambda: Sweep(100, 100), ValueError, "start and stop must differ, both are 100"),
        (lambda: Sweep(seconds=None), TypeError, "seconds must be a number: a sweep has an end"),
        (lambda: Silence().read_into(np.zeros((4, 2), "float32")), ValueError, r"shape \(frames, 1\), not \(4, 2\)"),
        (lambda: Silence().read_into(np.zeros((4, 1))), TypeError, "ndarray of float32, not float64"),
    ],
)
def test_bad_parameters(make, error, text):
    with pytest.raises(error, match=text):
        make()


# --- names


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("tone", lambda: Tone()),
        ("tone:1000", lambda: Tone(1000)),
        ("tone:0.5", lambda: Tone(0.5)),
        ("sweep", lambda: Sweep()),
        ("sweep:100-200.5", lambda: Sweep(100, 200.5)),
        ("silence", lambda: Silence()),
    ],
)
def test_names_of_inputs(name, same):
    source, wanted = open_source(name), same()
    assert (source.samplerate, source.channels, source.dtype) == (48000, 1, "float32")
    assert (type(source), source.frames) == (type(wanted), wanted.frames)
    np.testing.assert_array_equal(read(source, 3000, 512), read(wanted, 3000, 512))
    source = open_source(name, samplerate=96000, channels=2, dtype="int32", seconds=0.5)
    assert (source.samplerate, source.channels, source.dtype, source.frames) == (96000, 2, "int32", 48000)


@pytest.mark.parametrize(
    "name", ["tone:", "tone:abc", "tone:1:2", "tone:1-2", "sweep:", "sweep:1", "sweep:1-2-3", "sweep:a-b", "silence:1"]
)
def test_names_that_say_too_much_or_too_little(name):
    with pytest.raises(ValueError, match="must be tone, tone:HZ, sweep, sweep:FROM-TO or silence") as caught:
        open_source(name)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(("name", "text"), [("tone:24000", "frequency must be"), ("sweep:0-100", "start must be")])
def test_names_out_of_range(name, text):
    with pytest.raises(ValueError, match=text):
        open_source(name)


@pytest.mark.parametrize("name", ["hdmi", "hdmi:0", "Tone", ""])
def test_unknown_names(name):
    with pytest.raises(ValueError, match=r"no virtual input is called '.*': a sound file's path, tone\[") as caught:
        open_source(name)
    assert repr(name) in str(caught.value)
    with pytest.raises(ValueError, match=r"no virtual output is called '.*': a sound file's path or null"):
        open_sink(name, samplerate=48000, channels=1, dtype="int16")


@pytest.mark.parametrize("path", ["./hdmi", "hdmi.wav", "a/b", Path("hdmi")])
def test_paths_that_are_missing(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="No such file"):
        open_source(path)


def test_files_called_like_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("tone", "hdmi"):
        Path(name).write_bytes(VOICE.read_bytes())
    for path in ("./tone", Path("tone"), "hdmi"):
        source = open_source(path)
        assert isinstance(source, SoundSource)
        source.close()
    assert isinstance(open_source("tone"), Tone)


def test_a_file_must_be_what_was_asked_for():
    source = open_source(VOICE, samplerate=22050.0, channels=1, dtype="float64", seconds=1)
    assert (source.samplerate, source.channels, source.dtype, source.frames) == (22050, 1, "float64", 22050)
    source.close()
    with pytest.raises(ValueError, match=r"voice\.wav: has 22050 frames per second, not 48000: pong does not resample"):
        open_source(str(VOICE), samplerate=48000)
    with pytest.raises(ValueError, match=r"voice\.wav: has 1 channel, not 2: pong does not mix"):
        open_source(VOICE, channels=2)
    with pytest.raises(ValueError, match="dtype must be one of int16, int32, float32, float64, not 'uint8'"):
        open_source(VOICE, dtype="uint8")
    with pytest.raises(ValueError, match="seconds must be more than 0"):
        open_source(VOICE, seconds=-1)


def test_names_of_outputs(tmp_path):
    sink = open_sink("null", samplerate=44100.5, channels=2, dtype="int16")
    assert (type(sink), sink.samplerate, sink.subtype) == (NullSink, 44100.5, "PCM_16")
    sink.write(np.zeros((10, 2), "int16"))
    sink.write(np.zeros((0, 2), "int16"))
    with pytest.raises(ValueError, match="shape"):
        sink.write(np.zeros((10, 1), "int16"))
    sink.close()
    sink.close()
    assert sink.frames == 10
    with pytest.raises(ValueError, match="the sink is closed"):
        sink.write(np.zeros((10, 2), "int16"))
    sink = open_sink(str(tmp_path / "null.wav"), samplerate=44100, channels=2, dtype="int16", subtype="pcm_24")
    assert (type(sink), sink.subtype) == (SoundSink, "PCM_24")
    sink.close()
    assert soundfile.info(tmp_path / "null.wav").subtype == "PCM_24"


def test_only_files_need_soundfile(tmp_path):
    (tmp_path / "soundfile.py").write_text("raise ImportError('absent', name='soundfile')\n")
    program = f"""
import numpy
from pong.streams.files import open_sink, open_source
for name in ("tone", "sweep", "silence"):
    assert open_source(name).read_into(numpy.empty((10, 1), "float32")) == 10
open_sink("null", samplerate=8000, channels=1, dtype="int16").write(numpy.zeros((1, 1), "int16"))
sink = lambda: open_sink("a.wav", samplerate=8000, channels=1, dtype="int16")
for call in (lambda: open_source({str(VOICE)!r}), sink):
    try:
        call()
    except ImportError as error:
        assert error.name == "soundfile"
    else:
        raise SystemExit("it was not needed")
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=60)
    assert not (tmp_path / "a.wav").exists()
