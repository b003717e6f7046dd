"""`pong record`, as a person runs it: exact on real speech, clear when something is wrong."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from commands import VOICE, assert_refused, pong, samples_of, speech, without

from pong.__main__ import loss_of
from pong.recording import Recording


def test_the_bundled_voice_is_small_and_speech():
    info = soundfile.info(VOICE)
    assert VOICE.stat().st_size <= 200_000
    assert info.duration > 2
    assert np.abs(samples_of(VOICE)).max() > 2**28


@pytest.mark.parametrize(
    "options", [[], ["--blocksize", 1], ["--blocksize", 1000, "--callback-size", 480, "--buffers", 2], ["--buffers", 1]]
)
def test_speech_is_copied_bit_by_bit(tmp_path, options):
    out = tmp_path / "out.wav"
    done = pong("record", out, "--input", f"virtual:{VOICE}", *options, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert out.read_bytes() == VOICE.read_bytes()
    assert f"{soundfile.info(VOICE).frames} frames" in done.stdout
    assert " 0 lost" in done.stdout


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_sample_format_is_kept(tmp_path, subtype, channels):
    source, out = tmp_path / "in.wav", tmp_path / "out.wav"
    soundfile.write(source, speech(9000, channels), 44100, subtype=subtype)
    done = pong("record", out, "--input", f"virtual:{source}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert soundfile.info(out).subtype == subtype
    for dtype in ("int32", "float64"):
        np.testing.assert_array_equal(soundfile.read(out, dtype=dtype)[0], soundfile.read(source, dtype=dtype)[0])


def test_flac(tmp_path):
    out = tmp_path / "out.flac"
    assert pong("record", out, "--input", f"virtual:{VOICE}", cwd=tmp_path).returncode == 0
    np.testing.assert_array_equal(samples_of(out), samples_of(VOICE))


def test_as_installed_command(tmp_path):
    command = Path(sys.executable).with_name("pong")
    shown = subprocess.run([command, "record", "--help"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "--callback-size" in shown.stdout


def broken(tmp_path, kind):
    """Make a bad input; return its path."""
    path = tmp_path / "in.wav"
    content = {
        "empty": b"",
        "truncated": VOICE.read_bytes()[:20000],
        "not a WAV": b"This is no sound at all. " * 40,
        "header only": VOICE.read_bytes()[:7],
    }
    if kind == "no frames":
        soundfile.write(path, np.zeros((0, 1)), 48000)
    elif kind == "a folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(content[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("missing", "No such file"),
        ("empty", "the file is empty"),
        ("truncated", "truncated: 20000 bytes of"),
        ("not a WAV", "not a sound file"),
        ("header only", "not a sound file"),
        ("no frames", "holds no sound"),
        ("a folder", "directory"),
    ],
)
def test_bad_inputs(tmp_path, kind, text):
    source, out = broken(tmp_path, kind), tmp_path / "out.wav"
    done = pong("record", out, "--input", f"virtual:{source}", cwd=tmp_path)
    assert_refused(done, text, f"{source}: ")
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("missing/out.wav", "missing/out.wav: No such file"),
        ("out", "must name a format"),
        ("out.xyz", "must name a format"),
        (".", "must name a format"),
        ("", "must name a format"),
        ("folder.wav", "folder.wav: Is a directory"),
        ("pipe.wav", "pipe.wav: cannot be written: not a regular file"),
        ("full.wav", "full.wav: cannot be written: No space left on device"),
        ("out.ogg", "OGG cannot hold the input's sample format, PCM_16: choose another, such as --dtype int16"),
    ],
)
def test_bad_outputs(tmp_path, name, text):
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "full.wav").symlink_to("/dev/full")
    os.mkfifo(tmp_path / "pipe.wav")
    assert_refused(pong("record", name, "--input", f"virtual:{VOICE}", cwd=tmp_path), text)


def test_an_unfit_format_leaves_the_output_alone(tmp_path):
    """libsndfile says that a WAV may hold MP3 samples, and then refuses."""
    source, out = tmp_path / "in.mp3", tmp_path / "out.wav"
    soundfile.write(source, speech(20000), 22050, format="MP3")
    out.write_bytes(b"kept")
    assert_refused(pong("record", out, "--input", f"virtual:{source}", cwd=tmp_path), "cannot hold the input's")
    assert out.read_bytes() == b"kept"


def test_lost_frames_are_told(tmp_path):
    """What is in the file is the rest of the sound, in order: whole callbacks are missing."""
    options = ["--speed", "1000", "--buffers", "1", "--blocksize", "64", "--callback-size", "64"]
    done = pong("record", "out.wav", "--input", f"virtual:{VOICE}", *options, cwd=tmp_path)
    lost = soundfile.info(VOICE).frames - soundfile.info(tmp_path / "out.wav").frames
    assert lost > 0
    assert f", {lost} lost\n" in done.stdout
    assert done.returncode == 1
    assert done.stderr.startswith(f"pong: {lost} frames were lost")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("by_device", "words"), [
    (0, "were lost: no buffer was free in time (see --buffers)"),
    (7, "were lost by the device or its server, which were late: more buffers do not help"),
    (3, "were lost: 3 by the device or its server, which were late, the others because no buffer was free in time"),
])
def test_who_lost_frames_is_told(by_device, words):
    assert loss_of(Recording(100, 1, 7, by_device, 48000.0, 1, None)).startswith(words)


def test_the_input_is_not_overwritten(tmp_path):
    copy = tmp_path / "voice.wav"
    copy.write_bytes(VOICE.read_bytes())
    (tmp_path / "same.wav").symlink_to(copy)
    done = pong("record", "same.wav", "--input", f"virtual:{copy}", cwd=tmp_path)
    assert_refused(done, "same.wav: the output is the input")
    assert copy.read_bytes() == VOICE.read_bytes()


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["alsa:0"], 1, "input must be virtual:FILE"),
        (["virtual:"], 1, "input must be virtual:FILE"),
        ([VOICE], 1, f"did you mean virtual:{VOICE}?"),
        (["virtual:ton"], 1, "no virtual input is called 'ton': a sound file's path, tone[:HZ]"),
        (["virtual:tone:high"], 1, "with numbers such as tone:440"),
        (["virtual:tone:24000"], 1, "below half the samplerate, 24000 Hz"),
        (["virtual:sweep:20"], 1, "must be tone, tone:HZ, sweep, sweep:FROM-TO or silence"),
        (["virtual:silence:1"], 1, "must be tone"),
        (["virtual:tone", "--seconds", "0"], 2, "must be more than 0"),
        (["virtual:tone", "--seconds", "1e-9"], 1, "seconds must be a frame or more"),
        (["virtual:tone", "--seconds", "1e300"], 1, "seconds must be more than 0 and at most 1000000000"),
        (["virtual:tone", "--samplerate", "0"], 2, "must be a number from 1 up"),
        (["virtual:tone", "--samplerate", "44100.5"], 2, "must be a number from 1 up, not '44100.5'"),
        (["virtual:tone", "--channels", "1025"], 2, "must be a number from 1 to 1024"),
        (["virtual:tone", "--dtype", "int8"], 2, "'int16', 'int24', 'int32', 'float32', 'float64'"),
        ([f"virtual:{VOICE}", "--samplerate", "48000"], 1, "has 22050 frames per second, not 48000"),
        ([f"virtual:{VOICE}", "--channels", "2"], 1, "not 2: pong does not mix"),
        ([f"virtual:{VOICE}", "--buffers", "0"], 2, "must be a number from 1 to 1024"),
        ([f"virtual:{VOICE}", "--buffers", "9999"], 2, "must be a number from 1 to 1024"),
        ([f"virtual:{VOICE}", "--blocksize", "x"], 2, "must be a number"),
        ([f"virtual:{VOICE}", "--callback-size", "-1"], 2, "must be a number"),
        ([f"virtual:{VOICE}", "--speed", "nan"], 2, "must be a number"),
        ([f"virtual:{VOICE}", "--speed", "inf"], 2, "must be a number"),
        ([f"virtual:{VOICE}", "--buffer-count", "2"], 2, "unrecognized arguments: --buffer-count"),
    ],
)
def test_bad_options(tmp_path, options, code, text):
    assert_refused(pong("record", "out.wav", "--input", *options, cwd=tmp_path), text, code=code)
    assert list(tmp_path.iterdir()) == []


def test_without_an_input(tmp_path):
    assert_refused(pong("record", "out.wav", cwd=tmp_path), "are required: --input", code=2)


def test_a_pool_that_does_not_fit_into_memory(tmp_path):
    """The address space is limited, for the machine of the test may have much."""
    options = ["--blocksize", "16777216", "--buffers", "1024"]
    limit = (4 << 30, 4 << 30)
    done = pong("record", "out.wav", "--input", f"virtual:{VOICE}", *options, cwd=tmp_path,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit))
    assert_refused(done, "cannot map 34359894016 bytes for the pool")
    assert not (tmp_path / "out.wav").exists()


def test_without_soundfile(tmp_path):
    """The core needs only numpy: without the extra, the command says how to get it."""
    done = pong("record", "out.wav", "--input", f"virtual:{VOICE}", cwd=tmp_path, env=without("soundfile", tmp_path))
    assert_refused(done, "pong: soundfile is missing: pip install 'pong[cli]'")
