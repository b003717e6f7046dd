"""Hand-over of blocks from Python to Python: the block must be copied in, because a callback's is only valid during the
call, and the receiver may look at it.
"""

from .contest import contest, goal
from .handover_others import CopyAsyncio, CopyJanus, PaRingBuffer, RingBuf
from .handover_queues import (
    CopyQueue,
    CopySimpleQueue,
    Pong,
    PongPolling,
    PongTimed,
    RecycledDeque,
    RecycledMemoryview,
    RecycledQueue,
)
from .handover_race import Racer, TwoThreads
from .handover_scaling import scaling

__all__ = ["CONTENDERS", "NAME", "NEEDS", "TITLE", "run"]

NAME = "handover"
TITLE = "Python hand-over of blocks of 1024 float32, with fill"
NEEDS = {
    "pip": ["janus", "pa-ringbuffer", "rtmixer", "ringbuf"],
    "apt": ["g++", "libboost-dev", "libboost-system-dev"],  # to build ringbuf, which has no wheels
    "npm": [],
}

CONTENDERS = (
    Pong, PongTimed, CopySimpleQueue, CopyQueue, RecycledDeque, RecycledQueue, RecycledMemoryview,
    CopyAsyncio, CopyJanus, RingBuf, PaRingBuffer,
)  # fmt: skip
CASES = {
    "same thread, fill": {},
    "same thread, fill and look": {"looks": True},
    "two threads, throughput with 16 in flight": {"race": TwoThreads, "looks": True},
    "two threads, round trip": {"race": TwoThreads, "cycles": 200, "looks": True, "in_flight": 1},
}


def run(plan):
    """Run the scenario.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    (list of Result, list of Goal)
    """
    results, goals = [], []
    for case, options in CASES.items():
        polling = (PongPolling,) if "race" in options else ()
        makers = [Racer(contender, **options) for contender in (*CONTENDERS, *polling)]
        found = contest(NAME, case, makers, plan, unit="ns")
        results += found
        if not polling:
            goals += bounds(case, found)
    grown, growth = scaling(NAME, plan)
    return results + grown, goals + growth


def bounds(case, found):
    """Return the goals of a case on one thread."""
    copy, recycled = {CopySimpleQueue.name}, {RecycledDeque.name}
    return [
        goal(f"{case}: so many times faster", found, ">= 1.5", rivals=copy, inverse=True),
        goal(f"{case}: pong / rival", found, "<= 1", rivals=recycled),
    ]
