"""Packages and programs that only some tests need."""

import importlib
import importlib.util
import os
import shutil
from ctypes.util import find_library

import pytest

# Set by CI: to "all" in the step that has installed everything, to something else in the others.
CI = os.environ.get("PONG_CI")


def needs(name):
    """Return a package; without it the test is skipped, but fails where CI promises it (``PONG_CI=all``).

    A package whose C library is not there raises an OSError.
    """
    if CI == "all":
        return importlib.import_module(name)
    try:
        return pytest.importorskip(name, reason=f"{name} is not installed")
    except OSError as error:
        pytest.skip(f"{name} has no library: {error}")


def needs_all(packages="", programs="", libraries=""):
    """Skip a module of tests unless all is there, or fail where CI promises it; nothing is imported or started.

    In CI they are run in that step only: what they measure cannot stand another suite beside it.

    Parameters
    ----------
    packages, programs, libraries : str
        Names, separated by spaces.
    """
    if CI and CI != "all":
        pytest.skip("CI runs these in a step of their own", allow_module_level=True)
    missing = [name for name in packages.split() if importlib.util.find_spec(name) is None]
    missing += [name for name in programs.split() if shutil.which(name) is None]
    # The search for a library starts programs: only where nothing else is missing.
    missing += [f"lib{name}" for name in libraries.split() if not missing and find_library(name) is None]
    if missing:
        reason = f"not installed: {', '.join(missing)}"
        if CI == "all":
            raise RuntimeError(reason)
        pytest.skip(reason, allow_module_level=True)
