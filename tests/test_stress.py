"""Every byte of a million blocks between two threads, native and Python: sequence, checksum, content.

Every sender waits for a free slot and so drops nothing. The environment variable ``PONG_STRESS`` sets another number of
blocks.
"""

from __future__ import annotations

import numpy as np
import pytest
from programs import MILLION, Thread

import pong

WORDS = 8
FACTOR = np.uint64(0x9E3779B97F4A7C15)


def expected(first: int, number: int) -> np.ndarray:
    """Return what blocks from ``first`` on hold: the function `mix` of tests/native/waiting.pxd."""
    block = np.arange(first, first + number, dtype=np.uint64)[:, None]
    mixed = (block << np.uint64(16) | np.arange(WORDS, dtype=np.uint64)) * FACTOR
    return mixed ^ mixed >> np.uint64(29)


def make_pool(count: int, **more) -> pong.BufferPool:
    """Return a pool of small blocks without overflow: an empty pool makes its sender wait."""
    return pong.BufferPool(count, WORDS, dtype="uint64", on_empty="raise", **more)


def check_home(pool: pong.BufferPool, number: int) -> None:
    """I3, at rest: every slot is free again; and every block was counted once at both ends."""
    stats = pool.stats()
    assert (stats.free, stats.in_use, stats.acquired) == (len(pool), 0, number)
    assert sum(link.sent for link in stats.links) == sum(link.received for link in stats.links) == number


def content(blocks: list[pong.Buffer]) -> np.ndarray:
    return np.concatenate([block.samples for block in blocks]).reshape(-1, WORDS)


def check_received(blocks: list[pong.Buffer], first: int) -> None:
    assert [block.seq for block in blocks] == list(range(first, first + len(blocks)))
    found = content(blocks)
    assert np.array_equal(found, expected(first, len(blocks)))
    sums = found.sum(axis=1, dtype=np.uint64).astype(np.int64)
    assert [block.tag for block in blocks] == sums.tolist()


def receive(receiver: pong.Receiver, number: int, held: int) -> None:
    """Receive ``number`` blocks, keep ``held`` or more at a time, check each one when it comes and when it goes."""
    kept: list[tuple[int, list[pong.Buffer]]] = []
    done = 0
    while done < number:
        blocks = [receiver.recv(timeout=60)]
        blocks += receiver.drain(held)
        check_received(blocks, done)
        kept.append((done, blocks))
        done += len(blocks)
        while sum(len(blocks) for _, blocks in kept) > held:
            release(*kept.pop(0))
    for first, blocks in kept:
        release(first, blocks)


def release(first: int, blocks: list[pong.Buffer]) -> None:
    """I1: what was held is as it came, however far the sender has got meanwhile."""
    assert np.array_equal(content(blocks), expected(first, len(blocks)))
    for block in blocks:
        block.release()


def send(pool: pong.BufferPool, sender: pong.Sender, number: int, batch: int) -> None:
    for first in range(0, number, batch):
        data = expected(first, min(batch, number - first))
        sums = data.sum(axis=1, dtype=np.uint64).astype(np.int64).tolist()
        items = []
        for row, total in zip(data[:, :, None], sums, strict=True):
            buf = pool.acquire(timeout=None)
            buf.write(row)
            items.append((buf, total))
        sender.send_many(items)


def test_native_to_native(stress) -> None:
    """I1, I4: two native threads, the receiver holding seven blocks; neither sees the GIL."""
    with make_pool(16) as pool:
        sender, receiver = pool.link()
        receiving = stress.native_receiver(pool, receiver, MILLION, held=7)
        sending = stress.native_sender(pool, [sender], MILLION)
        assert sending.join()["done"] == receiving.join()["done"] == MILLION
        check_home(pool, MILLION)


@pytest.mark.parametrize("timestamps", [False, True])
@pytest.mark.parametrize(("count", "held"), [(1, 0), (2, 1), (3, 2), (64, 40), (65, 64), (1024, 64)])
def test_native_pool_sizes(stress, count: int, held: int, timestamps: bool) -> None:
    """I3, I4, I5 on both sides of each boundary of the free set; rings that are exactly as large as the pool."""
    number = MILLION // 20
    with make_pool(count, timestamps=timestamps) as pool:
        sender, receiver = pool.link()
        receiving = stress.native_receiver(pool, receiver, number, held=held)
        sending = stress.native_sender(pool, [sender], number)
        assert sending.join()["done"] == receiving.join()["done"] == number
        check_home(pool, number)
        assert pool.stats().links[0].latency.count == timestamps * number


@pytest.mark.parametrize("count", [6, 80])
def test_three_native_receivers(stress, count: int) -> None:
    """I3: three threads release into one free set while its acquirer merges; no bit is lost."""
    number = MILLION // 5
    with make_pool(count) as pool:
        links = [pool.link() for _ in range(3)]
        receiving = [
            stress.native_receiver(pool, receiver, len(range(first, number, 3)), held=1, first=first, step=3)
            for first, (_, receiver) in enumerate(links)
        ]
        sending = stress.native_sender(pool, [sender for sender, _ in links], number)
        assert sending.join()["done"] == number
        assert sum(thread.join()["done"] for thread in receiving) == number
        check_home(pool, number)


def test_native_wrap_around(stress) -> None:
    """Ring positions, laps and generations pass 2**64 without a message lost."""

    class Late(pong.BufferPool):
        _first_position = 2**64 - 1000

    number = MILLION // 20
    with Late(5, WORDS, dtype="uint64", on_empty="raise") as pool:
        sender, receiver = pool.link()
        receiving = stress.native_receiver(pool, receiver, number, held=2)
        sending = stress.native_sender(pool, [sender], number)
        assert sending.join()["done"] == receiving.join()["done"] == number
        check_home(pool, number)


def test_native_to_python(stress) -> None:
    """I1, I2: a native sender, and Python holding up to 200 blocks of 1024."""
    with make_pool(1024) as pool:
        sender, receiver = pool.link()
        sending = stress.native_sender(pool, [sender], MILLION)
        receive(receiver, MILLION, held=200)
        assert sending.join()["done"] == MILLION
        check_home(pool, MILLION)


def test_python_to_native(stress) -> None:
    """I1, I2: Python sends in batches, a native receiver holds twenty blocks."""
    number = MILLION // 5
    with make_pool(128) as pool:
        sender, receiver = pool.link()
        receiving = stress.native_receiver(pool, receiver, number, held=20)
        send(pool, sender, number, batch=50)
        assert receiving.join()["done"] == number
        check_home(pool, number)


def test_python_to_python() -> None:
    """I1, I2: two Python threads; the receiver holds up to 200 blocks, the sender fills another 200."""
    with make_pool(1024) as pool:
        sender, receiver = pool.link()
        sending = Thread(send, pool, sender, MILLION, 200)
        receive(receiver, MILLION, held=200)
        sending.join()
        check_home(pool, MILLION)
