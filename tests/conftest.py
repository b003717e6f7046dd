"""What every test needs: the installed package, and in the debug build balancing books."""

import gc
import signal
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# `python -m pytest` puts the checkout first in sys.path. Unless it was built in place, its `pong` cannot be imported
# and would hide the installed one.
if not any((ROOT / "pong" / f"_arena{suffix}").exists() for suffix in EXTENSION_SUFFIXES):
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != ROOT]

# What runs in the background of a shell, or under nohup, was told to ignore these, and so would each program of a test.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

from native_build import load  # noqa: E402

from pong import _arena  # noqa: E402


@pytest.fixture(scope="session")
def stress():
    """The module of native senders and receivers, tests/native/_stress.pyx."""
    return load("_stress")


@pytest.fixture(scope="session")
def rounds():
    """The module of native races, tests/native/_rounds.pyx."""
    return load("_rounds")


if _arena.balance():

    @pytest.fixture(autouse=True)
    def books_balance(request):
        """What a test makes is gone when it ends: arenas, leases, handles, pins and links (debug build only)."""
        before = _arena.balance()
        yield
        # pytest would keep the values of fixtures that are already torn down.
        request.node.funcargs.clear()
        # A collection of pytest's whole heap takes longer than most tests: only where cycles are left.
        if _arena.balance() != before:
            gc.collect()
        assert _arena.balance() == before
