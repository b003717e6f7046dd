"""Runs scenarios one after the other, each in a process of its own, within a time for all of them."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from queue import Empty, SimpleQueue
from time import monotonic

from .contest import Goal, Result

__all__ = ["Outcome", "Signals", "run_all"]

GRACE = 5.0  # seconds to end by itself what is told to end
ENDED = object()
STOPPED = object()
# The child imports what this process would, whatever the current folder holds.
PROGRAM = (
    f"import sys; sys.path[:] = sys.argv[3:]; from {__package__}.child import main; sys.exit(main(*sys.argv[1:3]))"
)


@dataclass
class Outcome:
    """What came of a scenario; after a failure, the results of the cases before it."""

    scenario: str
    results: list[Result] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    complete: bool = False
    failed: str = ""
    missing: str = ""
    seconds: float = 0.0


class Signals:
    """Which signal came, if any; whoever waits for a message is told of it."""

    def __init__(self):
        self.number = None
        self.messages = SimpleQueue()

    @contextmanager
    def caught(self):
        """Take Ctrl-C and SIGTERM as the wish to end with what is there."""
        before = {number: signal.signal(number, self.handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle(self, number, _):
        """Remember the first signal."""
        self.number = self.number or number
        self.messages.put(STOPPED)


def run_all(scenarios, plan, seconds, signals, began=lambda scenario, limit: None):
    """Run scenarios.

    Parameters
    ----------
    scenarios : list of Scenario
    plan : Plan
    seconds : float
        How long all of them may take together. Each gets its share of what is left when its turn comes, and is ended
        when that is over.
    signals : Signals
        After a signal no further scenario is begun.
    began : callable, optional
        Gets each scenario, and how many seconds it may take, when it begins.

    Returns
    -------
    list of Outcome
        Of those that were begun.
    """
    deadline = monotonic() + seconds
    outcomes = []
    for place, scenario in enumerate(scenarios):
        if signals.number is not None:
            break
        share = scenario.share / sum(each.share for each in scenarios[place:])
        limit = max(0.0, deadline - monotonic()) * share
        began(scenario, limit)
        outcomes.append(run_one(scenario, plan, limit, signals))
    return outcomes


def run_one(scenario, plan, limit, signals):
    """Run one scenario, for at most so many seconds; return its `Outcome`."""
    begin = monotonic()
    outcome = Outcome(scenario.name)
    messages = signals.messages = SimpleQueue()
    todo = json.dumps({**asdict(plan), "told": None})
    path = map(os.path.abspath, sys.path)
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said,
        # An empty folder to be in: Python would import from it first.
        tempfile.TemporaryDirectory(prefix="pong-bench-") as folder,
    ):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, scenario.path, todo, *path], cwd=folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=said, text=True, start_new_session=True,
        )
        reader = threading.Thread(target=read, args=(process.stdout, messages), daemon=True)
        reader.start()
        ending = None
        try:
            if signals.number is not None:  # it came before there was this queue
                messages.put(STOPPED)
            ending = follow(outcome, messages, begin + limit)
        finally:
            code = end(process, GRACE if ending is ENDED else 0)
            reader.join(GRACE)
        while not messages.empty():
            # A signal, or the end of the time, can come before what was told earlier.
            message = messages.get_nowait()
            if isinstance(message, str):
                take(outcome, json.loads(message))
        if ending is None:
            outcome.failed = f"took longer than {limit:.0f} s and was ended{last_line(said)}"
        elif ending is ENDED and not outcome.failed and (code or not outcome.complete):
            outcome.failed = f"ended with exit code {code}{last_line(said)}"
    outcome.seconds = monotonic() - begin
    return outcome


def read(pipe, messages):
    """Pass on what a child tells, until it has ended."""
    with suppress(ValueError), pipe:
        for line in pipe:
            if line.endswith("\n"):  # the last one may be cut off
                messages.put(line)
    messages.put(ENDED)


def follow(outcome, messages, deadline):
    """Take in what a child tells; return `ENDED`, `STOPPED`, or None when the time is up."""
    while True:
        try:
            message = messages.get(timeout=max(0.0, deadline - monotonic()))
        except Empty:
            return None
        if message is ENDED or message is STOPPED:
            return message
        take(outcome, json.loads(message))


def take(outcome, message):
    """Put one message of a child into its outcome."""
    outcome.failed = message.get("failed", outcome.failed)
    outcome.missing = message.get("missing", outcome.missing)
    outcome.complete = "done" in message or "missing" in message
    outcome.results += [Result(**each) for each in message.get("results", ())]
    if "done" in message:
        # What it returns is all there is; what it told of before is part of that.
        outcome.results = [Result(**each) for each in message["done"]]
        outcome.goals = [Goal(**{**each, "quartiles": tuple(each["quartiles"])}) for each in message["goals"]]


def end(process, patience):
    """End a child, and whatever it has started and left behind; return its exit code."""
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
    if hasattr(os, "killpg"):
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def last_line(said):
    """Return the last thing that a child wrote to standard error."""
    said.seek(0)
    lines = said.read().strip().splitlines()
    return f": {lines[-1].strip()}" if lines else ""
