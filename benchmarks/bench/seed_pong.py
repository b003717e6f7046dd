"""pong in the part of the seed's design: one side owns the pool, fills and sends, the other checks and returns.

Either side is Python or native; a native one polls, or sleeps until something comes.
"""

import functools
import importlib.util
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter_ns

import numpy as np

import pong

from .contest import Missing

SOURCE = Path(__file__).with_name("seed_src")
COUNT, SIZE, TURN = 16, 1024, 65536
SAMPLERATE = 48_000
# How long one side waits for the other; only a defect reaches it.
PATIENCE = 10

RAMP = (np.arange(TURN + SIZE) % TURN).astype("float32")


@functools.cache
def native():
    """Compile ``_trips.pyx`` against the installed pong, and return the module."""
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
    if importlib.util.find_spec("Cython") is None:
        raise Missing("Cython is not installed")
    if shutil.which(compiler[0]) is None:
        raise Missing("there is no C compiler")
    installed = Path(pong.__file__).parent.parent
    flags = shlex.split(" ".join(sysconfig.get_config_var(name) or "" for name in ("CFLAGS", "CCSHARED")))
    headers = [sysconfig.get_path("include"), np.get_include(), pong.get_include(), installed]
    with tempfile.TemporaryDirectory() as folder:
        generated = Path(folder, "_trips.c")
        extension = Path(folder, f"_trips{sysconfig.get_config_var('EXT_SUFFIX')}")
        call(sys.executable, "-m", "cython", "-3", f"-I{installed}", "-o", generated, SOURCE / "_trips.pyx")
        call(*compiler, *flags, "-O3", "-shared", *(f"-I{path}" for path in headers), "-o", extension, generated)
        spec = importlib.util.spec_from_file_location("_trips", extension)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def call(*command):
    """Run a compiler, and show what it said if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(map(str, command))}\n{done.stdout}{done.stderr}")


class NativeSide:
    """Both parts in C. ``core`` is where the side's thread stays while it works, -1 anywhere."""

    def __init__(self, polling, core=-1):
        self.module, self.polling, self.core = native(), polling, core

    def serve(self, pool, there, home, order):
        flight, trips, whole = order["flight"], order["trips"], order["whole"]
        return self.module.serve(pool, there, home, RAMP.ctypes.data, flight, trips, whole, self.polling, self.core)

    def receive(self, there, home, order):
        came, went = np.zeros((2, order["trips"] if order["stamped"] else 0), "uint64")
        stamps = (came.ctypes.data, went.ctypes.data) if order["stamped"] else (0, 0)
        found = self.module.receive(
            there, home, RAMP.ctypes.data, order["trips"], order["whole"], self.polling, self.core, *stamps
        )
        return (*found, came, went)


class PythonSide:
    """Both parts in Python, with waits that block."""

    def serve(self, pool, there, home, order):
        flight, trips, whole = order["flight"], order["trips"], order["whole"]
        acquire, send, recv = pool.acquire, there.send, home.recv
        sent = back = attached = 0
        while back < trips:
            if sent == trips or sent - back == flight:
                recv(PATIENCE).release()
                back += 1
                continue
            buf = acquire()
            place = sent % TURN
            buf.write(RAMP[place : place + SIZE])
            samples = buf.samples if whole else ()
            send(buf)
            sent += 1
            attached += not (buf.detached and len(samples) == 0)
            samples = ()
        return attached

    def receive(self, there, home, order):
        whole, stamped = order["whole"], order["stamped"]
        recv, send, now = there.recv, home.send, perf_counter_ns
        wrong = attached = 0
        came, went = [], []
        for seq in range(order["trips"]):
            buf = recv(PATIENCE)
            if stamped:
                came.append(now())
            if seq == 0:
                begin = now()
            samples = buf.samples
            wrong += not right(samples, seq, whole)
            if stamped:
                went.append(now())
            if not whole:
                samples = ()
            send(buf)
            attached += not (buf.detached and len(samples) == 0)
            samples = ()
        return seq + 1, wrong, attached, now() - begin, np.array(came, "uint64"), np.array(went, "uint64")


def right(samples, seq, whole):
    """Tell whether a block is the one that is due: all of it, or its two ends."""
    place = seq % TURN
    if whole:
        return samples.shape == (SIZE, 1) and np.array_equal(samples[:, 0], RAMP[place : place + SIZE])
    return samples.item(0) == place and samples.item(SIZE - 1) == (place + SIZE - 1) % TURN


def summary(arrived, wrong, attached, nanoseconds, times, fallbacks=0):
    """Return a report, as the contenders in JavaScript give it: times in microseconds."""
    ordered = np.sort(times)
    p50, p99 = (float(ordered[int(share * (len(ordered) - 1))]) / 1e3 if len(times) else None for share in (0.5, 0.99))
    return {
        "arrived": arrived, "wrong": wrong, "attached": attached, "seconds": nanoseconds / 1e9,
        "fallbacks": fallbacks, "p50": p50, "p99": p99,
    }  # fmt: skip


class Trips:
    """A pool and two links. Who serves has a thread of its own, who receives is the thread that asks."""

    def __init__(self, serving, receiving):
        self.serving, self.receiving = serving, receiving
        self.pool = pong.BufferPool(COUNT, on_empty="raise")
        self.there, self.home = self.pool.link(), self.pool.link()
        self.thread = ThreadPoolExecutor(1)

    def ask(self, order):
        """Carry out an order and return the report."""
        served = self.thread.submit(self.serving.serve, self.pool, self.there[0], self.home[1], order)
        *found, came, went = self.receiving.receive(self.there[1], self.home[0], order)
        found[2] += served.result(2 * PATIENCE)
        # A block that goes back comes again as the one `flight` later: filled anew.
        flight = order["flight"]
        return summary(*found, came[flight:] - went[:-flight])

    def close(self):
        self.pool.close()
        self.thread.shutdown()


class Callbacks:
    """Native callbacks of 128 frames send, Python receives and releases: that is pong's way home."""

    def __init__(self):
        self.module = native()
        self.pool = pong.BufferPool(COUNT, samplerate=SAMPLERATE, timestamps=True)
        self.sender, self.receiver = self.pool.link()
        self.thread = ThreadPoolExecutor(1)

    def ask(self, order):
        """Carry out an order and return the report."""
        pace = SAMPLERATE if order["kind"] == "callbacks" else 0
        trips = np.zeros(order["trips"], "uint64")
        called = self.thread.submit(
            self.module.call_back, self.pool, self.sender, RAMP.ctypes.data, len(trips), pace, trips.ctypes.data
        )
        wrong = attached = 0
        begin = perf_counter_ns()
        for seq in range(order["trips"]):
            with self.receiver.recv(PATIENCE) as buf:
                samples = buf.samples
                wrong += not right(samples, seq, order["whole"])
            attached += not (buf.detached and len(samples) == 0)
        taken = perf_counter_ns() - begin
        known, fallbacks = called.result(2 * PATIENCE)
        return summary(seq + 1, wrong, attached, taken, trips[:known], fallbacks)

    def close(self):
        self.pool.close()
        self.thread.shutdown()
