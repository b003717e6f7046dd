"""Native hand-over between two ends, without Python on the path: on one core, across two, and on an audio thread."""

from dataclasses import replace

from .contest import PONG, contest, goal
from .native_build import NO_FILL, ONE_CORE, PACED, TWO_CORES, WORDS, own_builds
from .native_calls import calls
from .native_contenders import IN_PLACE, LINE, POOLED, RIVALS, Drill, everybody, make, paced_round

__all__ = ["NAME", "NEEDS", "TITLE", "run"]

NAME = "native"
TITLE = "Native hand-over"
NEEDS = {
    "pip": ["cython>=3.1", "rtmixer"],
    "apt": [
        "g++", "libboost-dev", "libreaderwriterqueue-dev", "libconcurrentqueue-dev", "libck-dev", "liburcu-dev",
        "libjack-jackd2-dev", "libdpdk-dev", "pkg-config",
    ],
    "npm": [],
}

FILLS = {NO_FILL: "no fill", WORDS: "4 KiB written and read"}
POOLS = 2, 16, 64, 256, 1024
SIZES = 256, 4096, 65536, 1 << 20
STREAMS = 1, 4, 16, 64
STAMPED = "pong, time stamps"
PERIOD = 200_000


class Scenario:
    """One run: what its cases share."""

    def __init__(self, plan):
        self.plan = plan
        self.builds = own_builds()
        self.results = []
        self.goals = []

    def case(self, case, makers):
        """Hold a contest; return its results."""
        found = contest(NAME, case, makers, self.plan, unit="ns")
        self.results += found
        return found

    def expect(self, *arguments, **options):
        """Note a goal, unless somebody it is about is missing."""
        found = goal(*arguments, **options)
        if found is not None:
            self.goals.append(found)

    def hand_over(self):
        """Cycles of acquire, send, recv and release; return the results across cores without a fill."""
        across = []
        for fill, said in FILLS.items():
            drill = Drill(ONE_CORE, fill)
            one = self.case(f"cycle on one core, {said}", self.all(drill))
            drill = Drill(TWO_CORES, fill, slots=1)
            two = self.case(f"cycle across cores, one block in flight, {said}", self.all(drill))
            across.append(two)
            if fill == WORDS:
                rivals = set(RIVALS) - {LINE}
                self.expect("4 KiB on one core, best rival / pong", one, ">= 1", rivals=rivals, inverse=True)
                self.expect("4 KiB across cores, best rival / pong", two, ">= 1", rivals=rivals, inverse=True)
        bare = across[0]
        self.expect("cycle across cores, best rival with a pool / pong", bare, ">= 2", rivals=POOLED, inverse=True)
        self.expect("cycle across cores, pong / cache line", bare, "<= 2.5", rivals={LINE})
        return bare

    def all(self, drill, **options):
        """Return the makers of all who can take part."""
        return [make(self.builds, name, drill, **options) for name in everybody(drill)]

    def streaming(self):
        """As many blocks as eight slots let be under way."""
        for fill, said in FILLS.items():
            self.case(f"across cores, eight blocks in flight, {said}", self.all(Drill(TWO_CORES, fill, slots=8)))

    def audio_thread(self):
        """Acquire and send, once in a while; then what they ask of the system."""
        drill = Drill(PACED, period=PERIOD, blocks=1000 if self.plan.timed else 20)
        makers = self.all(drill, measure=paced_round)
        case = f"audio-thread side, one block each {PERIOD // 1000} us"
        spread = [
            replace(each, case=f"{case}: p99 / p50", unit="ratio")
            for each in contest(NAME, case, makers, self.plan, unit="ns")
        ]
        # The first median is of the round that does not count.
        medians = [
            replace(each, case=f"{case}: p50", unit="ns", values=made.medians[len(made.medians) - len(each.values):])
            for each, made in zip(spread, makers, strict=True)
        ]
        self.results += spread + medians
        self.expect("audio-thread side, p99 / p50, pong / best rival", spread, "<= 1", rivals=set(RIVALS))
        for counted in calls(NAME, self.builds, self.plan):
            self.results += counted
            zero = [replace(each, contender="none", values=[1]) for each in counted if each.contender == PONG]
            self.expect(f"{counted[0].case}, pong", [*counted, *zero], "<= 0", rivals={"none"})

    def family(self, names, drills):
        """Time contenders in several cases, all of them in turn, so that the cases can be compared.

        Parameters
        ----------
        names : list of str
        drills : dict of str to Drill
            By case.

        Returns
        -------
        dict of str to list of Result
            By case.
        """
        places = [(case, name) for case in drills for name in names]
        makers = [make(self.builds, name, drills[case], label=f"{name}, {case}") for case, name in places]
        found = contest(NAME, "", makers, self.plan, unit="ns")
        cases = {case: [] for case in drills}
        for (case, name), result in zip(places, found, strict=True):
            cases[case].append(replace(result, case=case, contender=name))
        for results in cases.values():
            self.results += results
        return cases

    def steady(self, name, cases, bound, *, first=None):
        """Compare pong in the case where it is slowest with that where it is fastest, or with the first one."""
        mine = [next(each for each in results if each.contender == PONG) for results in cases.values()]
        if not all(each.values for each in mine):
            return
        mine.sort(key=lambda each: each.median)
        worst, best = mine[-1], first or mine[0]
        self.expect(name, [worst, replace(best, contender=best.case)], bound)

    def scaling(self, names):
        """Pools, blocks and streams, of pong and its two best rivals."""
        pools = {f"cycle on one core, pool of {n}": Drill(ONE_CORE, slots=n) for n in POOLS}
        self.steady("cost in the worst pool / in the best, 2 to 1024 slots", self.family(names, pools), "<= 1.5")
        for bytes_ in SIZES:
            drill = Drill(TWO_CORES, WORDS, slots=8, bytes=bytes_, blocks=max(16, min(2000, (16 << 20) // bytes_)))
            said = f"{bytes_ >> 10} KiB" if bytes_ >= 1024 else f"{bytes_} bytes"
            self.case(
                f"across cores, eight blocks in flight, {said} written and read",
                [make(self.builds, name, drill) for name in names],
            )
        for way, said in ((ONE_CORE, "on one core"), (TWO_CORES, "across cores")):
            streams = {
                f"a block of {n} streams at once, {said}": Drill(way, slots=8, streams=n, blocks=max(50, 2000 // n))
                for n in STREAMS
            }
            cases = self.family(names, streams)
            one, many = (
                next(each for each in list(cases.values())[place] if each.contender == PONG) for place in (0, -1)
            )
            if one.values and many.values:
                several = [many, replace(one, contender="one stream")]
                self.expect(f"64 streams {said}, cost of a block / with one stream", several, "<= 2")

    def time_stamps(self):
        """What they cost."""
        for way, said in ((ONE_CORE, "on one core"), (TWO_CORES, "across cores, one block in flight")):
            drill = Drill(way, slots=1 if way == TWO_CORES else 16)
            self.case(
                f"time stamps and histograms, cycle {said}",
                [make(self.builds, name, drill) for name in (PONG, STAMPED)],
            )


def run(plan):
    """Check and time the contenders of the native hand-over.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    (list of Result, list of Goal)
    """
    scenario = Scenario(plan)
    bare = scenario.hand_over()
    scenario.audio_thread()
    if not plan.quick:
        scenario.streaming()
        rivals = [each for each in bare if each.values and each.contender in set(RIVALS) - {LINE} - IN_PLACE]
        rivals.sort(key=lambda each: each.median)
        scenario.scaling([PONG, *(each.contender for each in rivals[:2])])
        scenario.time_stamps()
    return scenario.results, scenario.goals
