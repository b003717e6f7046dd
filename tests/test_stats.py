"""What `BufferPool.stats` tells: counters, baselines, histograms."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from observe import Call, address

import pong
from pong import Histogram


def cycle(pool: pong.BufferPool, sender: pong.Sender, receiver: pong.Receiver, number: int) -> None:
    """Take ``number`` buffers through acquire, send, receive and release, one after the other."""
    for _ in range(number):
        sender.send(pool.acquire())
        receiver.recv(0).release()


def plausible(histogram: Histogram, count: int) -> None:
    """Check everything that must hold for a histogram of ``count`` durations."""
    assert histogram.count == count == sum(number for _, _, number in histogram.buckets)
    assert all(number > 0 for _, _, number in histogram.buckets)
    edges = [edge for lower, upper, _ in histogram.buckets for edge in (lower, upper)]
    assert edges == sorted(edges)
    for lower, upper, _ in histogram.buckets:
        # Eight buckets for each power of two: none is wider than an eighth of its lower bound, or a nanosecond.
        assert 0 < upper - lower <= max(lower / 8, 1e-9) * (1 + 1e-9)
    if not count:
        assert (histogram.mean, histogram.max, histogram.buckets) == (0.0, 0.0, ())
        assert histogram.quantile(0.5) == 0.0
        return
    first, last = histogram.buckets[0], histogram.buckets[-1]
    assert last[0] <= histogram.max <= last[1]
    assert first[0] * (1 - 1e-9) <= histogram.mean <= histogram.max * (1 + 1e-9)
    quantiles = [histogram.quantile(q) for q in (0, 0.25, 0.5, 0.75, 0.9, 0.99, 1)]
    assert quantiles == sorted(quantiles)
    assert first[0] <= quantiles[0] <= first[1]
    assert quantiles[-1] == histogram.max
    for q in (0.25, 0.5, 0.75):
        value = histogram.quantile(q)
        below = sum(number for lower, _, number in histogram.buckets if lower <= value)
        assert below >= q * count, "a share q does not exceed the quantile"


def test_figures_are_frozen_and_add_up():
    pool = pong.BufferPool(4, 8)
    sender, _receiver = pool.link()
    sender.send(pool.acquire())
    held = pool.acquire()
    stats = pool.stats()
    assert (stats.free, stats.owned, stats.queued, stats.pinned, stats.in_use) == (2, 1, 1, 0, 2)
    assert stats.free + stats.owned + stats.queued + stats.pinned == stats.count + stats.overflow_in_use
    for frozen in (stats, stats.links[0], stats.hold):
        name = dataclasses.fields(frozen)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(frozen, name, 1)
    assert held


def test_counters_count_and_reset_moves_the_baseline():
    pool = pong.BufferPool(2, 8, on_empty="raise")
    sender, receiver = pool.link()
    cycle(pool, sender, receiver, 5)
    held = [pool.acquire(), pool.acquire()]
    with pytest.raises(pong.PoolExhausted):
        pool.acquire()
    for reset in (False, False, True):
        stats = pool.stats(reset=reset)
        assert (stats.acquired, stats.exhausted, stats.overflowed) == (7, 1, 0)
        assert [(link.index, link.sent, link.received, link.dropped) for link in stats.links] == [(0, 5, 5, 0)]
    sender.send(held.pop())
    for _ in range(2):
        stats = pool.stats()
        assert (stats.acquired, stats.exhausted) == (0, 0)
        assert (stats.owned, stats.queued) == (1, 1), "what is where has no baseline"
        assert [(link.sent, link.received, link.queued) for link in stats.links] == [(1, 0, 1)]
    assert receiver.recv().seq == 5, "a reset touches the reader's baseline only"
    assert pool.stats(True).links[0].received == 1
    assert pool.stats().links[0].received == 0


def test_overflowed_counts_overflow_slots():
    pool = pong.BufferPool(1, 8, overflow=2)
    with pytest.warns(pong.PoolExhaustedWarning):
        buffers = [pool.acquire() for _ in range(3)]
    assert (pool.stats().acquired, pool.stats().overflowed, pool.stats().overflow_in_use) == (3, 2, 2)
    assert pool.stats(reset=True).overflowed == 2
    assert (pool.stats().overflowed, pool.stats().overflow_in_use) == (0, 2)
    assert len(buffers) == 3


def test_open_links_are_told_and_a_reopened_one_counts_from_zero():
    """A baseline of an earlier opening is not subtracted from a later one."""
    pool = pong.BufferPool(4, 8, max_links=3)
    assert pool.stats().links == ()
    links = [pool.link() for _ in range(3)]
    for number, (sender, receiver) in enumerate(links):
        cycle(pool, sender, receiver, number + 1)
    assert [(link.index, link.sent) for link in pool.stats(reset=True).links] == [(0, 1), (1, 2), (2, 3)]
    links[1][0].close()
    assert [link.index for link in pool.stats().links] == [0, 1, 2], "the receiver is still open"
    links[1][1].close()
    assert [link.index for link in pool.stats().links] == [0, 2]
    sender, receiver = pool.link()
    cycle(pool, sender, receiver, 1)
    assert [(link.index, link.sent, link.received) for link in pool.stats().links] == [(0, 0, 0), (1, 1, 1), (2, 0, 0)]


@pytest.mark.parametrize("timestamps", [False, True])
def test_histograms_count_every_transfer_if_the_pool_keeps_time(timestamps):
    pool = pong.BufferPool(3, 8, timestamps=timestamps)
    links = [pool.link(), pool.link()]
    plausible(pool.stats().hold, 0)
    cycle(pool, *links[0], 100)
    cycle(pool, *links[1], 50)
    pool.acquire().release()
    stats = pool.stats()
    # A hold is counted when its slot is acquired again: the last one is not yet.
    plausible(stats.hold, 150 if timestamps else 0)
    plausible(stats.links[0].latency, 100 if timestamps else 0)
    plausible(stats.links[1].latency, 50 if timestamps else 0)


def test_every_way_to_send_and_to_receive_is_timed():
    pool = pong.BufferPool(8, 8, timestamps=True)
    sender, receiver = pool.link()
    sender.send_many([pool.acquire() for _ in range(4)])
    sender.send(pool.acquire())
    received = [receiver.recv(), receiver.recv_nowait(), next(receiver), *receiver.drain()]
    assert len(received) == 5
    plausible(pool.stats().links[0].latency, 5)


def test_reset_restarts_histograms():
    pool = pong.BufferPool(3, 8, timestamps=True)
    sender, receiver = pool.link()
    cycle(pool, sender, receiver, 40)
    plausible(pool.stats(reset=True).links[0].latency, 40)
    stats = pool.stats()
    plausible(stats.links[0].latency, 0)
    plausible(stats.hold, 0)
    cycle(pool, sender, receiver, 7)
    stats = pool.stats()
    plausible(stats.links[0].latency, 7)
    plausible(stats.hold, 7)


def test_a_hold_that_spans_a_longer_one_is_the_longer_one():
    """Durations nest: what encloses another one is not shorter, whatever the machine's speed."""
    pool = pong.BufferPool(2, 8, timestamps=True)
    sender, receiver = pool.link()
    outer = pool.acquire()
    sender.send(pool.acquire())
    for _ in range(1000):
        outer.write(np.zeros(8, "float32"))
    receiver.recv().release()
    outer.release()
    again = [pool.acquire(), pool.acquire()]
    stats = pool.stats()
    plausible(stats.hold, 2)
    plausible(stats.links[0].latency, 1)
    assert stats.hold.max >= stats.links[0].latency.max
    assert len(again) == 2


def test_stats_can_be_read_while_others_work():
    """A reader on another thread sees counters that only grow."""
    pool = pong.BufferPool(4, 8, timestamps=True)
    sender, receiver = pool.link()
    where = pool.acquire()
    place = address(where.samples)
    where.release()
    call = Call(lambda: [(buf.seq, buf.release()) for buf in receiver])
    call.wait_asleep(place)
    seen = []
    for _ in range(300):
        sender.send(pool.acquire(None))
        stats = pool.stats()
        seen.append((stats.acquired, stats.links[0].sent, stats.links[0].latency.count))
    sender.close()
    assert [seq for seq, _ in call.outcome()] == list(range(300))
    for column in zip(*seen, strict=True):
        assert list(column) == sorted(column)
    assert pool.stats().links[0].latency.count == pool.stats().links[0].received == 300


BUCKETS = ((0.0, 1.0, 1), (1.0, 2.0, 2), (2.0, 4.0, 1))


@pytest.mark.parametrize(
    ("q", "expected"), [(0, 1.0), (0.25, 1.0), (0.26, 2.0), (0.5, 2.0), (0.75, 2.0), (0.76, 3.5), (1, 3.5)]
)
def test_quantile(q, expected):
    assert Histogram(count=4, mean=1.75, max=3.5, buckets=BUCKETS).quantile(q) == expected


@pytest.mark.parametrize("q", [-0.001, 1.001, math.nan, math.inf, -math.inf])
def test_quantile_refuses_what_is_no_share(q):
    with pytest.raises(ValueError, match="from 0 to 1"):
        Histogram(count=4, mean=1.75, max=3.5, buckets=BUCKETS).quantile(q)
