"""The table that `pong bench` prints."""

from .machine import describe
from .rows import by_case, readable, wins

__all__ = ["as_text"]

HEADINGS = ("", "median", "quartiles", "times pong's")


def as_text(report):
    """Return everything that a report, as `command.report_of` makes it, tells a person."""
    parts, timed = [], report["plan"]["timed"]
    titles = {each["name"]: each["title"] for each in report["scenarios"]}
    for (scenario, case), rows in by_case(report["rows"]):
        if scenario in titles:
            parts.append(f"== {scenario}: {titles.pop(scenario)}")
        there = [row for row in rows if not row["missing"]]
        parts.append(f"{case}\n{columns([HEADINGS, *map(cells, there)]) if timed else checked(there)}")
    for heading, lines in (
        ("not here", missing(report)), ("notes", notes(report["rows"])), ("goals", goals(report["goals"])),
        ("failed", failures(report)), ("not installed", report["not_installed"]),
    ):
        if lines:
            parts.append("\n".join([f"== {heading}", *lines]))
    found = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    parts.append("\n".join(filter(None, [describe(report["machine"]), found])))
    return "\n\n".join(parts)


def checked(rows):
    """Return who has done what the scenario asks, where nothing was timed."""
    return "\n".join(f"  {row['contender']}: right" for row in rows)


def cells(row):
    """Return the row's cells; a rival that is ahead is marked."""
    low, high = (readable(row[name], row["unit"]) for name in ("low", "high"))
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.3g}{' ahead' if wins(row) else ''}"
    return row["contender"], readable(row["median"], row["unit"]), f"{low} .. {high}", ratio


def columns(rows, indent="  "):
    """Align the cells of rows."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join((indent + "  ".join(map(str.ljust, row, widths))).rstrip() for row in rows)


def missing(report):
    """Return who could not take part, with the reason, once."""
    absent = [f"{each['name']}: {each['missing']}" for each in report["scenarios"] if each["missing"]]
    return absent + once(f"{row['contender']}: {row['missing']}" for row in report["rows"] if row["missing"])


def notes(rows):
    """Return what is to be known beside the figures, once."""
    return once(f"{row['contender']}: {row['note']}" for row in rows if row["note"] and not row["missing"])


def once(lines):
    return list(dict.fromkeys(lines))


def goals(found):
    """Return the goals, in columns."""
    rows = [
        (
            "holds" if each["holds"] else "NO", each["name"], f"{each['ratio']:.3g}",
            "({:.3g} .. {:.3g})".format(*each["quartiles"]), each["bound"],
        )
        for each in found
    ]
    return columns(rows, indent="").splitlines() if rows else []


def failures(report):
    return [f"{each['name']}: {each['failed']}" for each in report["scenarios"] if each["failed"]]
