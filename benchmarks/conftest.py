"""Fixtures that the benchmarks share, and the table of figures at the end of the session."""

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# The benchmarks measure the installed package; see tests/conftest.py.
if not any((ROOT / "pong" / f"_arena{suffix}").exists() for suffix in EXTENSION_SUFFIXES):
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != ROOT]

from pong.bench.command import report_of  # noqa: E402
from pong.bench.contest import Plan  # noqa: E402
from pong.bench.machine import describe, facts  # noqa: E402
from pong.bench.runner import Signals, run_all  # noqa: E402
from pong.bench.table import as_text, columns  # noqa: E402

PLAN = Plan(quick=True, seconds=1.0)
PATIENCE = 200  # seconds for a scenario

FIGURES, OUTCOMES, ONLY = pytest.StashKey(), pytest.StashKey(), pytest.StashKey()
# Who asks for one of these is a benchmark.
MEASURING = {"benchmark", "report", "outcome_of"}


def pytest_addoption(parser):
    parser.addoption("--bounds", action="store_true", help="fail where a measured ratio does not hold its bound")


def pytest_configure(config):
    config.stash[FIGURES], config.stash[OUTCOMES] = [], []
    # Here contenders are timed in turn as well, which pytest-benchmark knows nothing of: it would skip them.
    config.stash[ONLY], config.option.benchmark_only = config.option.benchmark_only, False


def pytest_collection_modifyitems(config, items):
    """With ``--benchmark-only`` only what measures is run, and without it no scenario is timed."""
    left_out = [item for item in items if not wanted(item, config.stash[ONLY])]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def wanted(item, only):
    names = MEASURING & set(item.fixturenames)
    return bool(names) if only else "outcome_of" not in names


@pytest.fixture
def report(request):
    """Give a function that takes a `Figure` for the table.

    A bound that does not hold is printed as such; it fails the benchmark with ``--bounds`` only, because a time that
    was taken on a busy machine is no proof.
    """

    mine = []
    yield mine.append
    request.config.stash[FIGURES].extend(mine)
    missed = [f"{figure.name}: {figure.ratio:.3g}, must be {figure.bound}" for figure in mine if figure.holds is False]
    if missed and request.config.getoption("--bounds"):
        pytest.fail("; ".join(missed))


@pytest.fixture
def outcome_of(request):
    """Give a function that runs a scenario; its goals are bounds, as those of figures are."""

    def run(scenario):
        (outcome,) = run_all([scenario], PLAN, PATIENCE, Signals())
        request.config.stash[OUTCOMES].append(outcome)
        missed = [goal.name for goal in outcome.goals if not goal.holds]
        if missed and request.config.getoption("--bounds"):
            pytest.fail("; ".join(missed))
        return outcome

    return run


@pytest.fixture(scope="session")
def native(tmp_path_factory):
    """Return the module of native loops, built against the installed package."""
    from building import build

    return build(tmp_path_factory.mktemp("native"))


@pytest.fixture
def cores():
    """Return two cores that are not siblings, for the two ends of a link."""
    if not hasattr(os, "sched_getaffinity"):
        return 0, 1
    usable = sorted(os.sched_getaffinity(0))
    siblings = Path(f"/sys/devices/system/cpu/cpu{usable[0]}/topology/thread_siblings_list")
    shared = expand(siblings.read_text()) if siblings.exists() else {usable[0]}
    others = [core for core in usable if core not in shared]
    if not others:
        (pytest.fail if os.environ.get("PONG_CI") else pytest.skip)("a round trip needs two cores")
    return usable[0], others[0]


def expand(numbers):
    """Return the numbers that a list such as ``0-1,4`` names."""
    ranges = [part.split("-") for part in numbers.strip().split(",")]
    return {number for ends in ranges for number in range(int(ends[0]), int(ends[-1]) + 1)}


def pytest_terminal_summary(terminalreporter, config):
    figures, outcomes = config.stash[FIGURES], config.stash[OUTCOMES]
    if figures:
        terminalreporter.section("figures: medians of interleaved rounds")
        rows = [("figure", "pong", "rival", "ratio", "quartiles", "bound", "holds"), *map(cells, figures)]
        terminalreporter.write_line(columns(rows, indent=""))
        terminalreporter.write_line(describe(facts()))
    if outcomes:
        terminalreporter.section("scenarios")
        terminalreporter.write_line(as_text(report_of(outcomes, PLAN, facts())))


def cells(figure):
    """Return a figure's row of the table."""
    holds = {None: "", True: "yes", False: "NO"}[figure.holds]
    ratio = "" if figure.ratio is None else f"{figure.ratio:.3g}"
    spread = "" if figure.spread is None else "{:.3g} .. {:.3g}".format(*figure.spread)
    return figure.name, figure.pong, figure.rival, ratio, spread, figure.bound, holds
