"""The seed's own design, buffers to the main thread and back: where it came from, and in pong.

Everywhere the same is done: a pool of 16 blocks of 1024 float32; one side takes a block, copies 1024 samples of a ramp
into it and transfers it; the other side, the main thread, looks at the first and the last sample and transfers it back,
where it is released. The main thread holds the clock, because an AudioWorklet has none: a round trip is the time
from giving a block back until it comes again, filled anew.
"""

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from .contest import Contender, Missing, contest, goal
from .seed_js import Chromium, Node
from .seed_pong import Callbacks, NativeSide, PythonSide, Trips

NAME = "seed"
TITLE = "The seed's design: transferred buffers, to the main thread and back"
NEEDS = {"pip": ["cython>=3.1"], "apt": ["chromium", "nodejs"], "npm": []}

BLOCKS = 10_000  # of each check
POLLING, WAITING = "pong native, polling", "pong native, waiting"
MIXED, PYTHON = "pong native to Python, waiting", "pong Python, waiting"
NODE, WORKER, WORKLET = "Node.js worker_threads", "Chromium Worker", "Chromium AudioWorklet"
CALLBACKS = "pong native callback to Python, waiting"

# What the figure of a round is: its unit, which is better, how it comes from a report.
FIGURES = {
    "p50": ("round trip, median", "us", "less", lambda report: report["p50"]),
    "p99": ("round trip, 99th percentile", "us", "less", lambda report: report["p99"]),
    "rate": ("throughput", "blocks/s", "more", lambda report: report["arrived"] / report["seconds"]),
    "beside": ("blocks from beside an empty pool", "%", "less", lambda r: 100 * r["fallbacks"] / r["arrived"]),
}


@dataclass(frozen=True)
class Entrant:
    """A maker of contenders around a peer that lives as long as the scenario, or the reason why there is none."""

    name: str
    peer: object
    kind: str
    trips: int  # in a round
    note: str = ""
    checked: set = field(default_factory=set)  # numbers in flight

    def maker(self, figure, flight, trips=None):
        return Maker(self, figure, flight, trips or self.trips)


@dataclass(frozen=True)
class Maker:
    """What `contest` calls; it keeps the reports of all rounds."""

    entrant: Entrant
    figure: str
    flight: int
    trips: int
    reports: list = field(default_factory=list)

    @property
    def name(self):
        return self.entrant.name

    @property
    def note(self):
        return self.entrant.note

    def __call__(self):
        if isinstance(self.entrant.peer, Missing):
            raise self.entrant.peer
        return Asking(self)


class Asking(Contender):
    """One figure of one peer."""

    def __init__(self, maker):
        self.entrant, self.figure, self.reports = maker.entrant, maker.figure, maker.reports
        # Time stamps would be a good part of what a native block takes: where blocks are counted there are none.
        self.order = {
            "kind": self.entrant.kind, "flight": maker.flight, "trips": maker.trips,
            "whole": False, "stamped": maker.figure == "p50",
        }  # fmt: skip

    def check(self):
        """10,000 blocks arrive in order and whole, and after each transfer, either way, nothing is left in hand."""
        if self.order["flight"] in self.entrant.checked:
            return
        kind = "offline" if self.entrant.kind == "callbacks" else self.entrant.kind
        self.ask({"kind": kind, "trips": BLOCKS, "whole": True, "stamped": False})
        self.entrant.checked.add(self.order["flight"])

    def round(self):
        self.reports.append(self.ask({}))
        return FIGURES[self.figure][-1](self.reports[-1])

    def ask(self, changes):
        order = self.order | changes
        report = self.entrant.peer.ask(order)
        assert report["arrived"] == order["trips"], f"{self.entrant.name}: {order['trips']} blocks went, {report} came"
        assert report["wrong"] == 0, f"{self.entrant.name}: not the block that was due, or not whole: {report}"
        assert report["attached"] == 0, f"{self.entrant.name}: still in the sender's hands after a transfer: {report}"
        return report


def run(plan):
    """Run all cases; return results and goals."""
    with ExitStack() as stack:
        cores = stack.enter_context(two_cores())
        fast, paced = entrants(stack, cores)
        return compete(fast, paced, plan)


@contextmanager
def two_cores():
    """Keep this thread, and all that it starts, on two cores; give them, None where there is one, -1 for anywhere."""
    if not hasattr(os, "sched_setaffinity"):
        yield (-1, -1) if os.cpu_count() > 1 else None
        return
    before = os.sched_getaffinity(0)
    first, *others = sorted(before)
    if not others:
        yield None
        return
    pair = first, next((core for core in others if core not in siblings(first)), others[0])
    os.sched_setaffinity(0, pair)
    try:
        yield pair
    finally:
        os.sched_setaffinity(0, before)


def siblings(core):
    """Return the hardware threads that share this one's core."""
    listed = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    if not listed.exists():
        return {core}
    ends = [part.split("-") for part in listed.read_text().strip().split(",")]
    return {number for each in ends for number in range(int(each[0]), int(each[-1]) + 1)}


def entrants(stack, cores):
    """Start everybody; return who runs as fast as it can, and who is called at the pace of audio."""

    def start(make, *arguments):
        try:
            peer = make(*arguments)
        except Missing as missing:
            return missing
        stack.callback(peer.close)
        return peer

    def native_trips(polling):
        return Trips(NativeSide(polling, cores[0] if polling else -1), NativeSide(polling, cores[1] if polling else -1))

    def trips(name, serving, receiving, number, note):
        return Entrant(name, start(lambda: Trips(serving(), receiving())), "trips", number, note)

    def polling(place):
        if cores is None:
            raise Missing("two threads that never sleep need two cores")
        return NativeSide(True, cores[place])

    waiting = partial(NativeSide, False)
    node, chromium = start(Node), start(Chromium)
    steps = "its clock has steps of 5 us"
    fast = [
        trips(
            POLLING,
            partial(polling, 0),
            partial(polling, 1),
            20_000,
            "two threads, each on a core of its own, never sleep",
        ),
        trips(WAITING, waiting, waiting, 1000, "two threads that sleep until a block comes"),
        trips(MIXED, waiting, PythonSide, 1000, "the main thread is Python, the pool's side is native; both sleep"),
        trips(PYTHON, PythonSide, PythonSide, 1000, "two Python threads; recv() sleeps"),
        Entrant(NODE, node, "trips", 1000),
        Entrant(WORKER, chromium, "worker", 1000, steps),
        Entrant(WORKLET, chromium, "worklet", 1000, f"{steps}; fills at each message, while its callbacks run beside"),
    ]
    # A second of audio in each round: 47 blocks.
    paced = [
        Entrant(CALLBACKS, start(Callbacks), "callbacks", 47, "from the send to the release"),
        Entrant(WORKLET, chromium, "callbacks", 47, f"from posting back to the processor's answer to it; {steps}"),
    ]
    return fast, paced


def compete(fast, paced, plan):
    """Let the entrants meet in all cases."""
    results, goals = [], []
    if plan.quick:
        wanted = [(("p50",), {1: "one"}), (("rate",), {8: "eight"})]
    else:
        wanted = [(figures, {1: "one", 8: "eight"}) for figures in (("p50", "p99"), ("rate",))]
    for figures, flights in wanted:
        found = {figure: [] for figure in figures}
        for flight, said in flights.items():
            makers = [each.maker(figures[0], flight) for each in fast]
            for figure, met in meet(figures, f"{said} in flight", makers, plan):
                found[figure] += met
                goals += goals_of(figure, flight, met)
        results += [each for figure in figures for each in found[figure]]
    if not plan.quick:
        makers = [each.maker("p50", 1, trips=None if plan.timed else 5) for each in paced]
        for _, met in meet(("p50", "p99", "beside"), "128-frame callbacks at 48 kHz", makers, plan, least=3):
            results += met
    return results, [each for each in goals if each]


def meet(figures, said, makers, plan, **options):
    """Hold a contest for the first of the figures, with time for all; yield each of them, and the results."""
    plan = replace(plan, seconds=len(figures) * plan.seconds)
    for figure in figures:
        title, unit, better, read = FIGURES[figure]
        text = {"case": f"{title}, {said}", "unit": unit, "better": better}
        if figure == figures[0]:
            rounds = contest(NAME, makers=makers, plan=plan, **text, **options)
            yield figure, rounds
            continue
        # The first report is of a round that does not count.
        values = [[read(report) for report in maker.reports[-len(each.values):]] if each.values else []
                  for each, maker in zip(rounds, makers, strict=True)]
        derived = [replace(each, values=mine, **text) for each, mine in zip(rounds, values, strict=True)]
        plan.tell(derived)
        yield figure, derived


def goals_of(figure, flight, found):
    """Return the goals that hang on a case; entries are None where a side is missing."""

    def ours(name, side, bound, inverse=False):
        return goal(f"seed: {name}", found, bound, rivals={NODE}, ours=side, inverse=inverse)

    if (figure, flight) == ("p50", 1):
        yield ours("shorter round trip, native polling", POLLING, ">= 20", inverse=True)
        yield ours("shorter round trip, two Python threads", PYTHON, ">= 2", inverse=True)
        yield ours("shorter round trip, Python and a native thread", MIXED, ">= 2", inverse=True)
    elif figure == "rate":
        number = "one" if flight == 1 else "eight"
        yield ours(f"throughput, native polling, {number} in flight", POLLING, ">= 50")
