"""Makes the pictures and the tables of the README from the report of a full run of ``pong bench``.

    pong bench --full --install --json run.json && python benchmarks/tables.py run.json

On a machine that does nothing else. Without a file the report that was given last, ``pictures/bench.json``, is taken.
"""

import json
import re
import shutil
import sys
from pathlib import Path

from pong.bench.groups import groups_of
from pong.bench.machine import describe
from pong.bench.rows import readable, wins

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "benchmarks" / "pictures"
REPORT = PICTURES / "bench.json"
MARKED = re.compile(r"(<!-- bench: .*? -->\n).*?(<!-- /bench -->)", re.S)


def section(report):
    """Return the README's section, as Markdown: goals, pictures, tables, and what all of it was taken on."""
    parts = [about(report), goals(report["goals"])]
    for scenario in report["scenarios"]:
        rows = [row for row in report["rows"] if row["scenario"] == scenario["name"]]
        there = [row for row in rows if "median" in row]
        if not there:
            continue
        picture = f"![{scenario['title']}](benchmarks/pictures/bench-{scenario['name']}.png)"
        tables = [table(group) for group in groups_of(there)]
        summary = f"<details>\n<summary>{scenario['title']}: all figures</summary>"
        parts += [picture, summary, *tables, remarks(rows), "</details>"]
    return "\n\n".join(filter(None, parts)) + "\n"


def about(report):
    """Return one paragraph on machine, date and versions."""
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    return f"Taken on {describe(report['machine'])}. With {versions}." if versions else describe(report["machine"])


def goals(found):
    """Return the goals as a table."""
    rows = [
        (
            "yes" if each["holds"] else "**no**", each["name"], f"{each['ratio']:.3g}",
            "{:.3g} to {:.3g}".format(*each["quartiles"]), each["bound"],
        )
        for each in found
    ]
    return markdown(("holds", "goal", "ratio", "quartiles", "bound"), rows) if rows else ""


def table(group):
    """Return one table: a row for each contender, a column for each case, bold where a rival is ahead of pong."""
    cases = list(group.cases)
    contenders = dict.fromkeys(row["contender"] for rows in group.cases.values() for row in rows)
    rows = []
    for contender in contenders:
        found = [next((row for row in group.cases[case] if row["contender"] == contender), None) for case in cases]
        rows.append((contender, *("" if row is None else cell(row) for row in found)))
    return markdown((group.title, *cases), rows)


def cell(row):
    """Return a figure with half of what lies between its quartiles, and what it is in those of pong."""
    text = readable(row["median"], row["unit"])
    if None not in (row["median"], row["low"], row["high"]) and row["median"]:
        text += f" ± {50 * (row['high'] - row['low']) / abs(row['median']):.0f} %"
    if row["ratio"] is not None:
        text += f" ({row['ratio']:.3g})"
    return f"**{text}**" if wins(row) else text


def remarks(rows):
    """Return what there is to know about contenders, and who is missing."""
    said = [f"- {row['contender']}: {row['note']}" for row in rows if row["note"] and not row["missing"]]
    said += [f"- {row['contender']}, not here: {row['missing']}" for row in rows if row["missing"]]
    return "\n".join(dict.fromkeys(said))


def markdown(headings, rows):
    """Return a table in Markdown."""
    lines = [headings, ("---",) * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def put(text, inside):
    """Return a text with the section in its place."""
    changed, number = MARKED.subn(lambda found: found[1] + inside + found[2], text)
    if number != 1:
        sys.exit("README.md has no place for the benchmarks")
    return changed


def main(path=REPORT):
    """Make everything."""
    from pong.bench.plot import draw

    report = json.loads(Path(path).read_text(encoding="utf-8"))
    if report["plan"]["quick"] or not report["plan"]["timed"] or report["interrupted"] is not None:
        sys.exit(f"{path} is not of a full run")
    if Path(path).resolve() != REPORT:
        shutil.copyfile(path, REPORT)
    draw(report, PICTURES, formats=("png",))
    readme = ROOT / "README.md"
    readme.write_text(put(readme.read_text(encoding="utf-8"), section(report)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
