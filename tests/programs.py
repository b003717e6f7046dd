"""Threads that report their errors, programs in interpreters of their own, and waiting for what can be observed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

# What a program may use besides pong; whatever is reported on the way fails it.
PRELUDE = """
import os, signal, sys, threading, warnings
import numpy as np
import pong
from programs import until
"""
PATIENCE = 60
# How much the stress tests do: blocks through a link. The sanitizers, many times slower, ask for less.
MILLION = int(os.environ.get("PONG_STRESS", "1000000"))


def until(condition):
    """Return as soon as ``condition()`` is true; fail if it never gets true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "this never happened"
        os.sched_yield()


class Thread(threading.Thread):
    """A running thread whose `join` returns what its function returned, or raises what it raised."""

    def __init__(self, function, *args) -> None:
        super().__init__(daemon=True)
        self.function, self.args, self.result, self.error = function, args, None, None
        self.start()

    def run(self) -> None:
        try:
            self.result = self.function(*self.args)
        except BaseException as error:
            self.error = error

    def join(self, timeout: float | None = 4 * PATIENCE):
        super().join(timeout)
        assert not self.is_alive(), "a thread never ended"
        if self.error is not None:
            raise self.error
        return self.result


@contextlib.contextmanager
def program(folder: Path, code: str, *, native: Path | None = None):
    """Start ``code`` as a program with pipes to all its streams; kill it at the end if it still runs."""
    path = folder / "program.py"
    path.write_text(PRELUDE + textwrap.dedent(code), encoding="utf-8")
    paths = [str(Path(__file__).resolve().parent), native and str(native), os.environ.get("PYTHONPATH")]
    process = subprocess.Popen(
        # To fork while other threads run is what some programs are about.
        [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OPENBLAS_NUM_THREADS": "1"},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def finish(process: subprocess.Popen, timeout: float = 2 * PATIENCE) -> str:
    """Wait until a program ends by itself, without a word of complaint; return what it printed."""
    out, err = process.communicate(timeout=timeout)
    assert (process.returncode, err) == (0, ""), err or f"exit code {process.returncode}"
    return out


def run(folder: Path, code: str, *, native: Path | None = None) -> str:
    """Run ``code`` to its end; return what it printed."""
    with program(folder, code, native=native) as process:
        return finish(process)
