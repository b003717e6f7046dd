"""Which cases of a scenario belong together, so that one table or one picture shows them."""

import re
from dataclasses import dataclass, field
from itertools import count

from .rows import by_case

__all__ = ["Group", "groups_of"]

MOST = 7  # columns of a table
ALIKE = 0.6  # of the contenders that two cases have, so many have to be in both

# "pool of 16 slots", "64 KiB written": what one case of a series has in place of another's.
_SIZE = re.compile(r"\d[\d.]*(?: (?:KiB|MiB|bytes)\b)?")


@dataclass
class Group:
    """Cases that follow each other; ``kind`` says what they share.

    ``"series"``: all but one number; ``"facets"``: what stands before a colon; ``"peers"``: the contenders, mostly.
    """

    kind: str
    title: str
    cases: dict = field(default_factory=dict)  # rows by what differs


def groups_of(rows):
    """Return the groups of the rows of one scenario."""
    cases = [(case, found) for (_, case), found in by_case(rows)]
    groups = []
    while cases:
        kind, number = max(
            ((kind, run(cases, alike)) for kind, alike in KINDS.items()), key=lambda each: (each[1] > 1, RANK[each[0]])
        )
        taken, cases = cases[:number], cases[number:]
        groups.append(make(kind, taken))
    return groups


def run(cases, alike):
    """Return how many cases, from the first one on, are alike."""
    number = 1
    while number < min(len(cases), MOST) and alike(cases[0], cases[number]):
        number += 1
    return number


def in_series(first, other):
    return _SIZE.search(first[0]) is not None and pattern(first[0]) == pattern(other[0]) and first[0] != other[0]


def pattern(case):
    return _SIZE.sub("…", case)


def are_facets(first, other):
    prefix, colon, _ = first[0].partition(": ")
    return bool(colon) and other[0].startswith(prefix + colon)


def are_peers(first, other):
    mine, theirs = ({row["contender"] for row in rows} for _, rows in (first, other))
    # What begins a series, or facets of its own, is left for these.
    return ": " not in other[0] and len(mine & theirs) >= ALIKE * len(mine | theirs)


KINDS = {"series": in_series, "facets": are_facets, "peers": are_peers}
RANK = {"series": 2, "facets": 1, "peers": 0}


def make(kind, cases):
    """Make a group of cases that are alike."""
    first = cases[0][0]
    if len(cases) == 1 or kind == "peers":
        return Group("peers", "", dict(cases))
    if kind == "facets":
        prefix = first.partition(": ")[0]
        return Group(kind, prefix, {case.removeprefix(f"{prefix}: "): rows for case, rows in cases})
    places = differing(cases)
    return Group(kind, title_of(first, places), {size_of(case, places): rows for case, rows in cases})


def differing(cases):
    """Return which of their sizes differ."""
    columns = zip(*(_SIZE.findall(case) for case, _ in cases), strict=True)
    return [place for place, column in enumerate(columns) if len(set(column)) > 1]


def title_of(case, places):
    """Return a case without its sizes at some places."""
    number = count()
    return _SIZE.sub(lambda found: "…" if next(number) in places else found[0], case)


def size_of(case, places):
    """Return the sizes of a case at some places."""
    found = _SIZE.findall(case)
    return ", ".join(found[place] for place in places)
