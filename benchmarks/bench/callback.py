"""An audio callback while the interpreter is busy: who gets the sound, how much of it, and how late."""

import importlib.util
from ctypes.util import find_library
from dataclasses import replace
from math import isnan

from .callback_lab import Lab
from .callback_loads import LOADS
from .contest import Contender, Goal, Missing, Result, contest, spread

__all__ = ["NAME", "NEEDS", "TITLE", "run"]

NAME = "callback"
TITLE = "Audio callback under a loaded interpreter (JACK's dummy driver, 48 kHz, 128 frames, 1.4 s of buffers for each)"
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
        with Lab(sync=True) as lab:
            makers = [Maker(Checked, lab, way, "idle", 0.3) for way in ways]
            results = contest(
                NAME, "share of blocks recorded as played, idle, a server that waits", makers,
                replace(plan, timed=False), unit="%", better="more",
            )
    except Missing as error:
        if plan.required:
            raise
        return [Result(NAME, "share of blocks delivered", way[1], "%", missing=str(error)) for way in ways], []
    if not plan.timed:
        return results, []
    goals = []
    with Lab(sync=False) as lab:
        for load in ("idle", HOLDING) if plan.quick else LOADS:
            makers = [Maker(Timed, lab, way, load, plan.seconds * (QUICK if plan.quick else WINDOW)) for way in ways]
            repeats = 2 if plan.quick else REPEATS
            shares = contest(
                NAME, f"{load}: share of blocks delivered", makers, plan, unit="%", better="more", rounds=repeats,
                least=repeats,
            )
            results += shares
            for name, (unit, figure) in FIGURES.items():
                results += [derived(f"{load}: {name}", each, maker, unit, figure)
                            for each, maker in zip(shares, makers, strict=True)]
            if load == HOLDING:
                goals = list(judge(shares, makers))
    return results, goals


def derived(case, share, maker, unit, figure):
    """Return another figure of the recordings whose share is known."""
    if share.missing:
        return replace(share, case=case, unit=unit, better="less")
    values, missing = [figure(report) for report in maker.made.reports], ""
    if None in values:
        values, missing = [], "its callback is PortAudio's, and counts nothing"
    elif any(map(isnan, values)):
        values, missing = [], "nothing was delivered"
    return replace(share, case=case, unit=unit, better="less", values=values, missing=missing)


def judge(shares, makers):
    """Yield what is to hold while the GIL is held: pong loses nothing where callbacks in Python lose most."""
    for share, maker in zip(shares, makers, strict=True):
        if share.missing:
            continue
        part = [value / 100 for value in share.values]
        if maker.name.startswith("pong"):
            dropped = [report.dropped for report in maker.made.reports]
            yield Goal(f"{HOLDING}: frames lost by {maker.name} though its callback had them", max(dropped),
                       spread(dropped), "<= 0")
            yield Goal(f"{HOLDING}: share that {maker.name} delivers", share.median / 100, spread(part), ">= 0.8")
        elif "Queue" in maker.name:
            yield Goal(f"{HOLDING}: share that {maker.name} delivers", share.median / 100, spread(part), "<= 0.5")
