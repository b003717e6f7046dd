"""What the sender's side asks of the allocator, of locks and of the system: run in a process of its own, watched.

The allocator's and locks' calls are counted by a library in front of the C library's. System calls are not counted:
strict seccomp kills the thread that makes one, so that a thread which has sent all of its blocks has made none.
"""

import ctypes
import json
import os
import subprocess
import sys

from .contest import Missing, Result
from .native_build import COUNT, SENDER_ONLY, Builds
from .native_contenders import Drill, everybody, make

__all__ = ["KINDS", "calls"]

SLOTS = 64
WATCHED = SLOTS - 1
TIMES = 20
KINDS = "allocations", "locks", "system calls"


def calls(scenario, builds, plan):
    """Return what the blocks of every contender cost in calls, as three lists of `Result`, one for each of `KINDS`."""
    program = f"from {__package__}.native_calls import watch; watch({str(builds.folder)!r})"
    environment = os.environ | {"LD_PRELOAD": str(builds.counter()), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False,
        # Python would import from the current folder first.
        cwd=builds.folder,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    cases = {kind: [] for kind in KINDS}
    for name, counts in found.items():
        for kind in KINDS:
            case = f"audio-thread side, {kind} in {WATCHED * TIMES} blocks"
            if isinstance(counts, str):
                if plan.required:
                    raise Missing(counts)
                cases[kind].append(Result(scenario, case, name, "calls", missing=counts))
                continue
            note = "1: killed at the first" if kind == "system calls" and counts[kind] else ""
            cases[kind].append(Result(scenario, case, name, "calls", values=[counts[kind]], note=note))
    return list(cases.values())


def watch(folder):
    """Print the counts of each contender as JSON; what runs in the process of its own."""
    builds = Builds(folder)
    count = COUNT(("counted_calls", ctypes.CDLL(None)))
    drill = Drill(SENDER_ONLY, slots=SLOTS, blocks=SLOTS)
    found = {}
    for name in everybody(drill):
        try:
            contender = make(builds, name, drill)()
        except Missing as error:
            found[name] = str(error)
            continue
        watched = [contender.watched(count, False) for _ in range(TIMES)]
        sealed = [contender.watched(COUNT(), True).done for _ in range(TIMES)]
        found[name] = {
            "allocations": sum(job.calls[0] for job in watched),
            "locks": sum(job.calls[1] for job in watched),
            "system calls": int(min(sealed) < SLOTS),
        }
    print(json.dumps(found), flush=True)
    # Where a thread was killed with a lock in its hands, no destructor is to wait for it.
    os._exit(0)
