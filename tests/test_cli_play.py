"""`pong play` and `pong devices`, and the command as a whole, as a person runs them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from commands import VOICE, assert_refused, pong, result_of, samples_of, speech, without


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "DOUBLE", "PCM_U8"])
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_played_is_exact(tmp_path, subtype, channels):
    source, out = tmp_path / "in.wav", tmp_path / "out.wav"
    soundfile.write(source, speech(20_000, channels), 44100, subtype=subtype)
    done = pong("play", source, "--output", f"virtual:{out}", "--callback-size", 100, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    what = f"20000 frames in 20 blocks, 44100 Hz, {channels} channel{'s' * (channels > 1)}, 0 underflow"
    assert done.stdout == f"{source}: {what}\n"
    assert soundfile.info(out).subtype == subtype
    np.testing.assert_array_equal(samples_of(out, "float64"), samples_of(source, "float64"))


def is_with_silence_inserted(heard, sound, size):
    """Tell whether a sound was heard in callbacks of a size, whole and in order, with callbacks of silence between."""
    at = done = 0
    while done < len(sound):
        part = sound[done : done + size]
        if np.array_equal(heard[at : at + len(part)], part):
            done += len(part)
        elif heard[at : at + size].any() or not len(heard[at:]):
            return False
        at += size
    return not heard[at:].any()


def test_underflow_is_counted_and_told(tmp_path):
    """Much faster than anybody could send: what is heard is the sound with silence in between, as much as is told."""
    # No sample of it is 0, which would look like silence.
    sound = np.arange(1, 20_481, dtype="int16")
    soundfile.write(tmp_path / "in.wav", sound, 48000)
    options = ["--speed", 1000, "--buffers", 1, "--blocksize", 64, "--callback-size", 64, "--json"]
    done = pong("play", "in.wav", "--output", "virtual:out.wav", *options, cwd=tmp_path)
    result = json.loads(done.stdout)
    assert (done.returncode, result["frames"], result["blocks"]) == (1, 20480, 320)
    heard = samples_of(tmp_path / "out.wav", "int16")[:, 0]
    assert result["underflow"] > 0
    assert len(heard) - len(sound) == result["underflow"]
    assert is_with_silence_inserted(heard, sound, 64)
    assert done.stderr == f"pong: {result['underflow']} frames of silence: the sound came too late (see --buffers)\n"


def test_nowhere(tmp_path):
    result = result_of(pong("play", VOICE, "--output", "virtual:null", "--speed", 0, "--json", cwd=tmp_path))
    assert result == {
        "file": str(VOICE), "frames": soundfile.info(VOICE).frames, "blocks": 78, "underflow": 0,
        "samplerate": 22050, "channels": 1, "interrupted": None,
    }
    assert list(tmp_path.iterdir()) == []


def test_seconds(tmp_path):
    done = pong("play", VOICE, "--output", "virtual:out.wav", "--seconds", 1, cwd=tmp_path)
    assert (done.returncode, " 22050 frames " in done.stdout) == (0, True)
    np.testing.assert_array_equal(samples_of(tmp_path / "out.wav"), samples_of(VOICE)[:22050])


def test_generated_sound(tmp_path):
    done = pong("play", "tone:1000", "--output", "virtual:out.wav", "--seconds", 0.25, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert np.abs(samples_of(tmp_path / "out.wav", "float32")).max() == pytest.approx(0.5, abs=1e-3)


def test_it_does_not_begin_with_silence(tmp_path):
    """The device starts when something is there, though the first block takes longer to read than a callback."""
    soundfile.write(tmp_path / "in.wav", np.zeros((200_000, 8), "int16"), 192_000)
    options = ["--output", "virtual:null", "--speed", 1, "--blocksize", 100_000, "--callback-size", 1, "--json"]
    result = result_of(pong("play", "in.wav", *options, cwd=tmp_path))
    assert (result["frames"], result["underflow"]) == (200_000, 0)


@pytest.mark.parametrize(
    ("source", "options", "code", "text"),
    [
        ("missing.wav", ["--output", "virtual:null"], 1, "pong: missing.wav: No such file or directory"),
        (".", ["--output", "virtual:null"], 1, "Is a directory"),
        ("empty.wav", ["--output", "virtual:null"], 1, "empty.wav: the file is empty"),
        ("text.wav", ["--output", "virtual:null"], 1, "text.wav: not a sound file"),
        ("", ["--output", "virtual:null"], 1, "a sound file's path, tone[:HZ]"),
        (VOICE, [], 2, "are required: --output"),
        (VOICE, ["--output", "out.wav"], 1, "or miniaudio[:DEVICE], not 'out.wav'"),
        (VOICE, ["--output", "alsa:0"], 1, "output must be virtual:FILE, virtual:null, portaudio[:DEVICE], jack"),
        (VOICE, ["--output", "virtual:"], 1, "output must be virtual:FILE, virtual:null, portaudio[:DEVICE], jack"),
        (VOICE, ["--output", "virtual:nul"], 1, "no virtual output is called 'nul': a sound file's path or null"),
        (VOICE, ["--output", "virtual:out.xyz"], 1, "must name a format"),
        (VOICE, ["--output", "virtual:out.ogg"], 1, "OGG cannot hold the input's sample format, PCM_16"),
        (VOICE, ["--output", "virtual:no/out.wav"], 1, "no/out.wav: No such file or directory"),
        (VOICE, ["--output", "virtual:folder.wav"], 1, "folder.wav: Is a directory"),
        (VOICE, ["--output", "virtual:full.wav"], 1, "full.wav: cannot be written: No space left on device"),
        ("same.wav", ["--output", "virtual:./same.wav"], 1, "the output is the input"),
        (VOICE, ["--output", "virtual:null", "--samplerate", "8000"], 2, "unrecognized arguments: --samplerate"),
        (VOICE, ["--output", "virtual:null", "--buffers", "0"], 2, "must be a number from 1 to 1024"),
    ],
)
def test_what_cannot_be_played(tmp_path, source, options, code, text):
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "full.wav").symlink_to("/dev/full")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("This is no sound at all. " * 40)
    (tmp_path / "same.wav").write_bytes(VOICE.read_bytes())
    assert_refused(pong("play", source, *options, cwd=tmp_path), text, code=code)
    assert (tmp_path / "same.wav").read_bytes() == VOICE.read_bytes()
    assert not list(tmp_path.glob("out.*"))


def test_a_truncated_flac(tmp_path):
    """What could be decoded is played; then one line says where it ended."""
    sound = np.random.default_rng(1).integers(-30000, 30000, 100_000).astype("int16")
    soundfile.write(tmp_path / "in.flac", sound, 48000)
    whole = (tmp_path / "in.flac").read_bytes()
    (tmp_path / "in.flac").write_bytes(whole[: len(whole) // 2])
    assert_refused(pong("play", "in.flac", "--output", "virtual:out.wav", cwd=tmp_path), "in.flac: truncated")
    found = samples_of(tmp_path / "out.wav", "int16")[:, 0]
    assert 30_000 < len(found) < 60_000
    np.testing.assert_array_equal(found, sound[: len(found)])


def test_without_soundfile(tmp_path):
    done = pong("play", VOICE, "--output", "virtual:null", env=without("soundfile", tmp_path), cwd=tmp_path)
    assert_refused(done, "pong: soundfile is missing: pip install 'pong[cli]'")


def test_devices_and_version_need_no_soundfile(tmp_path):
    for option in ("devices", "--version", "--help"):
        assert pong(option, env=without("soundfile", tmp_path), cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("command", [[], ["record"], ["play"], ["demo"], ["devices"]])
def test_help(tmp_path, command):
    done = pong(*command, "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {' '.join(['pong', *command])}")
    assert "%" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["recrod"], "invalid choice: 'recrod' (choose from"),
        (["devices", "x"], "unrecognized arguments: x"),
        (["--loud"], "required: COMMAND"),
    ],
)
def test_wrong_usage(tmp_path, arguments, text):
    done = pong(*arguments, cwd=tmp_path)
    assert_refused(done, text, code=2)
    assert done.stderr.startswith("usage: pong")


def test_the_installed_program(tmp_path):
    program = Path(sys.executable).with_name("pong")
    for argument in ("--version", "--help", "devices"):
        shown = subprocess.run([program, argument], capture_output=True, text=True, check=True, cwd=tmp_path)
        assert (shown.stdout, shown.stderr) == (pong(argument, cwd=tmp_path).stdout, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_results_that_cannot_be_printed(tmp_path, unbuffered, monkeypatch):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with open("/dev/full", "w") as full:
        done = pong("devices", stdout=full, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("pong: ")
    assert "No space left on device" in done.stderr


def test_without_standard_error(tmp_path):
    """Closed altogether, as `2>&-` in a shell: the work is done all the same."""
    program = [sys.executable, "-m", "pong", "record", "out.wav", "--input", f"virtual:{VOICE}"]
    closed = ["sh", "-c", '"$@" 2>&-', "sh", *program]
    assert subprocess.run(closed, stdout=subprocess.PIPE, check=False, cwd=tmp_path).returncode == 0
    assert (tmp_path / "out.wav").read_bytes() == VOICE.read_bytes()
