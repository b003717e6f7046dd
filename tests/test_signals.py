"""Ctrl-C and other signals in every call that blocks: the wait ends or goes on, and nothing is lost."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from programs import finish, program, run, until

# What each call waits for, the call, what makes it go on, and what it then returns.
CALLS = {
    "recv": ("receiver", "receiver.recv().tag", "sender.send(held, tag=7)", "7"),
    "recv with a timeout": ("receiver", "receiver.recv(timeout=1000).tag", "sender.send(held, tag=7)", "7"),
    "iteration": ("receiver", "next(iter(receiver)).tag", "sender.send(held, tag=7)", "7"),
    "poll": ("receiver", "receiver.poll(timeout=None)", "sender.send(held, tag=7)", "True"),
    "acquire": ("pool", "pool.acquire(timeout=None).frames", "held.release()", "8"),
    "acquire with a timeout": ("pool", "pool.acquire(timeout=1000).frames", "held.release()", "8"),
}

SETUP = """
import _stress

# The exit of an interrupted interpreter must not count: every program handles its own signals.
signal.signal(signal.SIGINT, signal.default_int_handler)
pool = pong.BufferPool(1, 8, on_empty="raise")
sender, receiver = pool.link()
held = pool.acquire()
call = lambda: {call}
print(_stress.event_address({waited}), flush=True)
"""


def asleep_on(pid: int, address: int) -> bool:
    """Tell whether a program's main thread is in a system call on that address, as the kernel shows it."""
    fields = Path(f"/proc/{pid}/task/{pid}/syscall").read_text().split()
    return len(fields) > 1 and int(fields[1], 16) == address


def interrupt_asleep(process, number: signal.Signals) -> None:
    """Wait until a program has said where it will sleep, and sleeps there; then send it a signal."""
    address = int(process.stdout.readline())
    until(lambda: process.poll() is not None or asleep_on(process.pid, address))
    process.send_signal(number)


@pytest.mark.parametrize("name", CALLS)
def test_ctrl_c_ends_the_wait(stress, tmp_path: Path, name: str) -> None:
    """Twice KeyboardInterrupt, each time out of the sleeping call; the same call then gets what comes."""
    waited, call, event, result = CALLS[name]
    code = (
        SETUP.format(call=call, waited=waited)
        + f"""
for _ in range(2):
    try:
        call()
    except KeyboardInterrupt:
        stats = pool.stats()
        assert (stats.owned, stats.free, stats.queued) == (1, 0, 0), stats
        print(_stress.event_address({waited}), flush=True)
{event}
print("result", call())
receiver.drain()
assert pool.free == 1 and pool.stats().acquired == 1 + {waited == "pool"}
"""
    )
    with program(tmp_path, code, native=Path(stress.__file__).parent) as process:
        interrupt_asleep(process, signal.SIGINT)
        interrupt_asleep(process, signal.SIGINT)
        # The address once more, after the second interrupt.
        assert finish(process).split()[1:] == ["result", result]


@pytest.mark.parametrize("name", CALLS)
def test_wait_goes_on_after_a_handler(stress, tmp_path: Path, name: str) -> None:
    """A handler that returns does not end the wait, and what it does itself is seen: here it ends the wait's cause."""
    waited, call, event, result = CALLS[name]
    code = (
        SETUP.format(call=call, waited=waited).replace(
            "print(_stress",
            f"""
seen = []
def note(number, frame):
    seen.append(number)
    if len(seen) == 1:
        print(_stress.event_address({waited}), flush=True)
    else:
        {event}
signal.signal(signal.SIGUSR1, note)
print(_stress""",
        )
        + """
result = call()
assert len(seen) == 2, seen
print("result", result)
"""
    )
    with program(tmp_path, code, native=Path(stress.__file__).parent) as process:
        interrupt_asleep(process, signal.SIGUSR1)
        interrupt_asleep(process, signal.SIGUSR1)
        assert finish(process).split() == ["result", result]


RANDOM = """
import random, time

class Alarm(Exception):
    pass

def raise_alarm(number, frame):
    raise Alarm

signal.signal(signal.SIGALRM, raise_alarm)
pool = pong.BufferPool(4, 8, on_empty="raise")
sender, receiver = pool.link()
pick = random.Random(1)
calls = [receiver.recv, lambda: receiver.poll(None), lambda: next(receiver), lambda: pool.acquire(None)]
for turn in range(2_000):
    held = [pool.acquire() for _ in range(4)]
    try:
        signal.setitimer(signal.ITIMER_REAL, pick.uniform(1e-6, 1e-4))
        calls[turn % 4]()
    except Alarm:
        pass
    else:
        raise AssertionError("the call ended by itself")
    sender.send(held.pop())
    receiver.recv().release()
    del held
    assert pool.free == 4
print("done")
"""


def test_signal_at_any_instant_ends_the_wait(tmp_path: Path) -> None:
    """Also between the last look at the signal flag and the system call: no wait outlasts a handler that raises."""
    assert run(tmp_path, RANDOM) == "done\n"
