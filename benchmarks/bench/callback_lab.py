"""A JACK server of its own, a signal source on it, and contenders in processes that a hang cannot keep alive."""

import contextlib
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from .callback_program import LIMIT
from .callback_report import Journal, Report
from .callback_ways import PERIOD, RATE
from .contest import Missing

__all__ = ["Lab"]

SOURCE_CODE = Path(__file__).resolve().parent / "native_src" / "ramp.c"
PATIENCE = 10


class Lab:
    """A server with the dummy driver and a signal source, as a context manager.

    Parameters
    ----------
    sync : bool
        Whether a cycle waits for its clients, so that nothing can be lost; else a client that is late loses.
    rate : int
        Frames per second.

    Raises
    ------
    Missing
        There is no jackd, or no C compiler.
    """

    def __init__(self, sync, rate=RATE):
        self.rate = rate
        for program in ("jackd", "jack_lsp", "cc"):
            if shutil.which(program) is None:
                raise Missing(f"there is no {program}")
        # Real-time scheduling where the system permits it; a client that waits for the GIL is not to be thrown out.
        self.command = ["jackd", "-R", "-P", "70", "-t", "5000", *(["-S"] if sync else [])]
        self.command += ["-d", "dummy", "-r", str(rate), "-p", str(PERIOD)]
        self.environment = os.environ | {
            "JACK_DEFAULT_SERVER": f"pong-bench-{os.getpid()}",
            "JACK_NO_START_SERVER": "1",
            "JACK_NO_AUDIO_RESERVATION": "1",
            "OPENBLAS_NUM_THREADS": "1",
            # Contenders import what this process would.
            "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
        }

    def __enter__(self):
        with contextlib.ExitStack() as opening:
            self.folder = Path(opening.enter_context(tempfile.TemporaryDirectory()))
            opening.callback(self.end_server, self.start_server())
            opening.callback(end, self.start_source())
            self.open = opening.pop_all()
        return self

    def __exit__(self, *_):
        self.open.close()

    def start_server(self):
        """Start the server and wait until it answers."""
        # Not a pipe, which would fill up and hold the server.
        log = self.folder / "jackd.log"
        with log.open("w") as file:
            server = subprocess.Popen(
                self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
            )
        until = time.monotonic() + PATIENCE
        while True:
            answer = subprocess.run(["jack_lsp"], env=self.environment, capture_output=True, timeout=PATIENCE)
            if answer.returncode == 0:
                return server
            if server.poll() is not None or time.monotonic() > until:
                end(server)
                raise Missing(f"jackd does not run: {log.read_text()}")

    def end_server(self, server):
        """End the server and what it leaves behind."""
        if not end(server):
            # A killed one keeps its place among the machine's eight until one of its name ends in good order.
            end(self.start_server())
        for file in Path("/dev/shm").glob(f"jack_sem.*_{self.environment['JACK_DEFAULT_SERVER']}_*"):
            file.unlink(missing_ok=True)

    def start_source(self):
        """Build the signal source and start it."""
        program, self.journal = self.folder / "ramp", self.folder / "journal"
        built = subprocess.run(
            ["cc", "-O2", str(SOURCE_CODE), "-o", str(program), "-l:libjack.so.0"],
            capture_output=True, text=True, timeout=60,
        )
        if built.returncode:
            raise Missing(f"the signal source cannot be built: {built.stderr}")
        source = subprocess.Popen(
            [program, self.journal], env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        ready, _, _ = select.select([source.stdout], [], [], PATIENCE)
        if not ready or source.stdout.readline() != b"ready\n":
            end(source)
            raise Missing("the signal source does not start")
        return source

    def record(self, way, load, seconds):
        """Let one contender record under a load.

        Parameters
        ----------
        way : str
            ``"module:class"`` of its `callback_ways.Way`.
        load : str
            One of `callback_loads.LOADS`.
        seconds : float

        Returns
        -------
        Report

        Raises
        ------
        AssertionError
            It failed, or had what was not played.
        """
        file = self.folder / "heard.npz"
        since = Journal.read(self.journal).frames
        program = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.callback_program", way, load, str(self.rate),
             str(seconds), str(file)],
            env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )
        with program:
            try:
                told, _ = program.communicate(timeout=LIMIT + seconds + PATIENCE)
            finally:
                program.kill()
        assert program.returncode == 0, f"{way} under {load}: exit code {program.returncode}\n{told}"
        with np.load(file) as heard:
            return Report(dict(heard), Journal.read(self.journal), since)


def end(process):
    """Ask a process to end, wait until it has, and insist if it does not; return whether asking was enough."""
    if process.stdin is not None:
        process.stdin.close()
    else:
        process.terminate()
    if process.stdout is not None:
        process.stdout.close()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(PATIENCE)
        return False
    return True
