"""The scenario of callbacks under load: who must be there is, and the check that all must pass can fail."""

import importlib.util
import os
import shutil
from dataclasses import dataclass

import numpy as np
import pytest

from pong.bench import callback
from pong.bench.callback_lab import Lab
from pong.bench.callback_report import WRAP, Journal, Report
from pong.bench.callback_ways import PERIOD, Way
from pong.bench.contest import Plan, Result

# What a wheel or Debian's packages bring quickly.
QUICK = {name for _, name, packages, *_ in callback.WAYS if packages not in ("rtmixer", "pyaudio")}
HERE = bool(os.environ.get("PONG_CI")) or (
    all(map(shutil.which, ("jackd", "cc"))) and all(map(importlib.util.find_spec, ("jack", "sounddevice", "miniaudio")))
)
with_jack = pytest.mark.skipif(not HERE, reason="jackd, cc or a package is missing")


@with_jack
def test_everybody_records_what_is_played():
    results, goals = callback.run(Plan(timed=False))
    assert goals == []
    assert {result.contender for result in results} == {name for _, name, *_ in callback.WAYS}
    assert {result.contender for result in results if not result.missing} >= QUICK
    assert all(result.values == [100] for result in results if not result.missing)


@with_jack
def test_loss_and_latency_are_told_of_each(monkeypatch):
    """What the times are is not asked for here: the machine is busy."""
    monkeypatch.setattr(callback, "WAYS", [way for way in callback.WAYS if way[2] == "jack"])
    results, goals = callback.run(Plan(quick=True, seconds=0.5))
    cases = {result.case.partition(": ")[2] for result in results[len(callback.WAYS):]}
    assert cases == {"share of blocks delivered", *callback.FIGURES}
    assert all(len(result.values) == (0 if result.missing else 2) for result in results[len(callback.WAYS):])
    assert [goal.bound for goal in goals] == ["<= 0", ">= 0.8", "<= 0.5"]
    assert goals[0].holds


@with_jack
def test_other_rates_are_checked_and_timed(monkeypatch):
    """At the usual one nothing is checked again."""
    monkeypatch.setattr(callback, "RATES", [16000, 48000])
    monkeypatch.setattr(callback, "REPEATS", 1)
    told = []
    plan = Plan(seconds=0.5, told=told.extend)
    results, goals = callback.at_all_rates([way for way in callback.WAYS if way[2] == "jack"], plan)
    assert {each.case for each in told} == {each.case for each in results}
    assert {each.case: len(each.values) for each in results} == {
        "share of blocks recorded as played, idle at 16 kHz, a server that waits": 1,
        **{
            f"GIL-holding C calls at {rate} kHz, {name}": callback.REPEATS
            for name in ("share of blocks delivered", *callback.AT_RATES)
            for rate in (16, 48)
        },
    }
    begin = "GIL-holding C calls, 16 to 48 kHz: "
    assert [goal.name.removeprefix(begin) for goal in goals] == [
        "frames lost by pong (JACK) though its callback had them", "share that pong (JACK) delivers",
    ]
    assert goals[0].holds


class Made:
    """A maker whose contender has recorded once, so late."""

    def __init__(self, late):
        self.made = self
        self.reports = [self]
        self.late = late

    def percentile(self, _):
        return self.late


@pytest.mark.parametrize(("rate", "seconds"), [(8000, 2.0), (48000, 1.4), (192_000, 0.7)])
def test_everybody_has_the_buffers_that_the_readme_tells_of(rate, seconds):
    assert round(Way(rate).blocks * PERIOD / rate, 1) == seconds


def test_the_two_best_rivals_are_those_that_deliver_most_and_soonest():
    ways = [("", "pong"), ("", "late"), ("", "early"), ("", "missing"), ("", "earlier"), ("", "losing")]
    shares = [Result("", "", way[1], "%", values=[99 if way[1] == "losing" else 100]) for way in ways]
    shares[3] = Result("", "", "missing", "%", missing="not here")
    makers = [Made(late) for late in (5, 4, 3, 0, 2, 1)]
    assert callback.two_best(ways, shares, makers) == [ways[0], ways[2], ways[4]]


def test_the_goal_of_several_rates_is_about_the_worst():
    reports = [[Share(1.0), Share(0.9), Share(1.0)], [Share(0.7), Share(1.0), Share(0.7)]]
    goal = callback.least_of("a case", "pong", reports)
    assert (goal.name, goal.ratio, goal.holds) == ("a case: share that pong delivers", 0.7, False)


@dataclass
class Share:
    share: float


@pytest.fixture(scope="module")
def lab():
    with Lab(sync=True) as lab:
        yield lab


@with_jack
@pytest.mark.parametrize("fault", ["Loses", "Repeats", "Swaps", "Silences", "Damages", "Invents"])
def test_what_is_wrong_is_caught(lab, fault):
    with pytest.raises(AssertionError, match=r"missing|twice|never played"):
        lab.record(f"callback_faults:{fault}", "idle", 0.2).check()


@with_jack
def test_a_program_that_fails_says_why(lab):
    with pytest.raises(AssertionError, match="has no attribute 'Nobody'"):
        lab.record("callback_faults:Nobody", "idle", 0.2)


def heard(first, number, *, told=0, window=(5, 95)):
    """Return a recording of blocks of one cycle each: had 1 ns after they were played, 10 ns apart."""
    cycles = np.arange(first, first + number)
    frames = np.arange(first * PERIOD, (first + number) * PERIOD)
    return {
        "sound": (0.5 + frames % WRAP / 2**24).astype("float32").reshape(-1, 1), "lengths": np.full(number, PERIOD),
        "times": 10 * cycles + 1, "told": np.array([told] + [0] * (number - 1)), "window": np.array(window),
        "called": np.array(number * PERIOD),
    }


def journal(clock):
    return Journal(np.array(clock) * PERIOD, 10 * np.arange(len(clock)))


def test_what_the_server_skipped_is_lost_and_what_was_told_is_told():
    # Ten cycles, of which the server skipped two before its fourth.
    skipped = journal([0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12])
    report = Report(heard(0, 10), skipped, 0)
    assert (report.expected, report.lost, report.told, report.stale, report.dropped) == (
        12 * PERIOD, 2 * PERIOD, 0, 0, 0,
    )
    report = Report(heard(4, 6, told=6 * PERIOD), skipped, 0)
    assert (report.lost, report.told) == (6 * PERIOD, 6 * PERIOD)
    assert report.percentile(50) == pytest.approx(1e-9)


def test_told_counts_only_what_lies_under_the_load():
    report = Report(heard(6, 4, told=6 * PERIOD, window=(45, 95)), journal(range(11)), 0)
    assert (report.expected, report.lost, report.told) == (6 * PERIOD, 2 * PERIOD, 2 * PERIOD)


def test_no_frame_is_lost_where_frame_numbers_begin_anew():
    first = WRAP // PERIOD - 5
    report = Report(heard(first, 10, window=(10 * first + 5, 10 * first + 85)), journal(range(first + 10)), WRAP - 999)
    assert (report.expected, report.lost) == (9 * PERIOD, 0)
    assert report.frames[-1] == (first + 10) * PERIOD - 1
