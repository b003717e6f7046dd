"""The live line of `pong record` and `pong play`: there on a terminal, erased at the end, and nowhere else."""

import fcntl
import math
import os
import re
import struct
import subprocess
import termios
from types import SimpleNamespace

import numpy as np
import pytest
from commands import VOICE, command, pong, shell_code

from pong.live import LiveLine, bar, peak_of

LINE = re.compile(
    r"(?P<minutes>\d\d):(?P<seconds>\d\d\.\d)  (?P<blocks>\d+) blocks  (?P<missing>\d+) frames (?P<word>lost|underflow)"
    r"  \[(?P<bar>[#-]{24})\] +(?P<level>-?[\d.]+|inf) dB"
)
ERASE = "\x1b[K"


def on_a_terminal(folder, *arguments, columns=0):
    """Run the command with a terminal as standard error; return its exit code, what it printed, and was drawn."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    drawn = b""
    with subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=theirs, text=True, cwd=folder
    ) as process:
        os.close(theirs)
        try:
            while chunk := os.read(ours, 4096):
                drawn += chunk
        except OSError:
            pass  # So the end of a terminal is told.
        printed = process.communicate(timeout=60)[0]
    os.close(ours)
    return shell_code(process.returncode), printed, drawn.decode()


def lines_of(drawn):
    """Return what stood in the line, one after the other."""
    begin, *texts = drawn.split("\r")
    assert begin == ""
    assert all(text.endswith(ERASE) for text in texts)
    return [text.removesuffix(ERASE) for text in texts]


@pytest.mark.parametrize("frequency", [440, 5000])
def test_recording_a_tone(tmp_path, frequency):
    """Amplitude 0.5 is -6.02 dB; a block holds at least nine periods, at 5 kHz the samples miss the peaks a little."""
    options = ["--input", f"virtual:tone:{frequency}", "--seconds", 1, "--speed", 1]
    code, printed, drawn = on_a_terminal(tmp_path, "record", "out.wav", *options)
    *shown, last = lines_of(drawn)
    assert (code, last) == (0, "")
    assert " 0 lost" in printed
    found = [LINE.fullmatch(text) for text in shown]
    assert all(found)
    # One at the first block, and then ten a second at most.
    assert 2 <= len(found) <= 11
    for each in found:
        assert (each["word"], each["missing"]) == ("lost", "0")
        assert float(each["level"]) == pytest.approx(20 * math.log10(0.5), abs=0.11)
        assert each["bar"] == "#" * 22 + "-" * 2
        assert float(each["seconds"]) == pytest.approx(int(each["blocks"]) * 1024 / 48000, abs=0.06)
    blocks = [int(each["blocks"]) for each in found]
    assert blocks == sorted(set(blocks))


def test_playing(tmp_path):
    code, _, drawn = on_a_terminal(tmp_path, "play", VOICE, "--output", "virtual:null", "--seconds", 0.5)
    *shown, last = lines_of(drawn)
    assert (code, last) == (0, "")
    assert shown
    assert all(LINE.fullmatch(text)["word"] == "underflow" for text in shown)


def test_losses_are_in_the_line(tmp_path):
    """At the end, on a terminal as in a pipe, one line says how much was lost; the live line is gone before it."""
    options = ["--input", "virtual:tone", "--seconds", 200, "--speed", 2000, "--buffers", 1, "--blocksize", 64]
    code, _, drawn = on_a_terminal(tmp_path, "record", "out.wav", *options)
    assert code == 1
    live, told = drawn.removesuffix("\r\n").rsplit("\r", 1)
    *shown, last = lines_of(live + "\r" + ERASE)
    assert (last, told.startswith(f"{ERASE}pong: ")) == ("", True)
    assert "frames were lost" in told
    assert int(LINE.fullmatch(shown[-1])["missing"]) > 0


def test_an_error_follows_an_erased_line(tmp_path):
    (tmp_path / "full.wav").symlink_to("/dev/full")
    code, _, drawn = on_a_terminal(tmp_path, "record", "full.wav", "--input", f"virtual:{VOICE}")
    assert (code, drawn) == (1, f"\r{ERASE}pong: full.wav: cannot be written: No space left on device\r\n")


@pytest.mark.parametrize("columns", [20, 40])
def test_a_narrow_terminal(tmp_path, columns):
    """A line that did not fit would be continued on the next, and could not be erased."""
    options = ["--input", f"virtual:{VOICE}"]
    code, _, drawn = on_a_terminal(tmp_path, "record", "out.wav", *options, columns=columns)
    shown = lines_of(drawn)
    assert (code, shown[0].startswith("00:00.0  1 blocks")) == (0, True)
    assert max(map(len, shown)) == columns - 1


def test_nothing_in_a_pipe(tmp_path):
    done = pong("record", "out.wav", "--input", "virtual:tone", "--seconds", 0.3, "--speed", 1, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "out.wav: 14400 frames in 15 blocks, 48000 Hz, 1 channel, 0 lost\n"


@pytest.mark.parametrize(
    ("samples", "level"),
    [
        (np.array([[0.0], [0.5]], "float32"), 20 * math.log10(0.5)),
        (np.array([[0.1, -1.0]], "float64"), 0),
        (np.array([[-32768]], "int16"), 0),
        (np.array([[16384], [-3]], "int16"), 20 * math.log10(0.5)),
        (np.array([[-(2**31)]], "int32"), 0),
        (np.array([[2.0]], "float32"), 20 * math.log10(2)),
        (np.zeros((5, 1), "int16"), -math.inf),
        (np.zeros((0, 1), "int16"), -math.inf),
        (np.array([[math.nan], [0.5]], "float32"), math.inf),
        (np.array([[-math.inf]], "float32"), math.inf),
    ],
)
def test_levels(samples, level):
    assert peak_of(samples) == pytest.approx(level)
    assert len(bar(peak_of(samples))) == 24


@pytest.mark.parametrize(("level", "filled"), [(-math.inf, 0), (-60, 0), (-30, 12), (-6.02, 22), (0, 24), (6, 24)])
def test_the_meter(level, filled):
    assert bar(level) == "#" * filled + "-" * (24 - filled)


def test_a_terminal_that_goes_away(monkeypatch):
    """The sound goes on without the line."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        line = LiveLine("lost")
        assert line.shown
        os.close(ours)
        buf = SimpleNamespace(frames=1, samples=np.ones((1, 1), "int16"))
        line(buf, SimpleNamespace(samplerate=48000, lost=0))
        assert (line.shown, line.frames) == (False, 1)
        line.end()
        monkeypatch.undo()
