"""What tests observe of their own process: mappings, resident memory, threads asleep. Linux."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LONG = 60.0  # seconds; only a test that fails waits so long


def address(array) -> int:
    """Return the address of an array's first item."""
    return array.__array_interface__["data"][0]


@dataclass(frozen=True)
class Mapping:
    """One line of /proc/self/maps and its resident memory in bytes."""

    start: int
    stop: int
    resident: int


def arena_at(where: int) -> Mapping | None:
    """Return the mapping around an address if it is an arena: only those are wiped at a fork ("wf")."""
    start = stop = resident = 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "Rss":
            resident = int(rest.split()[0]) * 1024
        elif name == "VmFlags":
            if start <= where < stop:
                return Mapping(start, stop, resident) if "wf" in rest.split() else None
        elif "-" in name.split()[0]:
            start, stop = (int(part, 16) for part in name.split()[0].split("-"))
    return None


def wait_until(condition: Callable[[], object]) -> None:
    """Poll until a state is there; fail when it never comes."""
    deadline = time.monotonic() + LONG
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the state never came"
        pause.wait(0.0005)


class Call(threading.Thread):
    """A call on a thread of its own."""

    def __init__(self, function: Callable, *args) -> None:
        super().__init__(daemon=True)
        self.function, self.args = function, args
        self.result: object = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self.function(*self.args)
        except BaseException as error:
            # Without the traceback, whose frames keep buffers alive.
            self.error = error.with_traceback(None)
        del self.function, self.args

    def asleep_in(self, arena: Mapping) -> bool:
        """Tell whether the thread sleeps in the system, on a word of the arena (and not on the GIL)."""
        if self.native_id is None or not self.is_alive():
            return False
        fields = Path(f"/proc/self/task/{self.native_id}/syscall").read_text().split()
        return len(fields) > 2 and arena.start <= int(fields[1], 16) < arena.stop

    def wait_asleep(self, where: int) -> None:
        """Wait until the thread sleeps on a word of the arena around an address."""
        arena = arena_at(where)
        wait_until(lambda: self.asleep_in(arena) or self.error is not None)
        assert self.error is None, self.error

    def outcome(self):
        """Wait for the end of the call; return its result, or raise what it raised."""
        self.join(LONG)
        assert not self.is_alive(), "the call never ended"
        if self.error is not None:
            raise self.error
        result, self.result = self.result, None
        return result


def descriptors() -> int:
    """Return how many file descriptors are open."""
    return len(os.listdir("/proc/self/fd"))
