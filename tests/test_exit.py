"""The end of the interpreter: whatever is alive, asleep or at work then, the process ends by itself and in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import run

ASLEEP = """
import _stress
pool = pong.BufferPool(2, 8, on_empty="raise")
sender, receiver = pool.link()
held = [pool.acquire(), pool.acquire()]
views = [held[0].samples, memoryview(held[1])]
calls = [
    receiver.recv, lambda: receiver.recv(timeout=1000), lambda: receiver.poll(timeout=None), lambda: list(receiver),
    lambda: pool.acquire(timeout=None), lambda: pool.acquire(timeout=1000),
]
started = threading.Barrier(len(calls) + 1)

def sleep(call):
    started.wait()
    call()

for call in calls:
    threading.Thread(target=sleep, args=(call,), daemon=True).start()
started.wait()
until(lambda: _stress.awaited(pool) and _stress.awaited(receiver))
"""

# What wakes the sleepers at the very end, and what keeps what they use alive: nothing, or somebody else.
ENDINGS = {
    "return": "",
    "close": "pool.close()",
    "drop": "del held, views, sender, receiver, pool, calls",
    "exit in the middle of a wake-up": "sender.send(held.pop()) if not views.clear() else None",
    "close at exit": "import atexit; atexit.register(pool.close)",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_threads_asleep(stress, tmp_path: Path, ending: str) -> None:
    """Daemon threads in each blocking call do not keep the process from its end, nor crash it."""
    # A thread that a close wakes in time ends with ClosedError; this program does not want to hear of it.
    code = "threading.excepthook = lambda args: None\n" + ASLEEP + ENDINGS[ending]
    assert run(tmp_path, code, native=Path(stress.__file__).parent) == ""


AT_WORK = """
pool = pong.BufferPool(4, 8, on_empty="raise")
sender, receiver = pool.link()
rounds = [0, 0]

def sending():
    while True:
        buf = pool.acquire(timeout=None)
        buf.samples[:] = 1
        sender.send(buf, message=[rounds])
        rounds[0] += 1

def receiving():
    for buf in receiver:
        with buf:
            assert buf.samples.sum() == 8
        rounds[1] += 1

for target in (sending, receiving):
    threading.Thread(target=target, daemon=True).start()
until(lambda: min(rounds) > 100)
"""


@pytest.mark.parametrize("attempt", range(10))
def test_threads_at_work(tmp_path: Path, attempt: int) -> None:
    """Daemon threads in the middle of acquire, send and recv, stopped wherever they are."""
    assert run(tmp_path, AT_WORK) == ""


ALIVE = {
    "everything": """
        pool = pong.BufferPool(8, 8)
        sender, receiver = pool.link()
        descriptor = receiver.fileno()
        other_sender, other_receiver = pool.link()
        for i in range(3):
            sender.send(pool.acquire(), message=["queued"])
        received = receiver.recv()
        held, viewed, released = pool.acquire(), pool.acquire(), pool.acquire()
        samples, part, memory = held.samples, viewed.samples[1:], memoryview(viewed)
        old = released.samples
        released.release()
        neutered = received.samples
        received.release()
    """,
    "views without a pool": """
        samples = pong.BufferPool(2, 8).acquire().samples
        memory = memoryview(pong.BufferPool(2, 8).acquire())
        receiver = pong.BufferPool(2, 8).link()[1]
        sender = pong.BufferPool(2, 8).link()[0]
    """,
    "message in a cycle with its buffer": """
        pool = pong.BufferPool(4, 8)
        sender, receiver = pool.link()
        buf = pool.acquire()
        sender.send(buf, message=[buf, sender, receiver, pool])
        cycle = [receiver.recv()]
        cycle += [cycle, cycle[0].message, cycle[0].samples]
        buf = pool.acquire()
        sender.send(buf, message=cycle)
        sender, receiver = pool.link()
        sender.send(pool.acquire(), message=receiver)
        del buf, sender, receiver, pool, cycle
    """,
    "cycle with a finalizer": """
        class Holder:
            def __del__(self):
                self.held.release()
                self.sender.send(self.second, message=self)
                self.third.samples[:] = 1
        pool = pong.BufferPool(4, 8)
        holder = Holder()
        holder.held, holder.second, holder.third = pool.acquire(), pool.acquire(), pool.acquire()
        holder.sender, holder.receiver = pool.link()
        holder.self = holder
    """,
    "finalizer that works": """
        class Late:
            def __init__(self):
                self.pool = pong.BufferPool(2, 8)
                self.sender, self.receiver = self.pool.link()
            def __del__(self):
                self.sender.send(self.pool.acquire(), tag=3)
                got = self.receiver.recv()
                assert got.tag == 3
                self.samples = got.samples
                self.pool.close()
        # Among the last things that are cleared, and in a cycle with a module.
        sys.late, sys.modules["late"] = Late(), Late()
        late = Late()
        late.me = late
    """,
    "finalizer of a message": """
        class Message:
            def __init__(self, *ends):
                self.ends = ends
            def __del__(self):
                for end in self.ends:
                    end.close()
        pool = pong.BufferPool(4, 8)
        sender, receiver = pool.link()
        sender.send(pool.acquire(), message=Message(sender, receiver, pool))
        sender.send(pool.acquire(), message=Message(receiver, pool))
    """,
    "weak references with callbacks": """
        import weakref
        pool = pong.BufferPool(4, 8)
        sender, receiver = pool.link()
        buf = pool.acquire()
        samples = buf.samples
        note = lambda ref, close=pool.close: close()
        watched = [weakref.ref(samples, note), weakref.ref(sender, note), weakref.ref(receiver, note)]
        sender.send(buf)
    """,
}


@pytest.mark.parametrize("what", ALIVE)
def test_alive_at_the_end(tmp_path: Path, what: str) -> None:
    """Handles, views and links in module globals, in cycles and in finalizers that run during the shutdown."""
    assert run(tmp_path, ALIVE[what]) == ""
