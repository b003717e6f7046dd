"""`pong record`, as a person runs it: exact on real speech, clear when something is wrong."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

VOICE = Path(__file__).resolve().parent.parent / "pong" / "examples" / "voice.wav"


def pong(*arguments, **options):
    """Run the command; return its finished process, with what it printed."""
    command = [sys.executable, "-m", "pong", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


def samples_of(path):
    return soundfile.read(path, dtype="int32", always_2d=True)


def test_the_bundled_voice_is_small_and_speech():
    info = soundfile.info(VOICE)
    assert VOICE.stat().st_size <= 200_000
    assert info.duration > 2
    assert np.abs(samples_of(VOICE)[0]).max() > 2**28


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
    speech = soundfile.read(VOICE)[0][:9000]
    soundfile.write(source, np.stack([speech, -speech][:channels], axis=1), 44100, subtype=subtype)
    done = pong("record", out, "--input", f"virtual:{source}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert soundfile.info(out).subtype == subtype
    for dtype in ("int32", "float64"):
        np.testing.assert_array_equal(soundfile.read(out, dtype=dtype)[0], soundfile.read(source, dtype=dtype)[0])


def test_flac(tmp_path):
    out = tmp_path / "out.flac"
    assert pong("record", out, "--input", f"virtual:{VOICE}", cwd=tmp_path).returncode == 0
    np.testing.assert_array_equal(samples_of(out)[0], samples_of(VOICE)[0])


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
    assert done.returncode == 1
    assert done.stderr.startswith("pong: ")
    assert text in done.stderr
    assert str(source) in done.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("missing/out.wav", "No such file"),
        ("out", "must name a format"),
        ("out.xyz", "must name a format"),
        (".", "must name a format"),
        ("folder.wav", "directory"),
        ("out.ogg", "cannot hold the input's sample format, PCM_16"),
    ],
)
def test_bad_outputs(tmp_path, name, text):
    (tmp_path / "folder.wav").mkdir()
    done = pong("record", name, "--input", f"virtual:{VOICE}", cwd=tmp_path)
    assert done.returncode == 1
    assert text in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_full_disk(tmp_path):
    (tmp_path / "full.wav").symlink_to("/dev/full")
    done = pong("record", "full.wav", "--input", f"virtual:{VOICE}", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("pong: full.wav: cannot be written")


def test_an_unfit_format_leaves_the_output_alone(tmp_path):
    """libsndfile says that a WAV may hold MP3 samples, and then refuses."""
    source, out = tmp_path / "in.mp3", tmp_path / "out.wav"
    soundfile.write(source, soundfile.read(VOICE)[0], 22050, format="MP3")
    out.write_bytes(b"kept")
    done = pong("record", out, "--input", f"virtual:{source}", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "cannot hold the input's" in done.stderr
    assert out.read_bytes() == b"kept"


def test_lost_frames_are_told(tmp_path):
    options = ["--speed", "1000", "--buffers", "1", "--blocksize", "64"]
    done = pong("record", "out.wav", "--input", f"virtual:{VOICE}", *options, cwd=tmp_path)
    lost = soundfile.info(VOICE).frames - soundfile.info(tmp_path / "out.wav").frames
    assert lost > 0
    assert f"{lost} lost" in done.stdout
    assert (done.returncode, f"{lost} frames were lost" in done.stderr) == (1, True)


def test_the_input_is_not_overwritten(tmp_path):
    copy = tmp_path / "voice.wav"
    copy.write_bytes(VOICE.read_bytes())
    done = pong("record", copy, "--input", f"virtual:{copy}", cwd=tmp_path)
    assert (done.returncode, "the output is the input" in done.stderr) == (1, True)
    assert copy.read_bytes() == VOICE.read_bytes()


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--input", "alsa:0"], 1, "input must be virtual:FILE"),
        (["--input", "virtual:"], 1, "input must be virtual:FILE"),
        ([], 2, "--input"),
        (["--input", f"virtual:{VOICE}", "--buffers", "0"], 2, "must be a number from 1 up"),
        (["--input", f"virtual:{VOICE}", "--buffers", "9999"], 1, "count must be from 1 to 1024"),
        (["--input", f"virtual:{VOICE}", "--blocksize", "x"], 2, "must be a number"),
        (["--input", f"virtual:{VOICE}", "--callback-size", "-1"], 2, "must be a number"),
        (["--input", f"virtual:{VOICE}", "--speed", "nan"], 2, "must be a number"),
    ],
)
def test_bad_options(tmp_path, options, code, text):
    done = pong("record", "out.wav", *options, cwd=tmp_path)
    assert (done.returncode, text in done.stderr) == (code, True), done.stderr


def test_ctrl_c_keeps_what_was_recorded(tmp_path):
    """SIGINT in the middle, at real-time pace: the file is closed, playable, and a true beginning of the source."""
    out = tmp_path / "out.wav"
    long = tmp_path / "long.wav"
    speech, rate = soundfile.read(VOICE, dtype="int16")
    soundfile.write(long, np.tile(speech, 30), rate)
    command = [sys.executable, "-m", "pong", "record", str(out), "--input", f"virtual:{long}", "--speed", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        # libsndfile writes its buffer out from time to time: from then on the recording is under way.
        while not (out.exists() and out.stat().st_size > 20_000):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    recorded = soundfile.read(out, dtype="int16")[0]
    assert 0 < len(recorded) < 30 * len(speech)
    np.testing.assert_array_equal(recorded, np.tile(speech, 30)[: len(recorded)])
    assert f"{len(recorded)} frames" in printed


def test_without_soundfile(tmp_path):
    """The core needs only numpy: without the extra, the command says how to get it."""
    (tmp_path / "soundfile.py").write_text("raise ImportError('absent', name='soundfile')\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = pong("record", "out.wav", "--input", f"virtual:{VOICE}", cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (1, "pong: soundfile is missing: pip install 'pong[cli]'\n")
