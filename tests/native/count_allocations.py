"""Counts what pong's steady state allocates: ``python count_allocations.py`` prints it as JSON.

Run by a user, it compiles the interposer, starts itself again with it in front of the C library and with
``PYTHONMALLOC=malloc``, where every Python object that is made is a malloc too (unless it comes from a free list),
and passes on what that process prints: for each workload the calls of each function of the allocator over
`CYCLES` cycles, those of an empty loop subtracted.

Shared by ``tests/test_allocations.py`` and ``benchmarks/test_memory.py``.
"""

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
from itertools import repeat
from pathlib import Path
from queue import SimpleQueue

CYCLES = 10_000
FUNCTIONS = ("malloc", "calloc", "realloc", "aligned", "free")


def main():
    """Compile the interposer and run this file under it."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "counting_malloc.so")
        source = Path(__file__).with_name("counting_malloc.c")
        compiler = os.environ.get("CC") or shutil.which("gcc") or "cc"
        subprocess.run([*compiler.split(), "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
        environment = os.environ | {"LD_PRELOAD": str(library), "PYTHONMALLOC": "malloc"}
        # The folder of this file stays out of the search path, and so does a source tree that holds a pong.
        done = subprocess.run([sys.executable, __file__, str(library)], env=environment, cwd=folder, check=False)
    sys.exit(done.returncode)


def count(library):
    """Print the counts of all workloads, in the process that runs under the interposer."""
    read = ctypes.CDLL(library).allocation_counts
    before, after = ((ctypes.c_uint64 * len(FUNCTIONS))() for _ in range(2))

    def calls(loop, number):
        read(before)
        loop(number)
        read(after)
        return [late - early for early, late in zip(before, after, strict=True)]

    found = {}
    for name, workload in workloads().items():
        # Twice, so that whatever is made only once has been made.
        for _ in range(2):
            counted, idle = calls(workload, CYCLES), calls(empty, CYCLES)
        found[name] = {function: a - b for function, a, b in zip(FUNCTIONS, counted, idle, strict=True)}
    json.dump(found, sys.stdout)


def empty(cycles):
    """Do nothing, as often as a workload does something."""
    for _ in repeat(None, cycles):
        pass


def workloads():
    """Return the loops by name; each takes the number of its cycles. The last ones do allocate: the control."""
    import numpy as np

    import pong

    pool = pong.BufferPool(16)
    sender, receiver = pool.link()
    back, home = pool.link()
    block = np.linspace(-1, 1, 1024, dtype="float32")
    column = block.reshape(-1, 1)
    few = block[:200]

    def transfer(cycles):
        for _ in repeat(None, cycles):
            sender.send(pool.acquire())
            receiver.recv().release()

    def write(cycles):
        for _ in repeat(None, cycles):
            buf = pool.acquire()
            buf.write(block)
            sender.send(buf)
            received = receiver.recv()
            received.release()

    def write_frames_by_channels(cycles):
        for _ in repeat(None, cycles):
            buf = pool.acquire()
            buf.write(column)
            sender.send(buf)
            received = receiver.recv()
            received.release()

    def samples(cycles):
        for _ in repeat(None, cycles):
            buf = pool.acquire()
            buf.samples.fill(0.5)
            sender.send(buf)
            received = receiver.recv()
            received.samples.fill(0.25)
            received.release()

    def write_and_samples(cycles):
        for _ in repeat(None, cycles):
            buf = pool.acquire()
            buf.samples.fill(0.5)
            buf.write(block)
            sender.send(buf)
            received = receiver.recv()
            received.samples.fill(0.25)
            received.release()

    def write_short(cycles):
        for _ in repeat(None, cycles):
            buf = pool.acquire()
            buf.samples.fill(0.5)
            buf.write(few)
            sender.send(buf)
            received = receiver.recv()
            received.samples.fill(0.25)
            received.release()

    def dropped(cycles):
        for _ in repeat(None, cycles):
            sender.send(pool.acquire())
            receiver.recv()

    def without_waiting(cycles):
        for _ in repeat(None, cycles):
            sender.send(pool.acquire(0), tag=7)
            if receiver.poll():
                receiver.recv_nowait().release()

    def two_links(cycles):
        for _ in repeat(None, cycles):
            sender.send(pool.acquire())
            buf = receiver.recv()
            buf.samples.fill(0.5)
            back.send(buf)
            home.recv().release()

    queued_pool = pong.BufferPool(16)
    first, last = queued_pool.link()
    for _ in range(8):
        first.send(queued_pool.acquire())

    def eight_queued(cycles):
        for _ in repeat(None, cycles):
            buf = queued_pool.acquire()
            buf.samples.fill(0.5)
            first.send(buf)
            received = last.recv()
            received.samples.fill(0.25)
            received.release()

    queue = SimpleQueue()

    def copies_by_queue(cycles):
        for _ in repeat(None, cycles):
            queue.put(block.copy())
            queue.get()

    def one_object(cycles):
        for _ in repeat(None, cycles):
            object()

    def kept_view(cycles):
        for _ in repeat(None, cycles):
            buf = pool.acquire()
            view = buf.samples[1:]
            buf.release()
            del view

    everything = [
        transfer, write, write_frames_by_channels, samples, write_and_samples, write_short, dropped, without_waiting,
        two_links, eight_queued, copies_by_queue, one_object, kept_view,
    ]
    return {workload.__name__: workload for workload in everything}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        count(sys.argv[1])
    else:
        main()
