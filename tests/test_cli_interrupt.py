"""Ctrl-C and SIGTERM at any moment: the exit code tells, the file is closed, playable and a true beginning.

Moments are drawn by what can be observed: by the size of the output, or by the number of modules that Python has
imported so far (it tells of each with PYTHONVERBOSE).
"""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from commands import VOICE, ended, pong, running, samples_of, shell_code
from programs import until

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
LONG = 400  # seconds of sound in a file that is not played to its end


@pytest.fixture(scope="module")
def long_file(tmp_path_factory):
    """Return a WAV of 16-bit samples that are all different from their neighbours."""
    path = tmp_path_factory.mktemp("long") / "long.wav"
    soundfile.write(path, (np.arange(LONG * 48000) % 65521 - 32760).astype("int16"), 48000)
    return path


@pytest.fixture(scope="module")
def tone(tmp_path_factory):
    """Return the beginning of the tone."""
    path = tmp_path_factory.mktemp("tone") / "tone.wav"
    done = pong("record", path, "--input", "virtual:tone", "--seconds", LONG, "--speed", 0, cwd=path.parent)
    assert done.returncode == 0, done.stderr
    return path


def size_of(path):
    return path.stat().st_size if path.exists() else -1


def assert_true_beginning(path, source):
    """Return how many frames a file holds, which are the first ones of a source."""
    found = samples_of(path, "float64")
    np.testing.assert_array_equal(found, soundfile.read(source, len(found), dtype="float64", always_2d=True)[0])
    return len(found)


def interrupt_when(condition, process, number, times=1):
    until(lambda: condition() or process.poll() is not None)
    for _ in range(times):
        process.send_signal(number)
    return ended(process)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
@pytest.mark.parametrize("speed", [1, 20])
@pytest.mark.parametrize("times", [1, 2, 5])
def test_recording_a_tone(tmp_path, tone, number, code, speed, times):
    """In the middle, at the pace of a clock; the pool is so big that nothing can be lost."""
    out = tmp_path / "out.wav"
    options = ["--input", "virtual:tone", "--speed", speed, "--buffers", 1024]
    with running("record", out, *options, cwd=tmp_path) as process:
        found, printed, err = interrupt_when(lambda: size_of(out) > 20_000, process, number, times)
    assert (found, err) == (code, "")
    frames = assert_true_beginning(out, tone)
    assert frames > 4000
    if printed or times == 1:
        # A later signal may come when the file is closed, and end the program before it says so.
        assert printed.startswith(f"{out}: {frames} frames")
        assert printed.endswith(", 0 lost\n")


@pytest.mark.parametrize(("number", "code"), SIGNALS)
@pytest.mark.parametrize("draw", range(4))
def test_recording_a_file(tmp_path, long_file, number, code, draw):
    """At speed 0, at sizes drawn at random, down to a file that is not there yet."""
    out = tmp_path / "out.wav"
    size = int(LONG * 96_000 * random.random() ** 4) - 2
    with running("record", out, "--input", f"virtual:{long_file}", cwd=tmp_path) as process:
        found, printed, err = interrupt_when(lambda: size_of(out) > size, process, number)
    assert (found, err) in ((code, ""), (0, ""))
    if size_of(out) >= 0 and printed:
        frames = assert_true_beginning(out, long_file)
        assert f"{out}: {frames} frame" in printed


@pytest.mark.parametrize(("number", "code"), SIGNALS)
@pytest.mark.parametrize("speed", [0, 1])
@pytest.mark.parametrize("times", [1, 2, 5])
def test_playing(tmp_path, long_file, number, code, speed, times):
    out = tmp_path / "out.wav"
    options = ["--output", f"virtual:{out}", "--speed", speed]
    with running("play", long_file, *options, cwd=tmp_path) as process:
        found, printed, err = interrupt_when(lambda: size_of(out) > 1000, process, number, times)
    assert found == code
    if " 0 underflow" not in printed:
        return  # At speed 1 on a machine with much else to do.
    assert err == ""
    frames = assert_true_beginning(out, long_file)
    told = int(printed.split(": ")[1].split()[0])
    # What was sent is played, unless the second signal dropped it.
    assert frames == told if times == 1 else 0 < frames <= told


def test_a_second_signal_drops_what_is_yet_to_be_played(tmp_path, long_file):
    """A pool holds minutes of sound; the first signal plays them, the second does not."""
    out = tmp_path / "out.wav"
    options = ["--output", f"virtual:{out}", "--speed", 1, "--buffers", 64, "--blocksize", 100_000]
    with running("play", long_file, *options, cwd=tmp_path) as process:
        until(lambda: size_of(out) > 1000)
        process.send_signal(signal.SIGINT)
        before = size_of(out)
        # It goes on: more of the sound is written.
        until(lambda: size_of(out) > before)
        process.send_signal(signal.SIGINT)
        code, printed, err = ended(process)
    assert (code, err) == (130, "")
    assert assert_true_beginning(out, long_file) < int(printed.split(": ")[1].split()[0])


@pytest.mark.parametrize(("number", "code"), SIGNALS)
@pytest.mark.parametrize("what", ["record", "play"])
def test_while_it_starts(tmp_path, number, code, what):
    """At the k-th line that the program as installed writes about its imports, after its own module.

    Whoever interrupts Python before that, while it imports NumPy, is answered by Python.
    """
    program = [str(Path(sys.executable).with_name("pong")), what]
    out = tmp_path / "out.wav"
    program += {
        "record": [str(out), "--input", f"virtual:{VOICE}"], "play": [str(VOICE), "--output", f"virtual:{out}"]
    }[what]
    environment = {**os.environ, "PYTHONVERBOSE": "1"}
    began = "import 'pong.__main__'"
    whole = subprocess.run(program, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path)
    lines = whole.stderr[whole.stderr.index(began) : whole.stderr.index("# clear")].count("\n")
    for _ in range(12):
        out.unlink(missing_ok=True)
        # The first lines after it come before the handler is set.
        left = random.randrange(12, lines)
        with subprocess.Popen(
            program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        ) as process:
            for line in process.stderr:
                if line.startswith(began):
                    break
            for _ in range(left):
                process.stderr.readline()
            process.send_signal(number)
            printed, err = process.communicate(timeout=60)
        # It may have been quicker.
        assert shell_code(process.returncode) in (code, 0), err
        assert "Traceback" not in err
        assert "KeyboardInterrupt" not in err
        if printed:
            assert_true_beginning(out, VOICE)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_the_demo(tmp_path, number, code):
    """As soon as it has said what it shows, and later; no picture is left, and no half of a table."""
    with running("demo", "--seconds", "60", "--plot", "x.png", cwd=tmp_path) as process:
        assert process.stdout.readline().startswith("60 s of speech")
        process.send_signal(number)
        assert ended(process) == (code, "", "")
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_that_is_closed(tmp_path, tone):
    """SIGHUP ends it as SIGTERM does, unless nohup has told it to go on."""
    out = tmp_path / "out.wav"
    options = ["--input", "virtual:tone", "--speed", 1, "--buffers", 1024]
    with running("record", out, *options, cwd=tmp_path) as process:
        found, _, err = interrupt_when(lambda: size_of(out) > 20_000, process, signal.SIGHUP)
    assert (found, err) == (129, "")
    assert_true_beginning(out, tone)
    with running(
        "record", out, *options, cwd=tmp_path, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    ) as process:
        until(lambda: 0 < size_of(out) < 20_000)
        until(lambda: size_of(out) > 20_000)
        process.send_signal(signal.SIGHUP)
        before = size_of(out)
        until(lambda: size_of(out) > before)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert ended(process)[0] == 130
