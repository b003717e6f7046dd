"""What keeps an interpreter busy while audio comes in: each load is a context manager."""

import contextlib
import gc
import random
import threading

__all__ = ["LOADS"]

OBJECTS = 500_000  # on the heap that is searched for garbage
ITEMS = 500_000    # in the list that is sorted


class Repeated:
    """A thread that does one thing again and again, from `__enter__` to `__exit__`."""

    def __init__(self):
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.over.is_set():
            self.work()

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Spin(Repeated):
    """Pure Python, which gives the GIL away every few milliseconds when asked to."""

    def work(self):
        for _ in range(1000):
            pass


class Garbage(Repeated):
    """The garbage collector, on a heap of many objects."""

    def __init__(self):
        super().__init__()
        self.heap = [[i] for i in range(OBJECTS)]

    def work(self):
        gc.collect()


class Sorting(Repeated):
    """A large list, sorted in one C call."""

    def __init__(self):
        super().__init__()
        self.numbers = [random.random() for _ in range(ITEMS)]

    def work(self):
        sorted(self.numbers)


def hold():
    """Return a thread that makes C calls which keep the GIL for 0.24 s each."""
    from pong.demo import Holders

    return Holders(number=1)


LOADS = {
    "idle": contextlib.nullcontext,
    "pure Python spin": Spin,
    "GIL-holding C calls": hold,
    "gc.collect on a large heap": Garbage,
    "sorting a large list": Sorting,
}
