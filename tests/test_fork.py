"""A forked child reaches nothing of its parent's pool, can make its own, and the parent notices nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import run

CHILD = """
import gc, select

def refuses(error, call, *args):
    try:
        call(*args)
    except error:
        return True
    raise AssertionError(f"{call} did not raise {error.__name__}")

def own_pool_works():
    with pong.BufferPool(2, 4) as mine:
        there, here = mine.link()
        buf = mine.acquire()
        buf.write(np.arange(4, dtype="f4"))
        there.send(buf, tag=5)
        got = here.recv()
        assert (got.tag, got.samples[:, 0].tolist()) == (5, [0, 1, 2, 3])
        got.release()
        assert mine.free == 2

def wait_for(pid):
    assert os.waitpid(pid, 0) == (pid, 0), "the child has failed"
"""

VIEWS = (
    CHILD
    + """
pool = pong.BufferPool(4, 8, on_empty="raise")
sender, receiver = pool.link()
receiver.fileno()
queued = pool.acquire()
queued.samples[:] = 1
sender.send(queued, tag=1, message=["kept"])
held = pool.acquire()
samples, part = held.samples, held.samples[2:]
samples[:] = 2
exported = pool.acquire()
exported.samples[:] = 3
memory = memoryview(exported)
pinned = pool.acquire()
old = pinned.samples[:4]
old[:] = 4
pinned.release()
before = pool.stats()

def check_child():
    assert held.detached and exported.detached and not held and len(held) == held.nbytes == 0
    for call in (held.release, held.copy, exported.release, lambda: held.samples, lambda: np.asarray(held)):
        refuses(pong.DetachedError, call)
    refuses((pong.DetachedError, pong.ClosedError), sender.send, held)
    refuses((pong.DetachedError, pong.ClosedError), sender.send_many, [held])
    arrays = [samples, part, old, np.frombuffer(memory.cast("B"), dtype="u1")]
    assert all(array.size and not array.any() for array in arrays), "a view in the child shows the parent's block"
    for array in arrays:
        array[:] = 9
    assert pool.closed
    refuses(pong.ClosedError, pool.acquire)
    refuses(pong.ClosedError, lambda: pool.acquire(timeout=None))
    refuses(pong.ClosedError, pool.link)
    for call in (receiver.recv, receiver.recv_nowait, receiver.drain):
        refuses(pong.ClosedError, call)
    assert receiver.poll(timeout=None) is True
    assert list(receiver) == []
    own_pool_works()

def check_parent():
    # I1, I2, I3: every slot is where it was, every byte is as it was.
    assert pool.stats() == before and not pool.closed
    assert (samples == 2).all() and (part == 2).all() and (old == 4).all()
    assert (np.frombuffer(memory.cast("B"), dtype="f4") == 3).all()
    assert not held.detached and not exported.detached
    assert select.select([receiver], [], [], 0)[0], "the child has taken the parent's event"

{fork}
check_parent()
got = receiver.recv()
assert (got.tag, got.message) == (1, ["kept"]) and (got.samples == 1).all()
got.release()
assert not select.select([receiver], [], [], 0)[0]
del memory, part, old
held.release(), exported.release()
del samples
assert pool.free == 4
print("parent is well")
"""
)

ENDS = {
    # At once, and after everything was closed and dropped.
    "_exit": "os._exit(0)",
    "drop everything": """
        sender.close(), receiver.close(), pool.close()
        del queued, held, samples, part, exported, memory, pinned, old, sender, receiver, pool
        gc.collect()
        os._exit(0)""",
    # With everything alive, through the end of the interpreter.
    "exit": "sys.exit(0)",
    "exit after close": """
        sender.close(), receiver.close(), pool.close()
        sys.exit(0)""",
}


@pytest.mark.parametrize("end", ENDS)
def test_views_alive(tmp_path: Path, end: str) -> None:
    """I2: buffers owned, queued, pinned and viewed in the parent; the child sees zeros and owns nothing."""
    fork = f"""
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        try:
            check_child()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        {ENDS[end]}
    wait_for(pid)
    check_parent()
"""
    assert run(tmp_path, VIEWS.replace("{fork}", fork)) == "parent is well\n"


LOAD = (
    CHILD
    + """
import _stress
number = 200_000
native = pong.BufferPool(16, 8, dtype="u8", on_empty="raise")
native_sender, native_receiver = native.link()
idle = pong.BufferPool(1, 8, on_empty="raise")
idle_sender, idle_receiver = idle.link()
taken = idle.acquire()
pool = pong.BufferPool(8, 8, dtype="u8", on_empty="raise")
sender, receiver = pool.link()
stop = threading.Event()
counts = [0, 0]

def sending():
    while not stop.is_set():
        buf = pool.acquire(timeout=None)
        buf.samples[:] = counts[0]
        sender.send(buf, message=str(counts[0]))
        counts[0] += 1
    sender.close()

def receiving():
    for buf in receiver:
        with buf:
            assert buf.seq == counts[1] and buf.message == str(counts[1])
            assert (buf.samples == counts[1]).all()
            counts[1] += 1

def waiting(call, ended):
    try:
        call()
    except pong.ClosedError:
        ended.append(True)

ended = []
threads = [threading.Thread(target=target) for target in (sending, receiving)]
threads += [threading.Thread(target=waiting, args=(call, ended)) for call in (
    idle_receiver.recv, idle_receiver.recv, lambda: idle_receiver.poll(None) and idle_receiver.recv(),
    lambda: idle.acquire(timeout=None),
)]
for thread in threads:
    thread.start()
until(lambda: _stress.awaited(idle) and _stress.awaited(idle_receiver) and counts[1])
running = [_stress.native_receiver(native, native_receiver, number, held=3),
           _stress.native_sender(native, [native_sender], number)]

def check_child():
    assert pool.closed and native.closed and idle.closed and taken.detached
    for call in (pool.acquire, lambda: idle.acquire(timeout=None), receiver.drain, idle_receiver.recv):
        refuses(pong.ClosedError, call)
    sender.close(), receiver.close(), pool.close()
    own_pool_works()

for _ in range(100):
    before = counts[1]
    pid = os.fork()
    if pid == 0:
        try:
            check_child()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    wait_for(pid)
    until(lambda: counts[1] > before)
stop.set()
assert [thread.join()["done"] for thread in running] == [number, number]
assert ended == [] and not taken.detached
idle.close()
for thread in threads:
    thread.join()
assert ended == [True] * 4
assert counts[0] == counts[1]
# I3: all home.
assert (pool.free, pool.in_use, native.free, idle.in_use) == (8, 0, 16, 1)
print("parent is well")
"""
)


def test_under_load(stress, tmp_path: Path) -> None:
    """I3: forks while threads acquire, send, receive and sleep, two native ones among them; no message is lost."""
    assert run(tmp_path, LOAD, native=Path(stress.__file__).parent) == "parent is well\n"
