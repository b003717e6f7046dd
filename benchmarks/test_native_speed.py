"""Native code: the cycle of one thread against atomic exchanges, the round trip against a bounced cache line.

Time stamps are off, nothing is filled.
"""

import pytest
from measure import compare

import pong

CYCLES = 1_000
ROUNDS = 500
TRIPS = 200


@pytest.fixture
def pool():
    with pong.BufferPool(16, on_empty="raise") as pool:
        yield pool


@pytest.fixture
def link(pool):
    return pool.link()


def check_cycle(native, pool, link):
    """A cycle moves one buffer through the link and home."""
    before = pool.stats().links[0].received
    native.cycle(pool, link[0], 100)
    stats = pool.stats()
    assert stats.links[0].sent == stats.links[0].received == before + 100
    assert stats.free == len(pool)
    assert stats.acquired == stats.links[0].sent


@pytest.mark.benchmark(group="native: 1,000 cycles, 12,000 exchanges")
def test_cycle(benchmark, native, pool, link):
    check_cycle(native, pool, link)
    benchmark(native.cycle, pool, link[0], CYCLES)


@pytest.mark.benchmark(group="native: 1,000 cycles, 12,000 exchanges")
def test_exchanges(benchmark, native):
    benchmark(native.exchanges, 12 * CYCLES)


def test_cycle_in_exchanges(native, pool, link, report):
    """A cycle costs at most 12 exchanges: one exchange is the unit of the ratio."""
    check_cycle(native, pool, link)
    times = [(native.cycle(pool, link[0], CYCLES), native.exchanges(12 * CYCLES) / 12) for _ in range(ROUNDS)]
    cycles, exchanges = zip(*times, strict=True)
    report(compare("native cycle / atomic exchange", cycles, exchanges, "<= 12", cycles=CYCLES))
    check_cycle(native, pool, link)


def test_cycle_with_time_stamps(native, pool, link, report):
    """What time stamps cost: both native, the rival is the same cycle without them."""
    with pong.BufferPool(16, on_empty="raise", timestamps=True) as timed:
        timed_link = timed.link()
        check_cycle(native, timed, timed_link)
        ends = timed_link[0], link[0]
        times = [
            (native.cycle(timed, ends[0], CYCLES), native.cycle(pool, ends[1], CYCLES)) for _ in range(ROUNDS)
        ]
        stamped, plain = zip(*times, strict=True)
        report(compare("native cycle with time stamps / without", stamped, plain, cycles=CYCLES))
        assert timed.stats().links[0].latency.count == timed.stats().links[0].received


def test_round_trip(native, pool, link, cores, report):
    """A round trip between two threads, each on a core of its own, costs at most 2.5 trips of one cache line."""
    home = pool.link()
    kept, fresh, raw, pair, pinned = native.round_trips(pool, link[0], home[0], *cores, ROUNDS * 2, TRIPS)
    stats = pool.stats()
    for there_or_home in stats.links:
        assert there_or_home.sent == there_or_home.received == 2 * 2 * ROUNDS * TRIPS
    assert stats.acquired == 2 * ROUNDS * (TRIPS + 1)
    assert stats.free == len(pool)
    where = f"cores {cores[0]} and {cores[1]}" if pinned else "not pinned"
    report(compare(f"round trip, {where} / cache line", kept, raw, "<= 2.5", cycles=TRIPS))
    report(compare("the same, acquire and release in each trip", fresh, raw, "<= 2.5", cycles=TRIPS))
    # Two one-way rings need a line each: what hardware asks for them before pong does anything.
    report(compare("round trip / two cache lines, one for each way", kept, pair, cycles=TRIPS))
    report(compare("(two cache lines, one for each way / cache line)", pair, raw, cycles=TRIPS))
