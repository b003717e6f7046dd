"""The process of one contender: it records the signal source under a load, and saves what it had, and when.

Its arguments: module and class of the way to record, the load, frames per second, seconds, and the file to write.
"""

import faulthandler
import importlib
import sys
from time import monotonic_ns

import numpy as np

from .callback_loads import LOADS

__all__ = ["LIMIT"]

LIMIT = 20  # seconds that everything beside the recording may take: who hangs is ended without being asked
PULL = 0.1
GRACE = 10**8  # nanoseconds


class Notes:
    """What Python had, and when; the same work for every contender.

    Nothing here gives the GIL away: under load each time would cost its holder's whole call.
    """

    def __init__(self):
        self.parts, self.times, self.told = [], [], []

    def take(self, samples, lost=0):
        """Keep a block of float32: ``lost`` frames are missing right before it, as the contender itself tells."""
        self.times.append(monotonic_ns())
        self.parts.append(bytes(samples))
        self.told.append(lost)

    @property
    def heard(self):
        """Whether the last block is sound."""
        return bool(self.parts) and any(self.parts[-1])


def record(way, pressure, seconds):
    """Record under a load for a time; return what is to be saved."""
    notes = Notes()
    way.open()
    until = monotonic_ns() + LIMIT // 2 * 10**9
    while not notes.heard:
        assert monotonic_ns() < until, "the source is never heard"
        way.pull(notes.take, PULL)
    with pressure:
        began = monotonic_ns()
        ended = began + round(seconds * 1e9)
        while monotonic_ns() < ended:
            way.pull(notes.take, PULL)
    # What was on its way when the load ended.
    until = monotonic_ns() + GRACE
    while monotonic_ns() < until:
        way.pull(notes.take, PULL)
    way.stop()
    # All that was in a buffer of the contender's when it stopped.
    way.rest(notes.take)
    return {
        "sound": np.frombuffer(b"".join(notes.parts), "float32").reshape(-1, way.channels),
        "lengths": np.array([len(part) // (4 * way.channels) for part in notes.parts]),
        "times": np.array(notes.times),
        "told": np.array(notes.told),
        "window": np.array([began, ended]),
        "called": np.array(-1 if way.called is None else way.called),
    }


def main(way, load, rate, seconds, file):
    faulthandler.dump_traceback_later(LIMIT + float(seconds), exit=True)
    module, name = way.split(":")
    way = getattr(importlib.import_module(module), name)(int(rate))
    np.savez(file, **record(way, LOADS[load](), float(seconds)))
    way.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
