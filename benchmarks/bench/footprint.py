"""What the contenders of the hand-over take beside time: allocations and memory for each block, start-up, import."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter_ns

import numpy as np

from .contest import Contender, Goal, Missing, Result, contest, spread
from .handover import CONTENDERS, NEEDS
from .handover_race import random_blocks, same_blocks

__all__ = ["NAME", "NEEDS", "TITLE", "run"]

NAME = "footprint"
TITLE = "Python hand-over: allocations and memory for each block, start-up, import"
PATIENCE = 60  # seconds for a process
IMPORT_CASES = 8  # the case of imports, which starts processes, lasts as long as so many others
SOURCE = Path(__file__).with_name("footprint_src") / "counting.c"

# What hands over blocks of NumPy's, as a callback gets them. The bare interpreter, sys, is subtracted from all.
BARE, NUMPY = "bare interpreter", "numpy alone"
IMPORTS = {
    BARE: ["sys"],
    "pong": ["pong"],
    NUMPY: ["numpy"],
    "SimpleQueue, Queue + copy": ["numpy", "queue"],
    "deque of recycled arrays": ["numpy", "collections"],
    "asyncio.Queue + copy": ["numpy", "asyncio"],
    "janus + copy": ["numpy", "janus"],
    "ringbuf": ["numpy", "ringbuf"],
    "pa_ringbuffer": ["numpy", "_rtmixer", "pa_ringbuffer"],
}
CASES = {
    "allocations for each block": ("default", "times", ""),
    "allocations for each block, small objects among them": ("malloc", "times", "PYTHONMALLOC=malloc"),
    "bytes allocated for each block": ("malloc", "bytes", "PYTHONMALLOC=malloc"),
    "bytes resident beyond the samples of 16 blocks in flight": ("default", "resident", ""),
}


def run(plan):
    """Run the scenario.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    (list of Result, list of Goal)
    """
    results = counts(plan)
    goals = [
        Goal(f"pong: {each.case}", each.median, each.quartiles, "<= 0")
        for each in results
        if each.contender == "pong" and each.values and "allocations" in each.case
    ]
    results += contest(NAME, "start-up: the pool or queue is ready", map(Starter, CONTENDERS), plan, unit="ns")
    imports, goal = import_times(plan)
    return results + imports, [*goals, goal]


def counts(plan):
    """Return what is counted, not timed: once is enough."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            library = compiled(folder)
            found = {name: measure(library, name, folder) for name in ("default", "malloc")}
    except Missing as error:
        if plan.required:
            raise
        names = [contender.name for contender in CONTENDERS]
        return [Result(NAME, case, name, unit_of(case), missing=str(error)) for case in CASES for name in names]
    results = []
    for case, (allocator, what, note) in CASES.items():
        for contender, figures in found[allocator].items():
            missing = figures.get("missing", "")
            if missing and plan.required:
                raise Missing(missing)
            values = [] if missing else [figures[what]]
            results.append(Result(NAME, case, contender, unit_of(case), values=values, note=note, missing=missing))
    return results


def unit_of(case):
    """Return the unit of a case: bytes, or a plain number."""
    return "bytes" if case.startswith("bytes") else ""


def compiled(folder):
    """Compile the interposer; return its path."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
    if not compiler or not sys.platform.startswith("linux"):
        raise Missing("needs Linux and a C compiler to count allocations")
    library = Path(folder, "counting.so")
    run_quietly([*compiler.split(), "-O2", "-shared", "-fPIC", "-o", library, SOURCE], folder, os.environ)
    return library


def measure(library, allocator, folder):
    """Run the counting process under an allocator; return what it has found."""
    environment = os.environ | {
        "LD_PRELOAD": str(library), "PYTHONMALLOC": allocator, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        # A process with threads should not fork.
        "OPENBLAS_NUM_THREADS": "1",
    }  # fmt: skip
    resident = "resident" if allocator == "default" else "no"
    command = [sys.executable, "-m", f"{__package__}.footprint_child", library, resident]
    return json.loads(run_quietly(command, folder, environment))


def run_quietly(command, folder, environment):
    """Run a command in an empty folder; return what it prints, or raise with what it says."""
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


class Starter:
    """Makes a contender that is made and closed again and again."""

    def __init__(self, handover):
        self.handover, self.name = handover, handover.name
        self.note = "touches its memory" if handover.name.startswith("pong") else ""

    def __call__(self):
        self.handover().close()  # raises Missing
        return Start(self.handover)


class Start(Contender):
    """Nanoseconds until a contender could take its first block, with 16 in flight."""

    def __init__(self, make):
        self.make = make

    def check(self):
        """It does hand over blocks."""
        sent, received = random_blocks(4), []
        handover = self.make()
        handover.same([*map(handover.prepare, sent)], lambda seen: received.append(np.array(seen).reshape(-1)))
        same_blocks(sent, received)
        handover.close()

    def round(self):
        begin = perf_counter_ns()
        handover = self.make()
        taken = perf_counter_ns() - begin
        handover.close()
        return taken


def import_times(plan):
    """Return the time that each import adds to the bare interpreter, and how pong's compares with numpy's alone."""
    with tempfile.TemporaryDirectory() as folder:
        makers = [Importer(name, modules, folder) for name, modules in IMPORTS.items()]
        longer = replace(plan, seconds=plan.seconds * IMPORT_CASES)
        bare, *found = contest(NAME, "import, in a fresh process", makers, longer, unit="ns")
    results = []
    for each in found:
        beyond = [value - start for value, start in zip(each.values, bare.values, strict=bool(each.values))]
        results.append(replace(each, values=beyond))
    ours, numpy = (next(each.values for each in results if each.contender == name) for name in ("pong", NUMPY))
    ratios = [a / b for a, b in zip(ours, numpy, strict=True)]
    return results, Goal("import pong / import numpy", median(ratios), spread(ratios), "<= 1.1")


class Importer:
    """Makes a contender that imports in a fresh process."""

    def __init__(self, name, modules, folder):
        self.name, self.modules, self.folder, self.note = name, modules, folder, ""

    def __call__(self):
        for module in self.modules:
            if find_spec(module) is None:
                raise Missing(f"no module {module} here")
        return Import(f"import {', '.join(self.modules)}", self.folder)


class Import(Contender):
    """Nanoseconds from the start of an interpreter that imports something to its end."""

    def __init__(self, code, folder):
        self.command, self.folder = [sys.executable, "-c", code], folder

    def check(self):
        """Each round fails where the import does."""

    def round(self):
        begin = perf_counter_ns()
        run_quietly(self.command, self.folder, os.environ)
        return perf_counter_ns() - begin
