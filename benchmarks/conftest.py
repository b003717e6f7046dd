"""Fixtures that the benchmarks share, and the table of figures at the end of the session."""

import datetime
import os
import platform
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# The benchmarks measure the installed package; see tests/conftest.py.
if not any((ROOT / "pong" / f"_arena{suffix}").exists() for suffix in EXTENSION_SUFFIXES):
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != ROOT]

FIGURES = pytest.StashKey()


def pytest_addoption(parser):
    parser.addoption("--bounds", action="store_true", help="fail where a measured ratio does not hold its bound")


def pytest_configure(config):
    config.stash[FIGURES] = []


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
    figures = config.stash[FIGURES]
    if not figures:
        return
    rows = [("figure", "pong", "rival", "ratio", "quartiles", "bound", "holds"), *map(cells, figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    terminalreporter.section("figures: medians of interleaved rounds")
    for row in rows:
        terminalreporter.write_line("  ".join(map(str.ljust, row, widths)).rstrip())
    terminalreporter.write_line(machine())


def cells(figure):
    """Return a figure's row of the table."""
    holds = {None: "", True: "yes", False: "NO"}[figure.holds]
    ratio = "" if figure.ratio is None else f"{figure.ratio:.3g}"
    spread = "" if figure.spread is None else "{:.3g} .. {:.3g}".format(*figure.spread)
    return figure.name, figure.pong, figure.rival, ratio, spread, figure.bound, holds


def machine():
    """Return what the figures depend on, in one line."""
    from pong import _arena

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores{load}; "
        f"{platform.system()} {platform.release()}; {platform.python_implementation()} {platform.python_version()}, "
        f"numpy {version('numpy')}, cython {version('cython')}, pong {version('pong')}"
        f"{' (debug build)' if _arena.balance() else ''}; {datetime.date.today()}"
    )
