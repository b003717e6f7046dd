"""How blocks go from one place in Python to another, and the two ways to race: on one thread, and on two.

A contender of the scenario is a `Handover`; the race around it checks all of them alike, with the loops that are timed.
"""

import os
from contextlib import closing
from functools import partial
from itertools import repeat
from operator import itemgetter, length_hint
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic, perf_counter_ns, sleep

import numpy as np

from .contest import Contender

__all__ = [
    "IN_FLIGHT", "Handover", "Racer", "SameThread", "TwoThreads", "poll", "random_blocks", "same_blocks", "timed",
]  # fmt: skip

IN_FLIGHT = 16
CHECKED = 8  # blocks of a check
PATIENCE = 10.0  # seconds until who waits for a thread takes it for dead
# Lets the other thread have the GIL. To sleep for 0 s takes 50 us on Linux, by the timer's slack.
let_others = getattr(os, "sched_yield", partial(sleep, 0))


class Handover:
    """Moves blocks of float32, of shape ``(frames, channels)``: the producer's is only valid during its turn.

    Parameters
    ----------
    in_flight : int
        So many blocks may be under way at once, those in the receiver's hands among them; slots, where there is a pool.
    frames, channels : int
    """

    name = "pong"
    note = ""
    protects = True  # what a kept reference or a view of it shows is never another block; the check finds it out
    look = staticmethod(itemgetter((0, 0), (-1, 0)))  # a receiver's look at the first and the last sample
    prepare = staticmethod(lambda block: block)  # the block in the form that suits it, made once

    def __init__(self, in_flight=IN_FLIGHT, frames=1024, channels=1):
        raise NotImplementedError

    def same(self, blocks, see):
        """Hand over each block and take it, on one thread; ``see``, unless None, gets what was received."""
        raise NotImplementedError

    def produce(self, blocks):
        """Hand over blocks, waiting while too many are in flight; the other side is on another thread."""
        raise NotImplementedError

    def consume(self, number, see):
        """Take so many blocks."""
        raise NotImplementedError

    def fill(self, blocks):
        """Hand over as many blocks as may be in flight; nobody takes them."""
        self.produce(blocks)

    def close(self):
        """Give back what it holds."""


def random_blocks(number, frames=1024, channels=1):
    """Return blocks that are all different."""
    return [*np.random.default_rng(1).standard_normal((number, frames, channels), "float32")]


def same_blocks(sent, received):
    """Raise AssertionError unless the blocks that arrived are those that were sent: all, in order, whole."""
    assert len(received) == len(sent), f"{len(received)} blocks of {len(sent)} arrived"
    for number, (there, here) in enumerate(zip(received, sent, strict=True)):
        assert np.array_equal(there, here.reshape(-1)), f"block {number} arrived as another one"


def poll(there):
    """Look until something is there, letting other threads run in between."""
    deadline = monotonic() + PATIENCE
    while not there():
        if monotonic() > deadline:
            raise TimeoutError("the other thread has stopped")
        let_others()


class Worker:
    """A thread that does one job after the other. What hangs in it cannot be ended, but is not waited for for ever."""

    def __init__(self):
        self.jobs = SimpleQueue()
        Thread(target=self.work, daemon=True).start()

    def work(self):
        """Do jobs until there is none."""
        for place, job, answers in iter(self.jobs.get, None):
            try:
                answers.put((place, job(), None))
            except BaseException as error:
                answers.put((place, None, error))

    def close(self):
        """End the thread when its job is done."""
        self.jobs.put(None)


def together(workers, jobs):
    """Let each worker do its job; return what the jobs return, or raise what the first to fail has raised."""
    answers = SimpleQueue()
    for place, (worker, job) in enumerate(zip(workers, jobs, strict=True)):
        worker.jobs.put((place, job, answers))
    results = [None] * len(workers)
    for _ in workers:
        try:
            place, results[place], error = answers.get(timeout=PATIENCE)
        except Empty:
            raise AssertionError(f"blocks were lost: nothing came for {PATIENCE:g} s") from None
        if error is not None:
            raise error
    return results


def timed(job):
    """Do a job; return the nanoseconds it took."""
    begin = perf_counter_ns()
    job()
    return perf_counter_ns() - begin


class SameThread(Contender):
    """A hand-over and its other end on one thread; a figure is nanoseconds per block.

    Parameters
    ----------
    make : callable
        Makes a `Handover`.
    cycles : int
        Blocks in a round.
    looks : bool
        The receiver looks at the first and last sample of each block.
    in_flight : int
    shape : int
        ``frames`` and ``channels``, unless 1024 and 1.
    """

    threads = 1

    def __init__(self, make, cycles, looks, in_flight=IN_FLIGHT, **shape):
        self.make, self.cycles, self.shape = make, cycles, shape
        self.handover = make(in_flight, **shape)
        self.see = self.handover.look if looks else None
        self.block = self.handover.prepare(*random_blocks(1, **shape))
        self.workers = [Worker() for _ in range(self.threads)]

    def check(self):
        """All blocks arrive, in order and whole; what was kept of a block shows another one only if it is said to."""
        received, sent = [], random_blocks(CHECKED, **self.shape)
        forms = [self.handover.prepare(block) for block in sent]
        self.pass_on(forms, lambda seen: received.append(np.array(seen).reshape(-1)))
        same_blocks(sent, received)
        safe = not any(self.shows_another(keep, sent) for keep in (lambda seen: seen, lambda seen: seen[:]))
        assert safe == self.handover.protects, f"{self.handover.name}: what is kept of a block is {safe=}"

    def shows_another(self, keep, blocks):
        """Tell whether what is kept of a block shows a later one; to show nothing, or to refuse, is no such thing."""
        kept = []
        with closing(self.make(CHECKED, **self.shape)) as handover:
            forms = [handover.prepare(block) for block in blocks]

            def first_and_others():
                handover.same(forms[:1], lambda seen: kept.append(keep(seen)))
                # As many as make every array come round.
                handover.same(forms[1:] + forms[1:], None)

            together(self.workers[:1], [first_and_others])
            shown = what_shows(kept.pop())
        return len(shown) and not np.array_equal(shown, blocks[0].reshape(-1))

    def pass_on(self, blocks, see):
        """Let prepared blocks through; return the nanoseconds."""
        (taken,) = together(self.workers, [lambda: timed(lambda: self.handover.same(blocks, see))])
        return taken

    def round(self):
        return self.pass_on(repeat(self.block, self.cycles), self.see) / self.cycles

    def close(self):
        for worker in self.workers:
            worker.close()
        self.handover.close()


def what_shows(kept):
    """Return the samples that something shows; none where it refuses."""
    try:
        return np.array(kept).reshape(-1)
    except ValueError:  # a memoryview that was released
        return np.empty(0, "float32")


class TwoThreads(SameThread):
    """A hand-over from one thread to another; with one block in flight a figure is the time of a round trip."""

    threads = 2

    def pass_on(self, blocks, see):
        number = length_hint(blocks)

        def consume():
            self.handover.consume(number, see)
            return perf_counter_ns()

        def produce():
            begin = perf_counter_ns()
            self.handover.produce(blocks)
            return begin

        end, begin = together(self.workers, [consume, produce])
        return end - begin


class Racer:
    """Makes the contender of a hand-over in one kind of race: what `contest` calls."""

    def __init__(self, handover, race=SameThread, *, cycles=1000, looks=False, **options):
        self.handover, self.race = handover, race
        self.arguments = {"cycles": cycles, "looks": looks} | options
        self.name = handover.name
        unsafe = "" if handover.protects else "what is kept of a block shows later ones"
        self.note = "; ".join(filter(None, (handover.note, unsafe)))

    def __call__(self):
        return self.race(self.handover, **self.arguments)
