"""Two contenders in turn, in many short rounds, and what comes out of it: the median of the ratios and its quartiles.

Whatever else runs on the machine disturbs both contenders of a round alike, or spoils single rounds, which a median
leaves out.
"""

from dataclasses import dataclass
from statistics import median
from time import perf_counter_ns

from pong.bench.contest import holds, spread
from pong.bench.rows import readable


@dataclass(frozen=True)
class Figure:
    """One row of the table at the end.

    Attributes
    ----------
    name : str
    pong, rival : str
        What each took, with its unit.
    ratio : float or None
        The median, in the sense of the bound; or a plain number, if ``bound`` is one of a plain number.
    spread : (float, float) or None
        The quartiles around it.
    bound : str
        ``"<= 3"``, say; empty where the issue sets none.
    """

    name: str
    pong: str
    rival: str = ""
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    bound: str = ""

    @property
    def holds(self):
        """Whether the bound holds; None without one."""
        return holds(self.ratio, self.bound) if self.bound else None


def interleave(first, second, rounds):
    """Call two functions in turn, and who begins in turn too; return the list of times of each, in nanoseconds.

    Each function is called a few times before it counts.
    """
    times = [], []
    for i in range(-rounds // 10, rounds):
        order = (0, 1) if i % 2 else (1, 0)
        for place in order:
            begin = perf_counter_ns()
            (first, second)[place]()
            taken = perf_counter_ns() - begin
            if i >= 0:
                times[place].append(taken)
    return times


def compare(name, pong, rival, bound="", *, cycles=1, scale=1.0, faster=False):
    """Make a `Figure` of the paired times of two contenders.

    Parameters
    ----------
    pong, rival : list of float
        Nanoseconds of each round.
    cycles : int
        Cycles in a round, for the times that are printed.
    scale : float
        What the rival's time is multiplied by in the ratio alone: 12 lets one exchange be printed, and counted.
    faster : bool
        The ratio is rival to pong, "so many times faster", not pong to rival.
    """
    ratios = [(b / a if faster else a / b) * scale for a, b in zip(pong, rival, strict=True)]
    return Figure(
        name,
        readable(median(pong) / cycles),
        readable(median(rival) / cycles),
        median(ratios),
        spread(ratios),
        bound,
    )
