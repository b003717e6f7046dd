"""Results as rows of plain numbers: what is printed, drawn, and kept as JSON."""

import math
from itertools import groupby
from statistics import median

from .contest import PONG, spread

__all__ = ["by_case", "is_pong", "plain", "readable", "rows_of", "wins"]

TIMES = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}  # in nanoseconds
TEXTS = ("case", "contender", "unit", "better", "note", "missing")
BINARY = ("bytes", "KiB", "MiB", "GiB")


def rows_of(scenario, results):
    """Return a row, a dict, for each result of a scenario.

    ``ratio`` is the contender's figure in those of pong, the median of all rounds; None where pong has none, or 0.
    """
    rows = []
    for _, case in groupby(results, key=lambda each: each.case):
        case = list(case)
        ours = ours_of(case)
        for each in case:
            row = {"scenario": scenario} | {name: getattr(each, name) for name in TEXTS}
            if each.values:
                low, high = spread(each.values)
                ratio = ratio_of(each.values, ours.values) if ours is not None else None
                figures = {"median": each.median, "low": low, "high": high, "ratio": ratio}
                row |= {"rounds": len(each.values)} | {name: plain(figure) for name, figure in figures.items()}
            rows.append(row)
    return rows


def plain(figure):
    """Return a figure as JSON can have it, with as many digits as mean something; None for what is infinite."""
    return None if figure is None or not math.isfinite(figure) else float(f"{figure:.6g}")


def ours_of(case):
    """Return the result that is pong's: of several configurations the one called just so, or else the first."""
    there = [each for each in case if each.values and is_pong(each.contender)]
    return min(there, key=lambda each: each.contender != PONG, default=None)


def is_pong(contender):
    """Tell whether a contender is pong, in whatever configuration, and no rival."""
    return contender.split(" ")[0].rstrip(",:") == PONG


def ratio_of(values, ours):
    """Return how many times ours a contender's figure is, or None."""
    if len(values) == len(ours) and all(ours):
        return median(value / mine for value, mine in zip(values, ours, strict=True))
    return median(values) / median(ours) if median(ours) else None


def wins(row):
    """Tell whether a row is of a rival that is ahead of pong."""
    ratio = row.get("ratio")
    if ratio is None or is_pong(row["contender"]):
        return False
    return ratio < 1 if row["better"] == "less" else ratio > 1


def by_case(rows):
    """Yield ``(scenario, case), rows`` in order."""
    for key, case in groupby(rows, key=lambda row: (row["scenario"], row["case"])):
        yield key, list(case)


def readable(value, unit="ns"):
    """Return a figure with a fitting unit; None is one that is infinite."""
    if value is None:
        return "never"
    if unit in TIMES:
        value *= TIMES[unit]
        fitting = [name for name, size in TIMES.items() if abs(value) >= size]
        unit = fitting[-1] if fitting else "ns"
        return f"{value / TIMES[unit]:.4g} {unit}"
    if unit in BINARY:
        value *= 1024 ** BINARY.index(unit)
        place = min(int(math.log(abs(value), 1024)), len(BINARY) - 1) if abs(value) >= 1 else 0
        return f"{value / 1024**place:.4g} {BINARY[place]}"
    return f"{value:.4g} {unit}"
