"""What the steady state allocates, and what a pool keeps resident beyond its samples. These are counts, not times."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from measure import Figure

COUNTER = Path(__file__).resolve().parent.parent / "tests" / "native" / "count_allocations.py"

# A process of its own: elsewhere the kernel may join the mappings of several pools into one.
RESIDENT = """
import pong

pool = pong.BufferPool(16, timestamps={timestamps})
ends = [pool.link() for _ in range(2)]
for _ in range(1000):
    for sender, receiver in ends:
        sender.send(pool.acquire())
        receiver.recv().release()
with pool.acquire() as buf:
    address = buf.samples.ctypes.data
inside = False
for line in open("/proc/self/smaps"):
    name, _, rest = line.partition(" ")
    if not name.endswith(":"):
        begin, end = (int(number, 16) for number in name.split("-"))
        inside = begin <= address < end
    elif inside and name == "Rss:":
        print(int(rest.split()[0]) * 1024 - len(pool) * 1024 * 4)
"""


@pytest.mark.parametrize("workload", ["transfer", "write", "samples", "write_and_samples"])
def test_steady_state_allocates_nothing(allocations, report, workload):
    """The allocator is never called in 10,000 cycles; ``tests/test_allocations.py`` tests it, with more workloads."""
    ours, rival = (sum(allocations[name].values()) for name in (workload, "copies_by_queue"))
    report(Figure(f"allocator calls, 10,000 cycles: {workload}", str(ours), str(rival), ours, None, "<= 0"))
    assert allocations["one_object"] == {"malloc": 10_000, "calloc": 0, "realloc": 0, "aligned": 0, "free": 10_000}


@pytest.fixture(scope="module")
def allocations():
    done = subprocess.run([sys.executable, COUNTER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("timestamps", [False, True])
def test_resident_beyond_samples(report, tmp_path, timestamps):
    """A pool of 16 with 2 links keeps at most 64 KiB resident beyond its samples; histograms, if on, come on top."""
    script = RESIDENT.format(timestamps=timestamps)
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    beyond = int(done.stdout)
    assert beyond > 0
    name = f"KiB resident beyond samples, 16 slots, 2 links{', time stamps' if timestamps else ''}"
    report(Figure(name, f"{beyond / 1024:g} KiB", "", beyond / 1024, None, "" if timestamps else "<= 64"))
