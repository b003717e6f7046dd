"""Overflow slots: a bounded number of extra ones, taken with a warning, untouched until then and given back."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
from observe import address, arena_at

import pong

BLOCKSIZE = 65536 // 4  # 64 KiB of float32: whole pages


def quiet_acquire(pool: pong.BufferPool, number: int) -> list[pong.Buffer]:
    """Acquire without the warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pong.PoolExhaustedWarning)
        return [pool.acquire() for _ in range(number)]


def warnings_of(pool: pong.BufferPool, number: int = 1) -> tuple[list[pong.Buffer], int]:
    """Acquire; return the buffers and how many warnings came."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        buffers = [pool.acquire() for _ in range(number)]
    assert all(w.category is pong.PoolExhaustedWarning for w in caught)
    return buffers, len(caught)


def test_an_empty_pool_warns_and_takes_an_overflow_slot():
    """The warning says where the slots are, and names the line that called."""
    pool = pong.BufferPool(3, 8)
    sender, _receiver = pool.link()
    held = [pool.acquire() for _ in range(3)]
    sender.send(held[0])
    view = held[1].samples[:]
    held[1].release()
    with pytest.warns(pong.PoolExhaustedWarning, match="1 owned, 1 queued, 1 pinned") as caught:
        extra = pool.acquire()
    assert [w.filename for w in caught] == [__file__]
    assert issubclass(pong.PoolExhaustedWarning, ResourceWarning)
    extra.write(np.arange(8, dtype="float32"))
    assert extra.samples[:, 0].tolist() == list(range(8))
    stats = pool.stats()
    assert (stats.overflow_in_use, stats.overflowed, stats.free, stats.in_use) == (1, 1, 0, 4)
    assert len(view) == 8


def test_one_warning_for_each_episode():
    """An episode ends when all overflow slots are back and unpinned, not before."""
    pool = pong.BufferPool(2, 8, overflow=3)
    _held, warned = warnings_of(pool, 2)
    assert warned == 0
    extra, warned = warnings_of(pool, 3)
    assert warned == 1
    extra.pop().release()
    again, warned = warnings_of(pool)
    assert warned == 0
    view = again[0].samples[:]
    for buf in (*extra, *again):
        buf.release()
    assert pool.stats().overflow_in_use == 1
    again, warned = warnings_of(pool)
    assert warned == 0, "a pinned overflow slot belongs to the episode"
    again.clear()
    del view, buf
    assert pool.stats().overflow_in_use == 0
    for episode in range(3):
        again, warned = warnings_of(pool, 2)
        assert warned == 1, episode
        again.clear()


def test_overflow_is_bounded_and_then_exhausted():
    pool = pong.BufferPool(2, 8, overflow=3)
    buffers = quiet_acquire(pool, 5)
    assert len({address(buf.samples) for buf in buffers}) == 5
    with pytest.raises(pong.PoolExhausted, match="5 owned"):
        pool.acquire()
    with pytest.raises(pong.PoolExhausted):
        pool.acquire(0.001)
    assert pool.stats().overflow_in_use == 3
    buffers.clear()
    assert (pool.free, pool.in_use, pool.stats().overflow_in_use) == (2, 0, 0)


def test_acquire_waits_out_its_timeout_before_it_overflows():
    pool = pong.BufferPool(1, 8)
    held = pool.acquire(0.001)
    with pytest.warns(pong.PoolExhaustedWarning):
        assert pool.acquire(0.001)
    assert pool.stats().overflowed == 1
    assert held


def test_the_pools_own_slots_come_first_again():
    """Hot reuse counts during an episode too: an overflow slot only while no other is free."""
    pool = pong.BufferPool(2, 8, overflow=2)
    buffers = quiet_acquire(pool, 4)
    places = [address(buf.samples) for buf in buffers]
    buffers[3].release()
    buffers[1].release()
    assert address(pool.acquire().samples) == places[1]
    again = quiet_acquire(pool, 2)
    assert [address(buf.samples) for buf in again] == [places[1], places[3]]


@pytest.mark.parametrize(("count", "overflow"), [(1, 64), (63, 2), (64, 64), (100, 100), (1024, 1024), (1, 1024)])
def test_many_slots(count, overflow):
    """More slots than a word of the free set has bits: each is handed out once, all come back (I3)."""
    pool = pong.BufferPool(count, 4, overflow=overflow)
    sender, receiver = pool.link()
    total = count + overflow
    for _ in range(2):
        buffers = quiet_acquire(pool, total)
        assert len({address(buf.samples) for buf in buffers}) == total
        for number, buf in enumerate(buffers):
            buf.write(np.full(4, number, "float32"))
        with pytest.raises(pong.PoolExhausted, match=f"{total} owned"):
            pool.acquire()
        sender.send_many(buffers)
        assert pool.stats().queued == total
        received = receiver.drain()
        assert [buf.samples[0, 0] for buf in received] == list(range(total))
        for buf in received[::2] + received[1::2]:
            buf.release()
        stats = pool.stats()
        assert (stats.free, stats.in_use, stats.overflow_in_use) == (count, 0, 0)


def test_a_warning_that_is_an_error_loses_no_slot():
    """As with ``-W error``: the acquire fails, the slot stays, later it can be had."""
    pool = pong.BufferPool(2, 8, overflow=2)
    held = [pool.acquire(), pool.acquire()]
    before = pool.stats()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for timeout in [0, 0.0005] * 20:
            with pytest.raises(pong.PoolExhaustedWarning):
                pool.acquire(timeout)
    assert pool.stats() == before
    extra = quiet_acquire(pool, 2)
    assert pool.stats().overflow_in_use == 2
    extra.clear()
    held.clear()
    assert (pool.free, pool.in_use) == (2, 0)


def test_dash_w_error(tmp_path):
    script = textwrap.dedent("""
        import pong
        pool = pong.BufferPool(1, 8, overflow=1)
        held = pool.acquire()
        for _ in range(3):
            try:
                pool.acquire()
            except pong.PoolExhaustedWarning:
                pass
            else:
                raise SystemExit("no warning")
        stats = pool.stats()
        assert (stats.owned, stats.overflow_in_use, stats.in_use) == (1, 0, 1), stats
        held.release()
        assert pool.acquire()
        print("nothing lost")
    """)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=120, check=False,
        cwd=tmp_path,
    )
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("nothing lost", "", 0)


def test_overflow_memory_is_untouched_until_used_and_given_back_afterwards():
    """Resident size of the arena: grows with each overflow slot written, shrinks when the episode is over."""
    gc.collect()
    pool = pong.BufferPool(2, BLOCKSIZE, overflow=16)
    held = [pool.acquire(), pool.acquire()]
    where = address(held[0].samples)
    for buf in held:
        buf.samples[:] = 1
    block = held[0].nbytes
    idle = arena_at(where)
    assert idle.stop - idle.start > 18 * block, "not the whole arena"
    assert 2 * block <= idle.resident < 3 * block
    for end in ("stats", "acquire"):
        extra = quiet_acquire(pool, 8)
        for buf in extra:
            buf.samples[:] = 2
        assert 10 * block <= arena_at(where).resident < 11 * block
        for buf in extra:
            buf.release()
        # The acquiring side gives back at its next call.
        if end == "stats":
            pool.stats()
        else:
            held.pop().release()
            held.append(pool.acquire())
        assert arena_at(where).resident == idle.resident


def test_overflow_memory_stays_while_an_alias_lives():
    """I5: what is given back is reachable by nobody."""
    gc.collect()
    pool = pong.BufferPool(1, BLOCKSIZE, overflow=4)
    held = pool.acquire()
    extra = quiet_acquire(pool, 2)
    for number, buf in enumerate(extra):
        buf.samples[:] = number + 1
    views = [buf.samples[::1000] for buf in extra]
    for buf in extra:
        buf.release()
    for _ in range(3):
        pool.stats()
        quiet_acquire(pool, 2)[0].samples[:] = 9
        assert [set(view[:, 0].tolist()) for view in views] == [{1}, {2}]
    where = address(views[1])
    del buf
    views.pop()
    extra.clear()
    pool.stats()
    assert set(views[0][:, 0].tolist()) == {1}
    views.clear()
    busy = arena_at(where).resident
    pool.stats()
    assert arena_at(where).resident < busy
    assert held
