"""Pictures of a report: a figure for each scenario, in each of the formats."""

import os

import matplotlib
from matplotlib.figure import Figure

from .groups import groups_of
from .rows import is_pong
from .scenarios import SCENARIOS

__all__ = ["check_folder", "draw"]

FORMATS = ("png", "svg")
OURS, RIVAL, OTHERS = "#1b7837", "#8c8c8c", ("#b2182b", "#2166ac", "#762a83", "#b35806", "#666666")
ACROSS = 2  # panels side by side
WIDE = 20  # a range of so many times is drawn on a logarithmic scale


def check_folder(folder):
    """Make the folder; raise an OSError if nothing can be written there."""
    os.makedirs(folder, exist_ok=True)
    probe = os.path.join(folder, f".pong-{os.getpid()}")
    with open(probe, "xb"):
        pass
    os.remove(probe)


def draw(report, folder, formats=FORMATS):
    """Draw a report into a folder."""
    # The same figures give the same file: no date, no random names.
    with matplotlib.rc_context({"svg.hashsalt": "pong"}):
        for scenario in report["scenarios"]:
            name = scenario["name"]
            panels = panels_of([row for row in report["rows"] if row["scenario"] == name and is_pictured(name, row)])
            if not panels:
                continue
            figure = figure_of(scenario["title"], panels)
            for ending in formats:
                path = os.path.join(folder, f"bench-{scenario['name']}.{ending}")
                figure.savefig(path, dpi=100, metadata={"Date": None} if ending == "svg" else None)


def is_pictured(scenario, row):
    """Tell whether a case is drawn: one of those whose ending its scenario has in ``PICTURED``, if it has any."""
    known = SCENARIOS.get(scenario)
    wanted = () if known is None else getattr(known.module, "PICTURED", ())
    return not wanted or row["case"].endswith(tuple(wanted))


def panels_of(rows):
    """Return ``(title, {case: rows})`` for each panel: a series is one, and each case of all others.

    A case in which everybody has the same figure is nothing to look at.
    """
    panels = []
    for group in groups_of([row for row in rows if row.get("median") is not None]):
        if group.kind == "series":
            panels.append((group.title, group.cases))
            continue
        before = f"{group.title}: " if group.title else ""
        panels += [
            (before + name, {name: found}) for name, found in group.cases.items()
            if len({row["median"] for row in found}) > 1
        ]
    return panels


def figure_of(title, panels):
    """Draw the panels of a scenario."""
    down = -(-len(panels) // ACROSS)
    heights = [
        max(max(map(len, cases.values())) if len(cases) == 1 else 8 for _, cases in panels[i : i + ACROSS])
        for i in range(0, len(panels), ACROSS)
    ]
    figure = Figure(figsize=(12, sum(0.25 * height + 0.9 for height in heights) + 0.4), layout="constrained")
    figure.suptitle(title)
    grid = figure.add_gridspec(down, ACROSS, height_ratios=[0.25 * height + 0.9 for height in heights])
    for number, (name, cases) in enumerate(panels):
        axes = figure.add_subplot(grid[number // ACROSS, number % ACROSS])
        axes.set_title(name, fontsize=10, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        (bars if len(cases) == 1 else curves)(axes, cases)
    return figure


def bars(axes, cases):
    """Draw one case: a bar for each contender, the best at the top, with its quartiles."""
    (rows,) = cases.values()
    rows = sorted(rows, key=lambda row: row["median"], reverse=rows[0]["better"] == "less")
    errors = [[row["median"] - row["low"] for row in rows], [row["high"] - row["median"] for row in rows]]
    colours = [OURS if is_pong(row["contender"]) else RIVAL for row in rows]
    names = [row["contender"] for row in rows]
    axes.barh(names, [row["median"] for row in rows], xerr=errors, color=colours, error_kw={"linewidth": 1})
    axes.set_xlabel(f"{rows[0]['unit']}, {rows[0]['better']} is better", fontsize=8)
    if is_wide(rows):
        axes.set_xscale("log")


def curves(axes, cases):
    """Draw a group of cases: a curve for each contender, its quartiles as a band."""
    others = iter(OTHERS * len(cases))
    places = {rest: place for place, rest in enumerate(cases)}
    rows = [(places[rest], row) for rest, found in cases.items() for row in found]
    for name in dict.fromkeys(row["contender"] for _, row in rows):
        mine = [(place, row) for place, row in rows if row["contender"] == name]
        colour = OURS if name == "pong" else next(others)
        at = [place for place, _ in mine]
        axes.plot(at, [row["median"] for _, row in mine], marker="o", markersize=3, color=colour, label=name)
        low, high = ([row[name] for _, row in mine] for name in ("low", "high"))
        axes.fill_between(at, low, high, color=colour, alpha=0.2)
    first = rows[0][1]
    axes.set_xticks(list(places.values()), list(places), rotation=30, ha="right")
    axes.set_ylabel(f"{first['unit']}, {first['better']} is better", fontsize=8)
    axes.legend(fontsize=8, frameon=False)
    if is_wide([row for _, row in rows]):
        axes.set_yscale("log")


def is_wide(rows):
    """Tell whether figures need a logarithmic scale, and can have one."""
    figures = [row["median"] for row in rows]
    return min(figures) > 0 and max(figures) > WIDE * min(figures)
