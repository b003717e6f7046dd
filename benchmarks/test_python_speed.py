"""Python: the cycle of a block against a copy through `queue.SimpleQueue`, and without the block against an int."""

from itertools import repeat
from queue import SimpleQueue

import numpy as np
import pytest
from measure import compare, interleave

import pong

CYCLES = 50
ROUNDS = 2_000
WITH_BLOCK = "Python: 50 blocks of 1024 float32"
BARE = "Python: 50 transfers without a block"


class Pong:
    """The cycles of pong, over a pool of 16."""

    def __init__(self, timestamps=False):
        self.pool = pong.BufferPool(16, on_empty="raise", timestamps=timestamps)
        self.sender, self.receiver = self.pool.link()
        self.block = np.random.default_rng(1).standard_normal(1024, "float32")

    def blocks(self):
        pool, sender, receiver, block = self.pool, self.sender, self.receiver, self.block
        for _ in repeat(None, CYCLES):
            buf = pool.acquire()
            buf.write(block)
            sender.send(buf)
            received = receiver.recv()
            received.release()

    def transfers(self):
        pool, sender, receiver = self.pool, self.sender, self.receiver
        for _ in repeat(None, CYCLES):
            buf = pool.acquire()
            sender.send(buf)
            received = receiver.recv()
            received.release()

    def check(self):
        """A block arrives as it was sent, in the same memory; the sender has nothing left of it."""
        buf = self.pool.acquire()
        samples = buf.samples
        address = samples.ctypes.data
        assert buf.write(self.block) == 1024
        self.sender.send(buf)
        assert buf.detached
        assert len(samples) == 0
        del samples
        received = self.receiver.recv()
        assert received.samples.ctypes.data == address
        np.testing.assert_array_equal(received.samples[:, 0], self.block)
        received.release()
        self.blocks()
        self.transfers()
        stats = self.pool.stats()
        assert stats.free == len(self.pool)
        assert stats.acquired == stats.links[0].sent == stats.links[0].received


class Queue:
    """The cycles of the rival."""

    def __init__(self):
        self.queue = SimpleQueue()
        self.block = np.random.default_rng(1).standard_normal(1024, "float32")

    def blocks(self):
        queue, block = self.queue, self.block
        for _ in repeat(None, CYCLES):
            queue.put(block.copy())
            received = queue.get()  # noqa: F841, the receiver holds it until the next one comes

    def transfers(self):
        queue = self.queue
        for _ in repeat(None, CYCLES):
            queue.put(1)
            received = queue.get()  # noqa: F841

    def check(self):
        self.queue.put(self.block.copy())
        received = self.queue.get()
        assert received is not self.block
        np.testing.assert_array_equal(received, self.block)
        self.blocks()
        self.transfers()
        assert self.queue.empty()


@pytest.fixture(params=["pong", "pong with time stamps", "SimpleQueue"])
def contender(request):
    made = Queue() if request.param == "SimpleQueue" else Pong(timestamps="time" in request.param)
    made.check()
    return made


@pytest.mark.benchmark(group=WITH_BLOCK)
def test_blocks(benchmark, contender):
    benchmark(contender.blocks)


@pytest.mark.benchmark(group=BARE)
def test_transfers(benchmark, contender):
    benchmark(contender.transfers)


@pytest.fixture
def contenders():
    ours, timed, rival = Pong(), Pong(timestamps=True), Queue()
    for contender in (ours, timed, rival):
        contender.check()
    return ours, timed, rival


def test_a_block_is_faster_than_a_copy(contenders, report):
    """Acquire, write of 1024 float32, send, recv, release: at least 1.3 times faster than a copy through a queue."""
    ours, timed, rival = contenders
    times = interleave(ours.blocks, rival.blocks, ROUNDS)
    report(compare("copy through SimpleQueue / Python cycle with write", *times, ">= 1.3", cycles=CYCLES, faster=True))
    times = interleave(timed.blocks, rival.blocks, ROUNDS // 2)
    report(compare("the same with time stamps", *times, cycles=CYCLES, faster=True))


def test_a_transfer_is_little_more_than_an_int(contenders, report):
    """Acquire, send, recv, release: at most 3 times put and get of an int."""
    ours, timed, rival = contenders
    times = interleave(ours.transfers, rival.transfers, ROUNDS)
    report(compare("Python cycle without write / SimpleQueue of an int", *times, "<= 3", cycles=CYCLES))
    times = interleave(timed.transfers, rival.transfers, ROUNDS // 2)
    report(compare("the same with time stamps", *times, cycles=CYCLES))


def test_time_stamps(contenders, report):
    """What time stamps cost: the rival is the same cycle without them."""
    ours, timed, _ = contenders
    times = interleave(timed.transfers, ours.transfers, ROUNDS)
    report(compare("Python cycle with time stamps / without", *times, cycles=CYCLES))
