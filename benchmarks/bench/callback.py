"""An audio callback while the interpreter is busy: who gets the sound, how much of it, and how late."""

import importlib.util
from ctypes.util import find_library
from dataclasses import replace
from math import isnan
from statistics import median

from .callback_lab import Lab
from .callback_loads import LOADS
from .callback_ways import RATE
from .contest import Contender, Goal, Missing, Result, contest, spread
from .rows import is_pong

__all__ = ["NAME", "NEEDS", "TITLE", "run"]

NAME = "callback"
TITLE = "Audio callback under a loaded interpreter (JACK's dummy driver, 128 frames, at 48 kHz unless said otherwise)"
# How the names of the cases end that are drawn: those of each load.
PICTURED = ("share of blocks delivered", "latency of what came, p99")
NEEDS = {
    "pip": ["sounddevice", "rtmixer", "PyAudio", "JACK-Client", "miniaudio"],
    # PyAudio is built from source; the signal source, too.
    "apt": ["jackd2", "libjack-jackd2-0", "libportaudio2", "portaudio19-dev", "gcc", "libc6-dev"],
    "npm": [],
}
ON_PORTAUDIO = {"sounddevice", "rtmixer", "pyaudio"}
HOLDING = "GIL-holding C calls"
OTHER_RATES = 8000, 192_000
RATES = sorted((RATE, *OTHER_RATES))
REPEATS = 3
# A recording's share of the plan's seconds; what comes before and after takes another second or so.
WINDOW = 0.6
QUICK = 0.3

PYTHON = "a callback in Python: what it loses is lost before any queue sees it; told by a flag at most, not counted"
THIRD = "its JACK back end, 3 ms (its default of 200 ms calls back less often, and later); a Python callback, no flags"
# Class, name, packages that it needs, whether `quick` has it, and what a reader must know.
WAYS = [
    ("PongPortAudio", "pong", "sounddevice", True, "PortAudio; gaps from its times, which are estimates"),
    ("PongJack", "pong (JACK)", "jack", True, "gaps from the server's own count of frames"),
    ("SoundDevice", "sounddevice callback + Queue", "sounddevice", True, PYTHON),
    ("RawSoundDevice", "RawInputStream callback + Queue", "sounddevice", False, PYTHON),
    ("Reading", "RawInputStream.read", "sounddevice", False,
     "PortAudio's own ring; what it loses is told by a flag, not counted; two channels, since one crashes on JACK"),
    ("RtMixer", "rtmixer", "rtmixer", False,
     "a native callback and a ring; its reader has to look again and again, here every ms; loss is not counted"),
    ("PyAudio", "PyAudio callback + Queue", "pyaudio", False, PYTHON),
    ("JackClient", "JACK-Client callback + Queue", "jack", True,
     "a callback in Python; last_frame_time would tell what was lost, if the program asks each time"),
    ("MiniAudio", "miniaudio generator + Queue", "miniaudio jack", False, THIRD),
]
# What is made of each recording beside the share: unit, and the figure or None.
FIGURES = {
    "frames lost": ("frames", lambda report: report.lost),
    "frames lost and not counted": ("frames", lambda report: abs(report.lost - report.told)),
    "frames lost though its callback had them": ("frames", lambda report: report.dropped),
    "frames delivered twice": ("frames", lambda report: report.stale),
    "latency of what came, p50": ("s", lambda report: report.percentile(50)),
    "latency of what came, p99": ("s", lambda report: report.percentile(99)),
    "latency of what came, p99.9": ("s", lambda report: report.percentile(99.9)),
}
AT_RATES = "frames lost", "latency of what came, p99"


class Recorder(Contender):
    """A contender under one load, in a process of its own for each round.

    Parameters
    ----------
    way : tuple
        One of `WAYS`.
    """

    def __init__(self, lab, way, load, seconds):
        self.lab, self.load, self.seconds, self.reports = lab, load, seconds, []
        self.way, self.name, packages, _, self.note = way
        for package in packages.split():
            if importlib.util.find_spec(package) is None:
                raise Missing(f"{package} is not installed")
            if package in ON_PORTAUDIO and find_library("portaudio") is None:
                raise Missing("PortAudio is not installed")

    def record(self):
        """Record once; return the report."""
        self.reports.append(self.lab.record(f"{__package__}.callback_ways:{self.way}", self.load, self.seconds))
        return self.reports[-1]


class Checked(Recorder):
    """The same check for all: on a server that waits for its clients, everything is recorded as it was played."""

    def check(self):
        self.record().check()

    def round(self):
        return 100 * self.reports[-1].share


class Timed(Recorder):
    """Under a load; `Checked` has passed."""

    warm = False

    def check(self):
        """Nothing that `Checked` has not done."""

    def round(self):
        # The round before the first has nothing to warm up: each recording is a process of its own.
        if not self.warm:
            self.warm = True
            return 0.0
        return 100 * self.record().share


class Maker:
    """Makes a contender, and keeps it for its reports."""

    def __init__(self, kind, lab, way, load, seconds):
        self.name, self.note = way[1], way[-1]
        self.make = lambda: kind(lab, way, load, seconds)
        self.made = None

    def __call__(self):
        self.made = self.make()
        return self.made


def run(plan):
    """Check all contenders on a server that waits for them; time them on one that does not.

    Returns
    -------
    tuple of (list of Result, list of Goal)
    """
    ways = [way for way in WAYS if way[3] or not plan.quick or not plan.timed]
    try:
        results = checked("idle", RATE, ways, plan)
    except Missing as error:
        if plan.required:
            raise
        return [Result(NAME, "share of blocks delivered", way[1], "%", missing=str(error)) for way in ways], []
    if not plan.timed:
        for rate in OTHER_RATES:
            results += checked(f"idle at {kilohertz(rate)}", rate, [way for way in ways if way[3]], plan)
        return results, []
    goals = []
    with Lab(sync=False) as lab:
        for load in ("idle", HOLDING) if plan.quick else LOADS:
            shares, makers = timed(f"{load}: ", load, lab, ways, plan)
            results += shares
            for name in FIGURES:
                results += derived(f"{load}: ", name, shares, makers, plan)
            if load == HOLDING:
                goals = list(judge(shares, makers))
                best = two_best(ways, shares, makers)
    if not plan.quick:
        found, more = at_all_rates(best, plan)
        results, goals = results + found, goals + more
    return results, goals


def kilohertz(rate):
    """Return a sample rate as text."""
    return f"{rate // 1000} kHz"


def checked(case, rate, ways, plan):
    """Check contenders, on a server that waits for them."""
    with Lab(sync=True, rate=rate) as lab:
        makers = [Maker(Checked, lab, way, "idle", 0.3) for way in ways]
        case = f"share of blocks recorded as played, {case}, a server that waits"
        return contest(NAME, case, makers, replace(plan, timed=False), unit="%", better="more")


def timed(case, load, lab, ways, plan):
    """Time contenders under a load; return their shares, and their makers."""
    makers = [Maker(Timed, lab, way, load, plan.seconds * (QUICK if plan.quick else WINDOW)) for way in ways]
    repeats = 2 if plan.quick else REPEATS
    options = {"unit": "%", "better": "more", "rounds": repeats, "least": repeats}
    return contest(NAME, f"{case}share of blocks delivered", makers, plan, **options), makers


def two_best(ways, shares, makers):
    """Return the ways of pong, and of the two rivals that deliver most, and soonest."""
    _, latency = FIGURES["latency of what came, p99"]
    rank = {
        share.contender: (-share.median, median(map(latency, maker.made.reports)))
        for share, maker in zip(shares, makers, strict=True) if share.values
    }
    ways = [way for way in ways if way[1] in rank]
    rivals = sorted((way for way in ways if not is_pong(way[1])), key=lambda way: rank[way[1]])
    return [way for way in ways if is_pong(way[1]) or way in rivals[:2]]


def at_all_rates(ways, plan):
    """Check and time contenders on servers of several sample rates, which call as seldom or often as that asks for."""
    found = {"share of blocks delivered": [], **{name: [] for name in AT_RATES}}
    results, ours = [], {}
    for rate in RATES:
        if rate != RATE:
            results += checked(f"idle at {kilohertz(rate)}", rate, ways, plan)
        case = f"{HOLDING} at {kilohertz(rate)}, "
        with Lab(sync=False, rate=rate) as lab:
            shares, makers = timed(case, HOLDING, lab, ways, plan)
        found["share of blocks delivered"] += shares
        for name in AT_RATES:
            found[name] += derived(case, name, shares, makers, plan)
        for maker in makers:
            if is_pong(maker.name) and maker.made is not None:
                ours.setdefault(maker.name, []).append(maker.made.reports)
    case, goals = f"{HOLDING}, {RATES[0] // 1000} to {kilohertz(RATES[-1])}", []
    for name, reports in ours.items():
        goals += [lost_by(case, name, [each for some in reports for each in some]), least_of(case, name, reports)]
    return results + [each for name in found for each in found[name]], goals


def lost_by(case, name, reports):
    """Return the goal that all gets to Python which the callback was called with."""
    dropped = [report.dropped for report in reports]
    return Goal(f"{case}: frames lost by {name} though its callback had them", max(dropped), spread(dropped), "<= 0")


def least_of(case, name, reports):
    """Return the goal that most is delivered, at the sample rate where it is least; ``reports`` of each of them."""
    shares = min(([report.share for report in each] for each in reports), key=median)
    return Goal(f"{case}: share that {name} delivers", median(shares), spread(shares), ">= 0.8")


def derived(case, name, shares, makers, plan):
    """Return another figure of the recordings whose shares are known."""
    unit, figure = FIGURES[name]
    results = []
    for share, maker in zip(shares, makers, strict=True):
        values, missing = [], share.missing
        if not missing:
            values = [figure(report) for report in maker.made.reports]
        if None in values:
            values, missing = [], "its callback is PortAudio's, and counts nothing"
        elif any(map(isnan, values)):
            values, missing = [], "nothing was delivered"
        results.append(replace(share, case=case + name, unit=unit, better="less", values=values, missing=missing))
    plan.tell(results)
    return results


def judge(shares, makers):
    """Yield what is to hold while the GIL is held: pong loses nothing where callbacks in Python lose most."""
    for share, maker in zip(shares, makers, strict=True):
        if share.missing:
            continue
        if is_pong(maker.name):
            yield lost_by(HOLDING, maker.name, maker.made.reports)
            yield least_of(HOLDING, maker.name, [maker.made.reports])
        elif "Queue" in maker.name:
            part = [value / 100 for value in share.values]
            yield Goal(f"{HOLDING}: share that {maker.name} delivers", share.median / 100, spread(part), "<= 0.5")
