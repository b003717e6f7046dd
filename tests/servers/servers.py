"""A JACK server of a test's own, and programs that talk to it, each in a process that a hang cannot keep alive."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from programs import PATIENCE, finish, program

# The whole matrix, as ci/full runs it; without it what covers each value once.
FULL = bool(os.environ.get("PONG_FULL"))

# Every program of these tests begins with this; a control client wires ports and switches freewheel.
CONTROL = """
import json, time
from pong.streams.jack_client import connect_ports

def report(**found):
    print(json.dumps(found), flush=True)

def ports(control, name, kind):
    return [port.name for port in control.get_ports(name + ":", **{kind: True})]

def wire(control, source, sink):
    "Connect the outputs of a client to the inputs of another, in their order."
    outputs, inputs = ports(control, source, "is_output"), ports(control, sink, "is_input")
    assert outputs and len(outputs) == len(inputs), (outputs, inputs)
    connect_ports(control, zip(outputs, inputs), 60)

def signal_of(frames, channels, seed=1):
    "No frame is silence, so that the beginning can be found."
    return np.random.default_rng(seed).uniform(0.1, 1, (frames, channels)).astype("float32")

def holders():
    from pong.demo import Holders
    return Holders()

def spin():
    "Let a thread of pure Python run for the rest of the program."
    def work():
        while True:
            pass
    threading.Thread(target=work, daemon=True).start()

class Trimmed:
    "What was heard from the first frame on that is not silence."
    def __init__(self):
        self.parts, self.frames, self.blocks, self.gap = [], 0, 0, 0

    def add(self, buf):
        samples, gap = buf.samples, buf.gap
        if not self.parts:
            loud = np.flatnonzero(samples.any(axis=1))
            if not len(loud):
                return
            samples, gap = samples[loud[0]:], 0
        self.parts.append(samples.copy())
        self.frames += len(samples)
        self.blocks += 1
        self.gap += gap

    def equals(self, sound):
        return bool(self.parts) and np.array_equal(np.concatenate(self.parts)[:len(sound)], sound)
"""


class Jackd:
    """A server with the dummy driver, as a context manager; programs started meanwhile find it by the environment.

    Parameters
    ----------
    rate, period : int
        Frames per second, and of one cycle.
    sync : bool
        Whether a cycle waits for its clients (``-S``).
    channels : int
        Of the card, in each direction.
    patience : int
        Milliseconds that it waits for a client; in freewheel ten times that. A client whose Python callback waits for
        the GIL is not to be thrown out for half a second's delay.
    own : str
        What becomes of clients' wishes to be connected to others (``-a``): " " grants them, "a" ignores them, "A"
        refuses them.
    """

    # One for all servers of this process, of which one runs at a time.
    name = f"pong-test-{os.getpid()}"
    killed = False
    process = None

    def __init__(self, rate=48000, period=128, sync=True, channels=2, patience=5000, own=" "):
        card = {"-r": rate, "-p": period, "-C": channels, "-P": channels}
        words = ["-t", patience, "-a", own, *["-S"] * sync, "-d", "dummy"]
        self.options = [str(word) for word in (*words, *(each for pair in card.items() for each in pair))]

    @contextlib.contextmanager
    def environment(self):
        """Let what is started meanwhile find this server."""
        with pytest.MonkeyPatch.context() as changed:
            changed.setenv("JACK_DEFAULT_SERVER", self.name)
            changed.setenv("JACK_NO_START_SERVER", "1")
            changed.setenv("JACK_NO_AUDIO_RESERVATION", "1")
            yield

    def __enter__(self):
        with contextlib.ExitStack() as opening:
            opening.enter_context(self.environment())
            self.start()
            # An orderly end takes seconds once there were clients.
            opening.callback(self.kill)
            self.open = opening.pop_all()
        return self

    @property
    def running(self):
        """Whether the server runs."""
        return self.process is not None and self.process.poll() is None

    def start(self):
        """Start the server, and wait until clients are served."""
        forget_the_dead()
        # Not a pipe, which would fill up and hold the server.
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the server
        self.process = subprocess.Popen(
            ["jackd", "-n", self.name, "-r", *self.options],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        try:
            self.await_answer()
        except BaseException:
            self.kill()
            raise

    def await_answer(self):
        """Wait until clients are served."""
        deadline = time.monotonic() + PATIENCE
        while True:
            if self.process.poll() is not None:
                self.log.seek(0)
                pytest.fail(f"jackd ended: {self.log.read().decode()}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                if subprocess.run(["jack_lsp"], capture_output=True, timeout=PATIENCE).returncode == 0:
                    return
            assert time.monotonic() < deadline, "jackd never answered"

    def kill(self, how=signal.SIGKILL):
        """Send a signal and wait until the server is gone."""
        Jackd.killed = how == signal.SIGKILL
        self.process.send_signal(how)
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.log.close()

    def __exit__(self, *_):
        self.open.close()


def sweep():
    """Let a server of the tests' name end in good order: a killed one keeps its place among the machine's eight."""
    if not Jackd.killed:
        return
    server = Jackd()
    with server.environment():
        server.start()
        server.kill(signal.SIGTERM)


def forget_the_dead():
    """Empty JACK's list of servers where all in it are dead: killed tests of other times may have filled it."""
    names = (path / "comm" for path in Path("/proc").glob("[0-9]*"))
    running = set()
    for name in names:
        with contextlib.suppress(OSError):
            running.add(name.read_text().strip())
    if not running & {"jackd", "jackdmp", "jackdbus"}:
        Path("/dev/shm/jack-shm-registry").unlink(missing_ok=True)


def reports(folder, code, *, native=None, timeout=2 * PATIENCE):
    """Run a program to its end; return what it reported, one dictionary for each `report`."""
    with program(folder, CONTROL + code, native=native) as process:
        return [json.loads(line) for line in finish(process, timeout).splitlines()]
