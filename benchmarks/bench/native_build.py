"""Compiles the contenders of the native hand-over, one shared library for each, and calls their loops.

Each is built against what is installed when it is first asked for; nothing is kept beyond the process.
"""

import atexit
import ctypes
import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from .contest import Missing

__all__ = [
    "NO_FILL", "ONE_CORE", "PACED", "PROOF", "SENDER_ONLY", "TWO_CORES", "WORDS", "Builds", "Job", "own_builds",
]

SOURCES = Path(__file__).with_name("native_src")

FLAGS = ["-std=c++17", "-O3", "-shared", "-fPIC", "-fvisibility=hidden", "-pthread"]

ONE_CORE, TWO_CORES, PACED, SENDER_ONLY = range(4)
NO_FILL, WORDS, PROOF = range(3)

COUNT = ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_uint64))


class Job(ctypes.Structure):
    """What a loop is to do, and what came of it; driver.hpp says what each member means."""

    _fields_ = [
        ("way", ctypes.c_uint32),
        ("fill", ctypes.c_uint32),
        ("cores", ctypes.c_int32 * 2),
        ("bytes", ctypes.c_uint64),
        ("warm", ctypes.c_uint64),
        ("blocks", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
        ("times", ctypes.POINTER(ctypes.c_uint64)),
        ("count", COUNT),
        ("sealed", ctypes.c_uint32),
        ("failed", ctypes.c_uint32),
        ("elapsed", ctypes.c_uint64),
        ("faults", ctypes.c_uint64),
        ("done", ctypes.c_uint64),
        ("calls", ctypes.c_uint64 * 2),
    ]


class Builds:
    """A folder of built libraries.

    Parameters
    ----------
    folder : path-like
        Where they are, or will be.

    Attributes
    ----------
    proven : set of str
        Who has passed the whole check.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.proven = set()

    def library(self, name, source, package, *flags):
        """Return the library of a contender; `Missing` names the package without which it cannot be built."""
        built = self.folder / f"{re.sub('[^a-z]+', '_', name.lower())}.so"
        if not built.exists():
            compile_into(built, SOURCES / source, package, *flags)
        return prepared(ctypes.CDLL(str(built)))

    def counter(self):
        """Return the path of the library that counts calls, for LD_PRELOAD."""
        built = self.folder / "counting_calls.so"
        if not built.exists():
            run([*compiler("CC", "gcc"), "-O2", "-shared", "-fPIC", "-o", built, SOURCES / "counting_calls.c"])
        return built

    @functools.cached_property
    def pong(self):
        """The extension module of pong's ends, built against the declarations of the installed pong."""
        import numpy as np

        import pong

        built = self.folder / f"_pong_ends{sysconfig.get_config_var('EXT_SUFFIX')}"
        if not built.exists():
            installed = Path(pong.__file__).parent.parent
            generated = self.folder / "_pong_ends.cpp"
            headers = [installed, pong.get_include(), np.get_include(), sysconfig.get_path("include")]
            cython = [sys.executable, "-m", "cython", "--cplus", f"-I{installed}"]
            if importlib.util.find_spec("cython") is None:
                raise Missing("needs the package cython")
            run([*cython, "-o", generated, SOURCES / "_pong_ends.pyx"])
            compile_into(built, generated, "python3-dev", *(f"-I{path}" for path in headers))
        spec = importlib.util.spec_from_file_location("_pong_ends", built)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    @functools.cached_property
    def pong_loops(self):
        """The loops that were compiled into that module."""
        return ctypes.CDLL(self.pong.__file__)


@functools.cache
def own_builds():
    """Return the builds of this process, in a folder that goes with it."""
    folder = tempfile.mkdtemp(prefix="pong-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Builds(folder)


def compile_into(built, source, package, *flags):
    """Compile a contender as C++, with the flags that all have and those that its library asks for."""
    begin = [*compiler("CXX", "g++"), *FLAGS, f"-I{SOURCES}"]
    # Under another name first: whoever finds the library finds all of it.
    unfinished = built.with_suffix(".part")
    try:
        run([*begin, "-o", unfinished, source, *flags])
    except RuntimeError as error:
        if re.search(r"fatal error: .*: No such file|cannot find -l", str(error)):
            raise Missing(f"needs the package {package}") from None
        raise
    unfinished.rename(built)


def compiler(variable, default):
    """Return the words of a compiler's command."""
    words = os.environ.get(variable, default).split()
    if shutil.which(words[0]) is None:
        raise Missing(f"no compiler {words[0]}")
    return words


def run(command):
    """Run a command, and show what it said if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def prepared(library):
    """Declare the functions that each contender's library has."""
    library.contender_open.restype = ctypes.c_void_p
    library.contender_open.argtypes = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint32
    library.contender_run.restype = None
    library.contender_run.argtypes = ctypes.c_void_p, ctypes.POINTER(Job)
    library.contender_close.restype = None
    library.contender_close.argtypes = (ctypes.c_void_p,)
    return library
