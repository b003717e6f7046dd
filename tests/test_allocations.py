"""Steady state: no libc malloc at all, and no object, for acquire, write, send, recv and release.

Counted in a process of its own (``native/count_allocations.py``) by an interposer in front of the C library's
allocator, under ``PYTHONMALLOC=malloc``, over 10,000 cycles and minus an empty loop.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

COUNTER = Path(__file__).with_name("native") / "count_allocations.py"
CYCLES = 10_000

STEADY = [
    "transfer",
    "write",
    "write_frames_by_channels",
    "samples",
    "write_and_samples",
    "write_short",
    "dropped",
    "without_waiting",
    "two_links",
    "eight_queued",
]
ALLOCATING = ["copies_by_queue", "one_object", "kept_view"]


@pytest.fixture(scope="module")
def counts():
    """Return the allocator's calls by workload and function."""
    done = subprocess.run([sys.executable, COUNTER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("workload", STEADY)
def test_a_steady_state_calls_no_allocator(counts, workload):
    """Neither memory nor an object is asked for or given back; `samples` is used again at both ends."""
    assert counts[workload] == {"malloc": 0, "calloc": 0, "realloc": 0, "aligned": 0, "free": 0}


def test_every_workload_is_tested(counts):
    assert sorted(counts) == sorted(STEADY + ALLOCATING)


def test_the_counter_sees_an_object(counts):
    """The control: one object made and dropped in each cycle is one malloc and one free, no more."""
    assert counts["one_object"] == {"malloc": CYCLES, "calloc": 0, "realloc": 0, "aligned": 0, "free": CYCLES}


@pytest.mark.parametrize("workload", ["copies_by_queue", "kept_view"])
def test_the_counter_sees_what_copies_and_kept_views_cost(counts, workload):
    """The control: a copy for each block, and a pinned set of views, are seen in every cycle."""
    assert sum(counts[workload].values()) >= 2 * CYCLES
