"""Acquiring and releasing: which slot comes, when none does, and what closing leaves behind."""

from __future__ import annotations

import gc
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from observe import Call, address, arena_at

import pong


def place(buf: pong.Buffer) -> int:
    """Return the address of a buffer's samples."""
    return address(buf.samples)


def test_defaults_are_those_of_the_design():
    pool = pong.BufferPool()
    assert (len(pool), pool.blocksize, pool.channels, pool.dtype) == (16, 1024, 1, np.float32)
    assert (pool.free, pool.in_use, pool.closed, pool.samplerate) == (16, 0, False, None)
    stats = pool.stats()
    assert (stats.count, stats.overflow) == (16, 16)


def test_acquire_hands_out_a_reset_buffer():
    pool = pong.BufferPool(1, 8, 2, "int16")
    sender, receiver = pool.link()
    buf = pool.acquire()
    buf.frames, buf.time, buf.time_source, buf.position = 3, 1.5, "device", 7
    buf.gap, buf.status, buf.tag = 8, 9, 10
    sender.send(buf, message="hello")
    received = receiver.recv(0)
    assert (received.frames, received.seq, received.message) == (3, 0, "hello")
    received.release()
    fresh = pool.acquire()
    assert (fresh.frames, len(fresh), fresh.nbytes, fresh.samples.shape) == (8, 8, 32, (8, 2))
    assert (fresh.seq, fresh.message, fresh.time, fresh.time_source) == (None, None, 0.0, None)
    assert (fresh.position, fresh.gap, fresh.status, fresh.tag) == (0, 0, 0, 0)


@pytest.mark.parametrize("shorter", [0, 1, 5])
@pytest.mark.parametrize("channels", [1, 2])
def test_frames_can_be_set_again_whatever_they_were_when_samples_were_opened(channels, shorter):
    """NumPy calls an array of 0 or 1 frames contiguous in both orders: no reason to refuse a new length."""
    pool = pong.BufferPool(1, 8, channels)
    buf = pool.acquire()
    buf.frames = shorter
    samples = buf.samples
    assert samples.shape == (shorter, channels)
    buf.frames = 8
    assert samples.shape == (8, channels)
    assert buf.samples is samples


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 128, 129, 1024])
def test_slots_come_in_order_and_the_lowest_free_one_comes_again(count):
    """Hot reuse, over one word of the free set and over many; no slot is handed out twice (I5)."""
    pool = pong.BufferPool(count, 16, dtype="int16", on_empty="raise")
    buffers = [pool.acquire() for _ in range(count)]
    places = [place(buf) for buf in buffers]
    assert places == sorted(set(places))
    assert all(where % 64 == 0 for where in places)
    assert all(above - below >= 32 for below, above in pairwise(places))
    assert (pool.free, pool.in_use) == (0, count)
    chosen = sorted({0, count // 3, count // 2, count - 1})
    for slot in reversed(chosen):
        buffers[slot].release()
    assert [place(pool.acquire()) for _ in range(3)] == [places[0]] * 3
    again = [pool.acquire() for _ in chosen]
    assert [place(buf) for buf in again] == [places[slot] for slot in chosen]
    assert pool.free == 0


@pytest.mark.parametrize("dtype", ["float32", "int16", "V3", "uint8"])
@pytest.mark.parametrize("blocksize", [1, 3, 100])
def test_samples_lie_64_byte_aligned_and_apart(dtype, blocksize):
    pools = [pong.BufferPool(5, blocksize, 3, dtype, overflow=2) for _ in range(3)]
    for pool in pools:
        with pytest.warns(pong.PoolExhaustedWarning):
            buffers = [pool.acquire() for _ in range(7)]
        places = sorted(place(buf) for buf in buffers)
        assert all(where % 64 == 0 for where in places)
        assert all(above - below >= buffers[0].nbytes for below, above in pairwise(places))


def test_only_the_pools_addresses_appear_in_ten_thousand_cycles():
    pool = pong.BufferPool(4, 32)
    sender, receiver = pool.link()
    buffers = [pool.acquire() for _ in range(4)]
    places = {place(buf) for buf in buffers}
    for buf in buffers:
        buf.release()
    seen = set()
    for cycle in range(10_000):
        buf = pool.acquire()
        seen.add(place(buf))
        sender.send(buf)
        with receiver.recv(0) as received:
            assert received.seq == cycle
            seen.add(place(received))
    assert seen == {min(places)}
    assert pool.free == 4


@pytest.mark.parametrize("keep", ["samples", "slice", "memoryview"])
def test_pinned_slots_are_passed_over_until_the_alias_is_gone(keep):
    """I5: the slot of a kept alias comes again only after the alias is gone."""
    pool = pong.BufferPool(3, 8, on_empty="raise")
    first = pool.acquire()
    where = place(first)
    first.write(np.arange(8, dtype="float32"))
    alias = first.samples
    if keep != "samples":
        alias = alias[2:] if keep == "slice" else memoryview(alias)
    first.release()
    assert (pool.free, pool.stats().pinned, pool.in_use) == (2, 1, 1)
    for _ in range(20):
        others = [pool.acquire(), pool.acquire()]
        assert where not in map(place, others)
        for buf in others:
            buf.write(np.full(8, -1, "float32"))
            buf.release()
        del others, buf
    if keep == "slice":
        assert alias.tolist() == [[value] for value in range(2, 8)]
    else:
        assert len(alias) == (0 if keep == "samples" else 8)
    del alias
    assert (pool.free, pool.stats().pinned) == (3, 0)
    assert place(pool.acquire()) == where


def test_exhausted_says_where_the_slots_are():
    pool = pong.BufferPool(6, 8, on_empty="raise")
    sender, _receiver = pool.link()
    buffers = [pool.acquire() for _ in range(6)]
    sender.send(buffers[0])
    sender.send(buffers[1])
    view = buffers[2].samples[:]
    buffers[2].release()
    for timeout in (0, 0.001):
        with pytest.raises(pong.PoolExhausted) as caught:
            pool.acquire(timeout)
        text = str(caught.value)
        assert "3 owned" in text
        assert "2 queued" in text
        assert "1 pinned" in text
    assert pool.stats().exhausted == 2
    del view
    assert bool(pool.acquire())


def full_pool(**policy) -> tuple[pong.BufferPool, list[pong.Buffer], list[int]]:
    """Return a pool of 2, its two buffers and their addresses."""
    pool = pong.BufferPool(2, 8, **policy)
    buffers = [pool.acquire(), pool.acquire()]
    return pool, buffers, [place(buf) for buf in buffers]


@pytest.mark.parametrize("timeout", [None, 3600])
@pytest.mark.parametrize("on_empty", ["raise", "allocate"])
def test_acquire_waits_for_a_release(timeout, on_empty):
    """None never takes an overflow slot, and a slot that comes in time makes one needless."""
    pool, buffers, places = full_pool(on_empty=on_empty)
    call = Call(pool.acquire, timeout)
    call.wait_asleep(places[0])
    buffers[1].release()
    assert place(call.outcome()) == places[1]
    assert (pool.stats().overflowed, pool.stats().exhausted) == (0, 0)


def test_acquire_waits_for_a_pin_to_go():
    pool, buffers, places = full_pool()
    view = buffers[0].samples[:1]
    buffers[0].release()
    call = Call(pool.acquire, None)
    call.wait_asleep(places[1])
    del view
    assert place(call.outcome()) == places[0]


def test_acquire_waits_for_a_dropped_handle_and_for_a_closed_receiver():
    pool, buffers, places = full_pool()
    sender, receiver = pool.link()
    sender.send(buffers.pop())
    call = Call(pool.acquire, None)
    call.wait_asleep(places[0])
    receiver.close()
    got = call.outcome()
    assert place(got) == places[1]
    call = Call(pool.acquire, None)
    call.wait_asleep(places[0])
    buffers.clear()
    assert place(call.outcome()) == places[0]


def test_two_releases_serve_two_waiting_acquires():
    pool, buffers, places = full_pool()
    calls = [Call(pool.acquire, None) for _ in range(2)]
    for call in calls:
        call.wait_asleep(places[0])
    buffers.pop().release()
    buffers.pop().release()
    got = [call.outcome() for call in calls]
    assert {place(buf) for buf in got} == set(places)
    assert pool.free == 0


@pytest.mark.parametrize("timeout", [None, 3600])
def test_closing_the_pool_ends_a_waiting_acquire(timeout):
    pool, _buffers, places = full_pool()
    call = Call(pool.acquire, timeout)
    call.wait_asleep(places[0])
    pool.close()
    with pytest.raises(pong.ClosedError):
        call.outcome()


def test_a_closed_pool_refuses_and_what_is_out_stays_valid():
    """Closing twice changes nothing; `with` closes; queued buffers are still received, then comes the end."""
    with pong.BufferPool(4, 8) as pool:
        sender, receiver = pool.link()
        held, kept = pool.acquire(), pool.acquire()
        held.write(np.arange(8, dtype="float32"))
        queued = pool.acquire()
        queued.write(np.full(8, 5, "float32"))
        sender.send(queued, tag=1)
    for _ in range(3):
        assert pool.closed
        with pytest.raises(pong.ClosedError):
            pool.acquire()
        with pytest.raises(pong.ClosedError):
            pool.acquire(None)
        with pytest.raises(pong.ClosedError):
            pool.link()
        with pytest.raises(pong.ClosedError):
            sender.send(kept)
        with pytest.raises(pong.ClosedError):
            sender.send_many([kept])
        pool.close()
    assert receiver.poll()
    with receiver.recv() as last:
        assert (last.tag, last.samples[:, 0].tolist()) == (1, [5] * 8)
    with pytest.raises(pong.ClosedError):
        receiver.recv()
    assert held.samples[:, 0].tolist() == list(range(8))
    held.write(np.zeros(3, "float32"))
    assert held.frames == 3
    held.release()
    assert bool(kept)
    kept.release()
    assert (pool.free, pool.in_use) == (4, 0)


@pytest.mark.parametrize("last", ["buffer", "view", "detached samples", "memoryview", "sender", "receiver"])
def test_the_arena_is_unmapped_when_the_last_user_is_gone(last):
    """`pool.close` unmaps nothing that somebody can still reach; the last lease or link end does."""
    gc.collect()
    pool = pong.BufferPool(2, 8)
    sender, receiver = pool.link()
    buf = pool.acquire()
    buf.write(np.arange(8, dtype="float32"))
    where = place(buf)
    users = {"buffer": buf, "sender": sender, "receiver": receiver}
    if last in ("view", "detached samples", "memoryview"):
        users[last] = {"view": buf.samples[3:], "detached samples": buf.samples, "memoryview": memoryview(buf)}[last]
    keep = users[last]
    pool.close()
    del pool, buf, sender, receiver, users
    assert arena_at(where) is not None
    if last == "buffer":
        assert keep.samples[:, 0].tolist() == list(range(8))
    elif last == "view":
        assert keep[:, 0].tolist() == list(range(3, 8))
    elif last == "memoryview":
        assert keep.tolist() == [[value] for value in range(8)]
    elif last == "detached samples":
        assert len(keep) == 0
    else:
        keep.close()
    del keep
    assert arena_at(where) is None


def test_a_pool_of_16_with_2_links_takes_at_most_64_kib_beyond_its_samples():
    """Resident pages of the arena, and what Python has allocated once every slot's samples were opened."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        pool = pong.BufferPool(16, 1024)
        links = [pool.link(), pool.link()]
        for _ in range(2):
            buffers = [pool.acquire() for _ in range(16)]
            where = place(buffers[0])
            for number, buf in enumerate(buffers):
                buf.samples[:] = 1
                links[number % 2][0].send(buf)
            buffers = [buf for _, receiver in links for buf in receiver.drain()]
            assert all(buf.samples[-1, 0] == 1 for buf in buffers)
            gc.collect()
            python = tracemalloc.get_traced_memory()[0] - before
            for buf in buffers:
                buf.release()
    finally:
        tracemalloc.stop()
    arena = arena_at(where)
    samples = 16 * 1024 * 4
    assert arena.resident >= samples, "the samples are not resident: nothing was measured"
    assert python > 0
    assert arena.resident - samples + python <= 64 * 1024
