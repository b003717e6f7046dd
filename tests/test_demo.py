"""`pong demo`: pong loses nothing while other threads hold the GIL, the customary way loses most."""

import json
import struct
from types import SimpleNamespace

import matplotlib.image
import numpy as np
import pytest
from commands import assert_refused, pong, without
from programs import until

from pong import demo
from pong.__main__ import main

FRAMES = 3 * 48000
BLOCKS = FRAMES // 128

# The customary callback needs the GIL, and gets it between two calls of 0.24 s at the earliest. The device's memory
# holds 0.1 s ("high" latency), so at most 0.1 of each 0.24 s can be delivered: a share of 0.42, and a little noise.
MOST_DELIVERED = 0.5

ROWS = (
    "blocks expected", "blocks delivered", "blocks lost", "frames lost", "copies per block", "objects made per block",
    "latency of what came, median", "latency of what came, worst", "recording",
)


def assert_shown(way, *, exact):
    """The figures of one way agree with each other."""
    assert way["expected"] == BLOCKS == way["delivered"] + way["lost"]
    assert way["exact"] == exact == (way["frames_lost"] == 0)
    assert 0 <= way["latency_median"] <= way["latency_worst"] < 10
    assert way["copies"].startswith("1, in ")
    times, seconds = zip(*way["curve"], strict=True)
    assert list(times) == sorted(times)
    assert list(seconds) == sorted(seconds)
    assert seconds[-1] * 48000 == pytest.approx(FRAMES - way["frames_lost"])


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Return the folder where a demo of three seconds was shown, with a plot, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    return folder, pong("demo", "--seconds", 3, "--json", "--plot", "x.png", cwd=folder)


def test_pong_is_exact_and_the_customary_way_is_not(shown):
    done = shown[1]
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["seconds"], told["samplerate"], told["callback_size"]) == (3, 48000, 128)
    ours, customary = told["outcomes"]
    assert_shown(ours, exact=True)
    assert ours["delivered"] == BLOCKS
    assert_shown(customary, exact=False)
    assert customary["delivered"] / BLOCKS < MOST_DELIVERED
    assert ours["allocations"] < 1 < customary["allocations"]


def test_the_plot(shown):
    """A PNG of the size asked for, with both ways' lines in it."""
    path = shown[0] / "x.png"
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", head[16:]) == (960, 480)
    pixels = np.rint(matplotlib.image.imread(path)[..., :3] * 255).astype(int)
    for red, green, blue in ((0x1B, 0x78, 0x37), (0xB2, 0x18, 0x2B)):
        # Its sample in the legend alone is about 60.
        assert np.count_nonzero((pixels == (red, green, blue)).all(axis=2)) > 100


@pytest.mark.parametrize("disturbed", [0, 1, 4])
def test_no_hold_is_shorter_than_it_says(monkeypatch, disturbed):
    """On a machine that counts 2**30 numbers a second, and is three times slower in some of the timings."""
    clock = [0.0]
    calls = []

    def count(numbers):
        calls.append(numbers)
        slower = 3 if len(calls) % demo.TIMINGS < disturbed else 1
        clock[0] += len(numbers) * slower / 2**30

    monkeypatch.setattr(demo, "sum", count, raising=False)
    monkeypatch.setattr(demo, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    holders = demo.Holders(number=1)
    timings = len(calls)
    with holders:
        until(lambda: len(calls) > timings)
    assert len(calls[-1]) / 2**30 == pytest.approx(demo.HOLD, rel=1e-6)


def test_the_table(tmp_path):
    """It needs neither soundfile nor matplotlib."""
    without("matplotlib", tmp_path)
    done = pong("demo", "--seconds", 1, env=without("soundfile", tmp_path), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    setting, empty, head, *rows = done.stdout.splitlines()
    assert setting == (
        "1 s of speech at 48000 Hz in callbacks of 128 frames, 4.8 s of buffering each, "
        "while 2 threads hold the GIL in C calls of 0.24 s"
    )
    assert empty == ""
    assert head.split() == ["pong", "Python", "callback,", "copy,", "Queue"]
    assert tuple(row[: len(name)] for row, name in zip(rows, ROWS, strict=True)) == ROWS
    assert rows[0].split()[-2:] == ["375", "375"]
    assert rows[1].split()[-2] == "375"
    assert rows[3].split()[-2] == "0"
    assert rows[-1].split()[1] == "bit-exact"
    assert max(map(len, rows)) <= 79


def test_a_pool_that_is_too_small(monkeypatch, capsys):
    """Two buffers last for 43 ms: pong loses frames like everybody, says so, and the exit code tells."""
    monkeypatch.setattr(demo, "BUFFERS", 2)
    assert main(["demo", "--seconds", "1", "--json"]) == 1
    ours = json.loads(capsys.readouterr().out)["outcomes"][0]
    assert (ours["exact"], ours["frames_lost"] > 0, ours["lost"] > 0) == (False, True, True)
    table = demo.table([demo.Outcome("pong"), demo.Outcome("customary", exact=True)])
    assert table.splitlines()[-1].split()[1:] == ["NOT", "EXACT", "bit-exact"]


def delivered(source, *parts):
    """Return the outcome of parts of a source, given as (begin, end), that were delivered."""
    notes = demo.Notes(source)
    for begin, end in parts:
        notes.take(source[begin:end], begin, 0.0)
    return notes.outcome("pong")


@pytest.mark.parametrize(
    ("parts", "blocks", "lost"),
    [
        ([(0, 300)], 3, 0),
        ([(100, 300), (0, 100)], 3, 0),
        ([(0, 100), (200, 300)], 1, 100),
        ([(0, 299)], 2, 1),
        ([(0, 200), (0, 100)], 1, 100),
        ([], 0, 300),
    ],
)
def test_what_counts_as_delivered(parts, blocks, lost):
    """Silence that is lost is lost too, though the recording would look the same; twice is not twice as much."""
    outcome = delivered(np.zeros((300, 1), "int16"), *parts)
    assert (outcome.expected, outcome.delivered, outcome.lost, outcome.frames_lost) == (3, blocks, 3 - blocks, lost)
    assert outcome.exact == (not lost)


def test_twice_delivered_is_not_exact():
    assert not delivered(np.zeros((300, 1), "int16"), (0, 300), (0, 100)).exact


def test_wrong_samples_are_not_exact():
    source = np.arange(300, dtype="int16")[:, np.newaxis]
    notes = demo.Notes(source)
    notes.take(source + np.int16(1), 0, 0.0)
    outcome = notes.outcome("pong")
    assert (outcome.exact, outcome.frames_lost) == (False, 0)


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--plot", "x.xyz"], 1, "x.xyz: the ending must name a format: one of png, svg, pdf, jpg"),
        (["--plot", ""], 1, "the ending must name a format"),
        (["--plot", "no/x.png"], 1, "no/x.png: No such file or directory"),
        (["--plot", "folder.png"], 1, "folder.png: Is a directory"),
        (["--seconds", "0"], 2, "must be a number from 1 to 600"),
        (["--seconds", "1e9"], 2, "must be a number from 1 to 600"),
        (["--seconds", "long"], 2, "must be a number from 1 to 600"),
        (["loud"], 2, "unrecognized arguments: loud"),
    ],
)
def test_told_before_the_show(tmp_path, options, code, text):
    (tmp_path / "folder.png").mkdir()
    assert_refused(pong("demo", *options, cwd=tmp_path), text, code=code)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_a_plot_without_matplotlib(tmp_path):
    done = pong("demo", "--plot", "x.png", env=without("matplotlib", tmp_path), cwd=tmp_path)
    assert_refused(done, "pong: matplotlib is missing: pip install 'pong[plot]'")
