"""Who takes part in the native hand-over: pong, its rivals, and the bare cache line as the limit.

A rival without a pool and a return path of its own gets what an ordinary user would build: a fixed set of blocks, and a
second queue of the same kind on which they go home. Its note says so.
"""

import contextlib
import ctypes
import importlib.util
import os
from dataclasses import dataclass

from .contest import Contender, Missing
from .native_build import NO_FILL, ONE_CORE, PROOF, TWO_CORES, Job, run

__all__ = ["IN_PLACE", "LINE", "POOLED", "Drill", "everybody", "make", "native_round", "paced_round"]

LINE = "cache line"
PROOF_BLOCKS = 10_000
AGAIN_BLOCKS = 1_000
PROOF_BYTES = 64 << 20

BACK = "pool and way home built by the user of a second queue: one thread releases, in any order; no owner is checked"
FIFO = "the ring is the pool, filled and read in place: strictly first in, first out; no block can be kept or sent on"

DPDK, DPDK_ANY = "DPDK ring + mempool", "DPDK, any releaser"

# Rivals by name: source, package, note.
RIVALS = {
    "boost spsc_queue": ("boost_spsc_queue.cpp", "libboost-dev", BACK),
    "ReaderWriterQueue": ("readerwriterqueue.cpp", "libreaderwriterqueue-dev", BACK),
    "ConcurrentQueue": ("concurrentqueue.cpp", "libconcurrentqueue-dev", BACK + "; takes several producers"),
    "ck_ring": ("ck_ring.cpp", "libck-dev", BACK),
    DPDK: (
        "dpdk_ring.cpp", "libdpdk-dev",
        "gives pool and way home itself; for one acquirer and one releaser, without huge pages; no owner is checked",
    ),
    DPDK_ANY: (
        "dpdk_ring.cpp", "libdpdk-dev", "the same, and any thread may give back, as with pong; no owner is checked",
    ),
    "liburcu wfcqueue": ("liburcu_wfcqueue.cpp", "liburcu-dev", BACK),
    "PortAudio ring buffer": ("portaudio_ringbuffer.cpp", "rtmixer", FIFO + "; its code is rtmixer's, not inlined"),
    "JACK ringbuffer": ("jack_ringbuffer.cpp", "libjack-jackd2-dev", FIFO + "; twice the memory, for it is never full"),
    "mutex + condition": (
        "mutex_condition.cpp", "g++", "pool and queue under one lock, built by the user; who waits sleeps, others poll",
    ),
    LINE: ("cache_line.cpp", "g++", "the limit, no hand-over: whose turn it is, in one word"),
}
# What brings pool and way home along with the hand-over.
POOLED = frozenset({DPDK, DPDK_ANY})
IN_PLACE = frozenset({"PortAudio ring buffer", "JACK ringbuffer"})

PONGS = {
    "pong": "",
    "pong, sent back": "the way home is a second link instead of a release: the same buffers go round and round",
    "pong, time stamps": "the same with timestamps=True: three readings of the clock and two histograms",
}


@dataclass(frozen=True)
class Drill:
    """What one round does.

    Attributes
    ----------
    way, fill : int
        Of the driver.
    slots : int
        In each pool.
    bytes : int
        Of a block.
    streams : int
        Pools and links in use at once.
    blocks : int
        In one round, of each stream.
    period : int
        Nanoseconds, where the drill is paced.
    """

    way: int
    fill: int = NO_FILL
    slots: int = 16
    bytes: int = 4096
    streams: int = 1
    blocks: int = 2000
    period: int = 0


def cores():
    """Return two cores that this process may use."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(allowed) < 2:
        raise Missing("needs two cores to itself")
    return allowed[:2]


class Native(Contender):
    """Somebody whose loops are native. A subclass opens its links in `begin`, and closes them."""

    def __init__(self, builds, name, drill, measure):
        self.builds = builds
        self.name = name
        self.drill = drill
        self.cores = cores()
        self.measure = measure
        self.begin()

    def begin(self):
        """Open the links: set ``loops``, a function, and ``links``, the address of what it takes."""
        raise NotImplementedError

    def do(self, **members):
        """Run the loops once; return the `Job` with what came of it."""
        drill = self.drill
        job = Job(
            way=drill.way, fill=drill.fill, bytes=drill.bytes, blocks=drill.blocks, warm=drill.blocks // 10,
            period=drill.period,
        )
        job.cores[:] = self.cores
        for name, value in members.items():
            setattr(job, name, value)
        self.loops(self.links, ctypes.byref(job))
        assert not job.failed, f"{self.name}: a move was refused, or a side was silent"
        assert not job.faults, f"{self.name}: {job.faults} of {job.warm + job.blocks} blocks lost, torn or out of order"
        return job

    def check(self):
        """Every block arrives, in order and whole, on the other core.

        `PROOF_BLOCKS` of them the first time, `AGAIN_BLOCKS` in each further case, or fewer big ones.
        """
        most = AGAIN_BLOCKS if self.name in self.builds.proven else PROOF_BLOCKS
        number = min(most, PROOF_BYTES // self.drill.bytes) // self.drill.streams
        self.do(way=TWO_CORES, fill=PROOF, blocks=max(number, 2 * self.drill.slots), warm=0)
        self.builds.proven.add(self.name)

    def round(self):
        return self.measure(self)

    def watched(self, count, sealed):
        """Let the sender's side alone empty the pool, one block of it unwatched; bring all home; return the `Job`."""
        return self.do(fill=NO_FILL, warm=1, blocks=self.drill.slots - 1, count=count, sealed=sealed)


class Pong(Native):
    """pong's kernel, through Cython, with the links that Python has made."""

    def begin(self):
        import pong

        module, loops = self.builds.pong, self.builds.pong_loops
        drill, name = self.drill, self.name
        with contextlib.ExitStack() as opened:
            pools = [
                opened.enter_context(pong.BufferPool(
                    drill.slots, drill.bytes // 4, on_empty="raise", timestamps=name == "pong, time stamps",
                ))
                for _ in range(drill.streams)
            ]
            self.ends = [pool.link() for pool in pools]
            senders = [sender for sender, _ in self.ends]
            if name == "pong, sent back":
                homes = [pool.link() for pool in pools]
                self.ends += homes
                self.kept = module.SentBackLinks(pools, senders, [sender for sender, _ in homes])
                self.loops = loops.sent_back_run
            else:
                self.kept = module.ReleasedLinks(pools, senders)
                self.loops = loops.released_run
            self.opened = opened.pop_all()
        self.loops.argtypes = ctypes.c_void_p, ctypes.POINTER(Job)
        self.loops.restype = None
        self.links = self.kept.address

    def close(self):
        self.opened.close()


class Rival(Native):
    """A rival's own code, in C++."""

    def begin(self):
        source, package, _ = RIVALS[self.name]
        library = self.builds.library(self.name, source, package, *flags_of(self.name, self.cores[0]))
        self.loops = library.contender_run
        self.close_links = library.contender_close
        self.links = library.contender_open(self.drill.slots, self.drill.bytes, self.drill.streams)
        if not self.links:
            raise Missing("it does not start here")

    def close(self):
        self.close_links(self.links)


def flags_of(name, core):
    """Return what the compiler needs for a rival, or raise `Missing`."""
    if name == "JACK ringbuffer":
        return ["-ljack"]
    if name == "PortAudio ring buffer":
        found = importlib.util.find_spec("_rtmixer")
        if found is None:
            raise Missing("needs the package rtmixer, which brings PortAudio's compiled code")
        return [f'-DPONG_BENCH_LIBRARY="{found.origin}"', "-ldl"]
    if name in POOLED:
        try:
            words = run(["pkg-config", "--cflags", "libdpdk"]).split()
        except (OSError, RuntimeError):
            raise Missing("needs the packages libdpdk-dev and pkg-config") from None
        # Static: the shared library loads all of its drivers, of which none is needed.
        libraries = [f"-lrte_{part}" for part in "eal ring mempool mempool_ring kvargs telemetry".split()]
        return [
            *words, f'-DPONG_BENCH_CORE="{core}"', f"-DPONG_BENCH_ANY={name == DPDK_ANY:d}",
            "-Wl,-Bstatic", "-Wl,--whole-archive", *libraries, "-Wl,--no-whole-archive", "-Wl,-Bdynamic",
            "-lnuma", "-lbsd",
        ]
    return []


def native_round(contender):
    """Return the nanoseconds of one block."""
    drill = contender.drill
    return contender.do().elapsed / (drill.blocks * drill.streams)


def paced_round(contender):
    """Return how far the 99th percentile of acquire and send lies above their median; keep the median."""
    drill = contender.drill
    times = (ctypes.c_uint64 * drill.blocks)()
    contender.do(times=times)
    ordered = sorted(times)
    middle = ordered[len(ordered) // 2]
    contender.medians.append(middle)
    return ordered[len(ordered) * 99 // 100] / middle


class make:
    """Makes one contender for a case; `contest` calls it.

    Parameters
    ----------
    builds : Builds
    name : str
        Of `RIVALS` or `PONGS`.
    drill : Drill
    measure : callable
        Takes the contender, returns the figure of a round.
    label : str, optional
        The name in the case, where it is not the contender's.
    """

    def __init__(self, builds, name, drill, measure=native_round, label=None):
        self.arguments = builds, name, drill, measure
        self.name = label or name
        self.note = PONGS[name] if name in PONGS else RIVALS[name][2]
        self.medians = []

    def __call__(self):
        name = self.arguments[1]
        made = (Pong if name in PONGS else Rival)(*self.arguments)
        made.medians = self.medians
        return made


def everybody(drill):
    """Return the names of all who can take part in a drill: the cache line holds one block, for two cores."""
    names = ["pong", "pong, sent back", *RIVALS]
    if drill.slots > 1 or drill.way == ONE_CORE:
        names.remove(LINE)
    return names
