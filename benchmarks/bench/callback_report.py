"""What a contender had of what was played: the share, the loss, and how late; from one clock for all.

The signal source numbers its frames and notes the time of each of its cycles, so it is known of every frame that
somebody had when the server handed it out, whatever the contender tells about times.
"""

from dataclasses import dataclass

import numpy as np

from .callback_ways import PERIOD

__all__ = ["WRAP", "Journal", "Report"]

WRAP = 1 << 23  # frame numbers that the source tells apart: three minutes at 48 kHz


@dataclass(frozen=True)
class Journal:
    """The source's notes: of each of its cycles the server's clock in frames, and CLOCK_MONOTONIC in nanoseconds."""

    clock: np.ndarray
    time: np.ndarray

    @classmethod
    def read(cls, file):
        """Read what has been noted so far."""
        with open(file, "rb") as journal:
            number, period = np.frombuffer(journal.read(16), "uint64")
            assert number == 0 or period == PERIOD, f"the server's period is {period} frames, not {PERIOD}"
            cycles = np.frombuffer(journal.read(16 * int(number)), "int64").reshape(-1, 2)
        return cls(cycles[:, 0], cycles[:, 1])

    @property
    def frames(self):
        """How many frames have been played."""
        return len(self.clock) * PERIOD


class Report:
    """What one recording was worth.

    Parameters
    ----------
    heard : dict
        What `callback_program.record` returns.
    journal : Journal
    since : int
        A frame that was played before the recording began, less than `WRAP` frames before its end.

    Attributes
    ----------
    frames : ndarray
        The number of each frame that Python had, in the order it had them; each once.
    stale : int
        Frames that it had again, or after later ones: a server hands its memory out anew to a client that was late.
    expected : int
        Frames of the server's clock while the load was on.
    lost : int
        Those of them that Python never had.
    told : int
        How many of these the contender itself counted.
    dropped : int or None
        Frames that the contender's own callback was called with, from beginning to end, and that Python never had.
    late : ndarray
        Seconds from the server's handing out of a cycle, of those that came whole, to Python having its last frame.

    Raises
    ------
    AssertionError
        It had what was never played.
    """

    def __init__(self, heard, journal, since):
        # See native_src/ramp.c. A channel may be wired one cycle before the other.
        numbers = (heard["sound"][:, 0].astype(float) * 2 - 1) * WRAP
        loud = heard["sound"].all(axis=1)
        assert ((numbers >= 0) & (numbers < WRAP) & (numbers % 1 == 0))[loud].all(), "it had what was never played"
        assert (heard["sound"] == heard["sound"][:, :1])[loud].all(), "its channels are not of one time"
        owner = np.repeat(np.arange(len(heard["lengths"])), heard["lengths"])
        frames, owner = since + (numbers[loud].astype(int) - since) % WRAP, owner[loud]
        new = np.diff(np.maximum.accumulate(frames), prepend=-1) > 0
        self.stale = int((~new).sum())
        self.frames, owner = frames[new], owner[new]
        assert len(self.frames), "it had nothing"
        assert self.frames[-1] < journal.frames, "it had what was never played"
        called = int(heard["called"])
        self.dropped = None if called < 0 else called - len(numbers)

        # The cycles from the last one before the load to the last one under it.
        began, ended = heard["window"]
        first = max(0, np.searchsorted(journal.time, began) - 1)
        last = np.searchsorted(journal.time, ended)
        assert last < len(journal.time), "the source went silent"
        at = journal.clock[first], journal.clock[last]
        self.expected = int(at[1] - at[0])
        inside = (self.frames >= first * PERIOD) & (self.frames < last * PERIOD)
        self.lost = self.expected - int(inside.sum())
        self.told = told(heard["told"], owner, self.frames, journal.clock, at)

        cycles, number = np.unique(self.frames[inside] // PERIOD, return_counts=True)
        whole = cycles[number == PERIOD]
        ends = np.searchsorted(self.frames, whole * PERIOD + PERIOD - 1)
        self.late = (heard["times"][owner][ends] - journal.time[whole]) / 1e9

    @property
    def share(self):
        """The share of the expected frames that Python had."""
        return 1 - self.lost / self.expected

    def percentile(self, percent):
        """Return the latency that so many percent do not exceed; nan where nothing came."""
        return float(np.percentile(self.late, percent)) if len(self.late) else float("nan")

    def check(self):
        """Raise AssertionError unless everything that was played from the first frame on was recorded, in order."""
        assert self.stale == 0, f"{self.stale} frames came twice, or in another order"
        assert (np.diff(self.frames) == 1).all(), "frames are missing"
        assert self.lost == 0, f"{self.lost} of {self.expected} frames are missing"


def told(lost, owner, frames, clock, window):
    """Return how many frames the contender says are lost, as far as they lie in a window of the server's clock."""
    total = 0
    for block, place in zip(*np.unique(owner, return_index=True), strict=True):
        if lost[block]:
            number = frames[place]
            end = int(clock[number // PERIOD] + number % PERIOD)
            total += max(0, min(end, int(window[1])) - max(end - int(lost[block]), int(window[0])))
    return total
