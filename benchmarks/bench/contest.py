"""One scenario, many contenders: each is checked, then they are timed in turn.

Whatever else runs on the machine disturbs all contenders of a round alike, or spoils single rounds, which medians
leave out.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median, quantiles
from time import monotonic

__all__ = ["Contender", "Goal", "Missing", "Plan", "Result", "contest", "goal", "holds", "spread"]

PONG = "pong"


class Missing(Exception):
    """A contender cannot run here; the text says what it lacks."""


@dataclass(frozen=True)
class Plan:
    """How much is to be done.

    Attributes
    ----------
    timed : bool
        False checks every contender and runs each once: a test of the contenders, whose figures mean nothing.
    quick : bool
        The most important cases only, as `pong bench` wants them.
    required : bool
        A contender that is missing is an error, as where everything has just been installed.
    seconds : float
        About how long one case of one scenario may take.
    told : callable, optional
        Gets the results of each case as soon as it is over: a scenario that is ended early has not run for nothing.
    """

    timed: bool = True
    quick: bool = False
    required: bool = False
    seconds: float = 5.0
    told: Callable | None = None

    def tell(self, results):
        """Pass results on, if somebody wants to be told."""
        if self.told is not None:
            self.told(results)


class Contender:
    """What is measured. A subclass is made when its case begins, and raises `Missing` where it cannot run."""

    name = PONG
    note = ""  # what a reader must know beside the figure: what it does not protect from, say

    def check(self):
        """Raise AssertionError unless it does what the scenario asks: the same check for all."""
        raise NotImplementedError

    def round(self):
        """Do one round and return its figure, in the unit of the case."""
        raise NotImplementedError

    def close(self):
        """Give back what it holds."""


@dataclass(frozen=True)
class Result:
    """One contender in one case of a scenario.

    Attributes
    ----------
    scenario, case, contender : str
    unit : str
        ``"ns"``, ``"s"``, ``"bytes"``, ``"%"``, …
    better : str
        ``"less"`` or ``"more"``.
    values : list of float
        One of each round; those of all contenders of a case belong together by their place.
    note, missing : str
        ``missing`` says why there are no values.
    """

    scenario: str
    case: str
    contender: str
    unit: str
    better: str = "less"
    values: list[float] = field(default_factory=list)
    note: str = ""
    missing: str = ""

    @property
    def median(self):
        """The median of the rounds."""
        return median(self.values)

    @property
    def quartiles(self):
        """The quartiles of the rounds; the only value twice, where there is one."""
        return spread(self.values)


@dataclass(frozen=True)
class Goal:
    """A ratio that pong is to hold, with its quartiles; ``bound`` is ``"<= 2.5"``, say."""

    name: str
    ratio: float
    quartiles: tuple[float, float]
    bound: str

    @property
    def holds(self):
        """Whether the bound holds."""
        return holds(self.ratio, self.bound)


def holds(ratio, bound):
    """Tell whether a ratio is within a bound such as ``"<= 2.5"``."""
    relation, limit = bound.split()
    return ratio <= float(limit) if relation == "<=" else ratio >= float(limit)


def spread(values):
    """Return the quartiles of a list of at least one value."""
    if len(values) == 1:
        return values[0], values[0]
    low, _, high = quantiles(values)
    return low, high


def contest(scenario, case, makers, plan, *, unit, better="less", rounds=1000, least=5):
    """Check the contenders of a case, then let them do rounds in turn, until there are enough or the time is up.

    Parameters
    ----------
    makers : iterable of callables
        Each makes a `Contender`, or raises `Missing`; it has the attribute ``name``, as the class itself does.
    plan : Plan
    rounds, least : int
        So many rounds of each; at least ``least`` of them, however long they take.

    Returns
    -------
    list of Result
        In the order of the makers.

    Raises
    ------
    AssertionError
        A contender does not do what the scenario asks.
    Missing
        One is missing, and the plan requires all.
    """
    results = compete(scenario, case, makers, plan, unit, better, rounds, least)
    plan.tell(results)
    return results


def compete(scenario, case, makers, plan, unit, better, rounds, least):
    """Do what `contest` says, but for telling of it."""
    results, running = [], []
    with ExitStack() as opened:
        for make in makers:
            result = Result(scenario, case, make.name, unit, better, note=getattr(make, "note", ""))
            try:
                each = make()
            except Missing as error:
                if plan.required:
                    raise
                results.append(Result(scenario, case, make.name, unit, better, missing=str(error)))
                continue
            opened.callback(each.close)
            each.check()
            results.append(result)
            running.append((each, result.values))
        if not plan.timed:
            for each, values in running:
                values.append(each.round())
            return results
        for each, _ in running:
            each.round()
        deadline = monotonic() + plan.seconds
        for number in range(rounds):
            if number >= least and monotonic() > deadline:
                break
            # Who begins changes, so that nobody always follows the same one.
            turn = number % len(running) if running else 0
            for each, values in running[turn:] + running[:turn]:
                values.append(each.round())
    return results


def goal(name, results, bound, *, rivals=None, ours=PONG, inverse=False):
    """Compare pong with the best of its rivals in a case, round by round.

    Parameters
    ----------
    results : list of Result
        Of one case.
    bound : str
    rivals : set of str, optional
        Who counts; all but ``ours`` unless given.
    inverse : bool
        The ratio is rival to pong: "so many times faster".

    Returns
    -------
    Goal or None
        None where pong or every rival is missing.
    """
    there = {each.contender: each for each in results if each.values}
    mine = there.pop(ours, None)
    others = [each for name, each in there.items() if rivals is None or name in rivals]
    if mine is None or not others:
        return None
    best = (min if mine.better == "less" else max)(others, key=lambda each: each.median)
    pairs = zip(mine.values, best.values, strict=True)
    ratios = [b / a if inverse else a / b for a, b in pairs]
    return Goal(f"{name} ({best.contender})", median(ratios), spread(ratios), bound)
