"""How the cost of a block grows with the pool, the block, its channels, and the number of streams at once."""

from dataclasses import replace
from queue import SimpleQueue
from statistics import median

import numpy as np

from .contest import Contender, Goal, contest, spread
from .handover_queues import CopySimpleQueue, Pong, RecycledDeque
from .handover_race import IN_FLIGHT, Racer, random_blocks, same_blocks, timed

__all__ = ["scaling"]

POOLS = (2, 16, 64, 256, 1024)
FRAMES = (64, 256, 1024, 4096, 16384, 65536, 262144)  # the last one is 1 MiB
CHANNELS = (1, 2, 8, 32, 64)
STREAMS = (1, 4, 16, 64)
# The best of those that protect what is kept of a block, and the best of all.
RIVALS = (Pong, CopySimpleQueue, RecycledDeque)
BYTES = 1 << 21  # copied in a round, about: the figures of large blocks need no hundreds of them
STREAM_BLOCKS = 512  # in a round


def scaling(scenario, plan):
    """Run all cases; return results and goals."""
    pools, more_pools = series(scenario, "pool of {} slots", POOLS, lambda size: racers(in_flight=size), plan)
    frames, _ = series(scenario, "blocks of {} frames", FRAMES, lambda size: racers(frames=size), plan)
    channels, _ = series(scenario, "{} channels", CHANNELS, lambda size: racers(channels=size), plan)
    several, more_streams = series(scenario, "{} streams at once", STREAMS, streams, plan)
    first, last = min(more_pools[Pong.name], key=median), max(more_pools[Pong.name], key=median)
    one, many, links = *more_streams[Pong.name][:: len(more_streams[Pong.name]) - 1], more_streams[PongLinks.name][-1]
    goals = [
        growth("slowest pool / fastest pool, 2 to 1024 slots", first, last, "<= 1.5"),
        growth("64 streams / 64 times one", one, many, "<= 2"),
        growth("64 links of one pool / 64 times one stream", one, links, "<= 2"),
    ]
    return pools + frames + channels + several, goals


def few(sizes, plan):
    """Return the first and the last of the sizes where time is short, or else all."""
    return sizes[:: len(sizes) - 1] if plan.quick or not plan.timed else sizes


def racers(frames=1024, channels=1, **options):
    """Return what makes the contenders of one size."""
    cycles = max(4, min(500, BYTES // (frames * channels * 4)))
    return [Racer(rival, cycles=cycles, frames=frames, channels=channels, **options) for rival in RIVALS]


def streams(number):
    """Return what makes the contenders of one number of streams. One alone is the plain loop, the strictest measure."""
    if number == 1:
        return racers()
    return [Maker(kind, number) for kind in (PongPools, PongLinks, CopyStreams, RecycledStreams)]


def series(scenario, what, sizes, makers, plan):
    """Let all contenders of all sizes run in turn, so that sizes can be compared.

    Returns
    -------
    list of Result
        With a case for each size.
    dict
        The values of each contender, a list for each size.
    """
    everybody = [Labelled(maker, size) for size in few(sizes, plan) for maker in makers(size)]
    results, values = [], {}
    for result in contest(scenario, what.format("n"), everybody, plan, unit="ns"):
        contender, _, size = result.contender.rpartition(": ")
        results.append(replace(result, case=what.format(size), contender=contender))
        values.setdefault(contender, []).append(result.values)
    return results, values


def growth(name, little, much, bound):
    """Compare the values of two sizes, round by round."""
    ratios = [b / a for a, b in zip(little, much, strict=True)]
    return Goal(name, median(ratios), spread(ratios), bound)


class Labelled:
    """A maker whose contender has the size in its name, while sizes run in turn."""

    def __init__(self, maker, size):
        self.maker, self.name, self.note = maker, f"{maker.name}: {size}", maker.note

    def __call__(self):
        return self.maker()


class Maker:
    """Makes a contender of so many streams."""

    def __init__(self, kind, number):
        self.kind, self.number, self.name, self.note = kind, number, kind.name, kind.note

    def __call__(self):
        return self.kind(self.number)


class Streams(Contender):
    """Streams that each send a block, whereupon each block is received; a figure is nanoseconds per block."""

    def __init__(self, number):
        self.number = number
        self.all = self.begin(number)
        self.blocks = random_blocks(1) * number

    def begin(self, number):
        """Make the streams; return, for each, what sends and what receives."""
        raise NotImplementedError

    def tick(self, times, see):
        """So many times, send a block of its own through each stream, then receive from each."""
        raise NotImplementedError

    def check(self):
        """Each stream's block arrives from that stream, whole."""
        sent, received = random_blocks(self.number), []
        usual, self.blocks = self.blocks, sent
        self.tick(2, lambda seen: received.append(np.array(seen).reshape(-1)))
        same_blocks(sent + sent, received)
        self.blocks = usual

    def round(self):
        times = STREAM_BLOCKS // self.number
        return timed(lambda: self.tick(times, None)) / (times * self.number)


class PongPools(Streams):
    """Each stream has a pool, as devices' streams do."""

    def begin(self, number):
        self.pools = [Pong() for _ in range(number)]
        return [(each.pool.acquire, each.sender.send, each.receiver.recv) for each in self.pools]

    def tick(self, times, see):
        starts = [(acquire, send, block) for (acquire, send, _), block in zip(self.all, self.blocks, strict=True)]
        ends = [recv for _, _, recv in self.all]
        for _ in range(times):
            for acquire, send, block in starts:
                buf = acquire()
                buf.write(block)
                send(buf)
            for recv in ends:
                received = recv()
                if see:
                    see(received.samples)
                received.release()

    def close(self):
        for pool in self.pools:
            pool.close()


class PongLinks(PongPools):
    """All streams are links of one pool."""

    name = "pong, links of one pool"

    def begin(self, number):
        import pong

        pool = pong.BufferPool(IN_FLIGHT * number, on_empty="raise", max_links=number)
        self.pools = [pool]
        return [(pool.acquire, sender.send, receiver.recv) for sender, receiver in (pool.link() for _ in range(number))]


class CopyStreams(Streams):
    """A queue for each stream."""

    name = CopySimpleQueue.name

    def begin(self, number):
        queues = [SimpleQueue() for _ in range(number)]
        return [(queue.put, queue.get) for queue in queues]

    def tick(self, times, see):
        starts = [(put, block) for (put, _), block in zip(self.all, self.blocks, strict=True)]
        for _ in range(times):
            for put, block in starts:
                put(block.copy())
            for _, get in self.all:
                received = get()
                if see:
                    see(received)


class RecycledStreams(Streams):
    """Two deques for each stream."""

    name, note = RecycledDeque.name, "what is kept of a block shows later ones"

    def begin(self, number):
        all_deques = [RecycledDeque() for _ in range(number)]
        return [(each.free.pop, each.ready.append, each.ready.popleft, each.free.append) for each in all_deques]

    def tick(self, times, see):
        starts = [(take, put, block) for (take, put, _, _), block in zip(self.all, self.blocks, strict=True)]
        ends = [(get, give) for _, _, get, give in self.all]
        for _ in range(times):
            for take, put, block in starts:
                array = take()
                array[...] = block
                put(array)
            for get, give in ends:
                received = get()
                if see:
                    see(received)
                give(received)
