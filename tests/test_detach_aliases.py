"""The table of aliases, at send and at release: counted ones forbid a send, all of them keep their own block."""

from __future__ import annotations

import gc
from functools import partial

import numpy as np
import pytest
from aliases import ALIASES, COUNTED, UNCOUNTED, VALUES, Alias, disturb, filled, rows, small_pool, where

import pong


def check_own_block(pool: pong.BufferPool, held: list, alias: Alias, seen: np.ndarray) -> None:
    """Assert I5: the slot is pinned until what ``held`` keeps is dropped, whatever happens to the other slots."""
    count = len(pool)
    assert where(pool) == (count - 1, 0, 0, 1)
    for _ in range(3):
        assert disturb(pool) == count - 1
    with pytest.raises(pong.PoolExhausted, match=f"{count - 1} owned, 0 queued, 1 pinned"):
        [pool.acquire() for _ in range(count)]
    np.testing.assert_array_equal(alias.read(held[0]), seen)
    held.clear()
    assert where(pool) == (count, 0, 0, 0)
    assert disturb(pool) == count


@rows(COUNTED)
@pytest.mark.parametrize("many", [False, True], ids=["send", "send_many"])
def test_counted_alias_forbids_send(alias: Alias, many: bool) -> None:
    """I2: a view that would go on reaching the block keeps it from being given away; the refusal changes nothing."""
    pool = small_pool()
    sender, receiver = pool.link()
    other, buf = filled(pool, 1.0), filled(pool)
    held = alias.make(buf)
    send = partial(sender.send, buf, tag=5, message="message")
    if many:
        send = partial(sender.send_many, [other, (buf, 5, "message")])
    with pytest.raises(BufferError, match=rf"views of the buffer's samples still live: {alias.counted};.*buf\.copy"):
        send()
    assert not buf.detached
    assert not other.detached
    assert (len(buf), buf.tag, buf.seq, buf.message) == (len(VALUES), 0, None, None)
    np.testing.assert_array_equal(buf.samples, VALUES)
    assert where(pool) == (1, 2, 0, 0)
    assert not receiver.poll()
    # Dropped, it forbids nothing any more, and the refused send has left no hole and no message.
    del held, send
    sender.send(buf)
    got = receiver.recv_nowait()
    np.testing.assert_array_equal(got.samples, VALUES)
    assert (got.tag, got.seq, got.message) == (0, 0, None)


@rows(UNCOUNTED)
@pytest.mark.parametrize("many", [False, True], ids=["send", "send_many"])
def test_uncounted_alias_keeps_its_block_after_send(alias: Alias, many: bool) -> None:
    """I5: what cannot be counted does not forbid the send; its slot comes back only when it is gone."""
    pool = small_pool()
    sender, receiver = pool.link()
    buf = filled(pool)
    samples = buf.samples
    held = [alias.make(buf)]
    seen = alias.read(held[0])
    assert seen.size
    if many:
        sender.send_many([buf])
    else:
        sender.send(buf)
    assert buf.detached
    assert len(samples) == 0
    del samples
    # One block in two places, as long as it is on its way: the alias is not a snapshot.
    got = receiver.recv_nowait()
    np.testing.assert_array_equal(got.samples, VALUES)
    np.testing.assert_array_equal(alias.read(held[0]), seen)
    got.release()
    check_own_block(pool, held, alias, seen)


@rows(ALIASES)
@pytest.mark.parametrize("how", ["release", "drop", "with"])
@pytest.mark.parametrize("received", [False, True], ids=["acquired", "received"])
def test_alias_keeps_its_block_after_release(alias: Alias, how: str, received: bool) -> None:
    """I5: release never fails because of views; the slot is pinned while one of them lives."""
    pool = small_pool()
    buf = filled(pool)
    if received:
        sender, receiver = pool.link()
        sender.send(buf)
        buf = receiver.recv_nowait()
    samples = buf.samples
    held = [alias.make(buf)]
    seen = alias.read(held[0])
    assert seen.size
    if how == "release":
        buf.release()
    elif how == "with":
        with buf:
            pass
    del buf
    assert len(samples) == 0
    del samples
    check_own_block(pool, held, alias, seen)


@rows(ALIASES)
def test_alias_keeps_the_arena_mapped(alias: Alias) -> None:
    """An alias outlives its buffer, link and pool, and still reads its block."""
    pool = small_pool()
    buf = filled(pool)
    held = alias.make(buf)
    seen = alias.read(held)
    pool.close()
    del pool, buf
    gc.collect()
    # New mappings would take the place of one that had been given back.
    others = [small_pool() for _ in range(8)]
    for other in others:
        disturb(other)
    np.testing.assert_array_equal(alias.read(held), seen)


def test_sender_and_receiver_aliases_pin_one_slot_together() -> None:
    """I5: the slot comes back when the last alias of any of its owners is gone, whatever their order."""
    for first in (0, 1, 2):
        pool = small_pool(1)
        (sender, receiver), buf = pool.link(), filled(pool)
        held = [memoryview(buf.samples)]
        sender.send(buf)
        got = receiver.recv_nowait()
        held.append(memoryview(got.samples))
        sender.send(got)
        got = receiver.recv_nowait()
        held.append(got.samples[1:])
        got.release()
        del got
        while held:
            assert where(pool) == (0, 0, 0, 1)
            with pytest.raises(pong.PoolExhausted, match="1 pinned"):
                pool.acquire()
            del held[min(first, len(held) - 1)]
        assert where(pool) == (1, 0, 0, 0)


def test_alias_sees_what_the_receiver_writes() -> None:
    """What an uncounted alias reaches stays this one block, in the receiver's hands too; nothing was copied."""
    pool = small_pool()
    (sender, receiver), buf = pool.link(), filled(pool)
    alias = memoryview(buf.samples)
    address = buf.samples.ctypes.data
    sender.send(buf)
    got = receiver.recv_nowait()
    assert got.samples.ctypes.data == address
    got.samples[:] = 99.0
    np.testing.assert_array_equal(alias.tolist(), np.full_like(VALUES, 99.0))


def test_numpy_call_in_progress_keeps_its_block() -> None:
    """A buffer that is sent in the middle of a NumPy call on its samples: the call ends on this one block."""
    pool = small_pool(2)
    (sender, receiver), buf = pool.link(), filled(pool)
    calls = []

    def give_away(value: float) -> float:
        calls.append(value)
        if len(calls) == 3:
            sender.send(buf)
            receiver.recv_nowait().release()
            assert disturb(pool) == 1
        return value

    result = np.frompyfunc(give_away, 1, 1)(buf.samples)
    assert buf.detached
    np.testing.assert_array_equal(result.astype("float32"), VALUES)
    assert where(pool) == (2, 0, 0, 0)


def test_structured_pool_counts_its_fields() -> None:
    """A field of a structured sample format is a counted view like any other."""
    pool = pong.BufferPool(2, 8, 1, [("left", "float32"), ("right", "float32")], on_empty="raise")
    (sender, receiver), buf = pool.link(), pool.acquire()
    buf.samples["left"], buf.samples["right"] = 1.0, 2.0
    right = buf.samples["right"]
    with pytest.raises(BufferError, match="still live: 1;"):
        sender.send(buf)
    del right
    sender.send(buf)
    with receiver.recv_nowait() as got:
        assert got.samples["right"].tolist() == [[2.0]] * 8
