"""The README's section on benchmarks is what benchmarks/tables.py makes of the report beside its pictures."""

import json

import pytest
import tables

from pong.bench.contest import Result
from pong.bench.groups import groups_of
from pong.bench.rows import rows_of

MACHINE = dict.fromkeys(
    ["cpu", "cores", "governor", "load", "system", "python", "numpy", "cython", "compiler", "pong", "date"], "x"
)


def case(name, unit="ns", **values):
    """Return the results of a case."""
    return [Result("fake", name, each.replace("_", " "), unit, values=found) for each, found in values.items()]


def rows(*cases):
    return rows_of("fake", [result for results in cases for result in results])


def report_with(found, **changes):
    scenario = {"name": "fake", "title": "A fake", "failed": "", "missing": "", "seconds": 1}
    report = {"plan": {"timed": True, "quick": False, "seconds": 5}, "scenarios": [scenario], "rows": found}
    return report | {"goals": [], "machine": MACHINE, "versions": {}} | changes


def test_a_series_is_one_table():
    found = rows(*(case(f"pool of {size} slots", pong=[size], rival=[3 * size]) for size in (2, 16, 1024)))
    (group,) = groups_of(found)
    assert (group.kind, group.title, list(group.cases)) == ("series", "pool of … slots", ["2", "16", "1024"])
    assert tables.table(group).splitlines() == [
        "| pool of … slots | 2 | 16 | 1024 |",
        "| --- | --- | --- | --- |",
        "| pong | 2 ns ± 0 % (1) | 16 ns ± 0 % (1) | 1.024 us ± 0 % (1) |",
        "| rival | 6 ns ± 0 % (3) | 48 ns ± 0 % (3) | 3.072 us ± 0 % (3) |",
    ]


def test_what_all_have_stays_in_the_title():
    (group,) = groups_of(rows(*(case(f"at {rate} kHz, p99", pong=[rate]) for rate in (8, 192))))
    assert (group.title, list(group.cases)) == ("at … kHz, p99", ["8", "192"])


def test_what_belongs_together():
    found = rows(
        case("one core, no fill", pong=[1], rival=[2], other=[3]),
        case("two cores, no fill", pong=[1], rival=[2], other=[3], limit=[1]),
        case("idle: share", "%", pong=[100], rival=[90]),
        case("idle: lost", "frames", pong=[0], rival=[90]),
        case("sorting: share", "%", pong=[100], rival=[90]),
        case("4 KiB at a time", pong=[1]),
        case("64 KiB at a time", pong=[1]),
    )
    groups = groups_of(found)
    assert [(group.kind, group.title, list(group.cases)) for group in groups] == [
        ("peers", "", ["one core, no fill", "two cores, no fill"]),
        ("facets", "idle", ["share", "lost"]),
        ("peers", "", ["sorting: share"]),
        ("series", "… at a time", ["4 KiB", "64 KiB"]),
    ]


@pytest.mark.parametrize(("better", "bold"), [("less", "fast"), ("more", "slow")])
def test_a_rival_that_is_ahead_is_marked(better, bold):
    results = [
        Result("fake", "a case", name, "ns", better, values=values, note=note)
        for name, values, note in [
            ("pong", [100.0, 100.0, 100.0], ""), ("pong, polling", [50.0, 50.0, 50.0], "polls"),
            ("fast", [80.0, 90.0, 100.0], ""), ("slow", [200.0, 200.0, 200.0], ""),
        ]
    ]
    results.append(Result("fake", "a case", "absent", "ns", missing="not packaged"))
    text = tables.section(report_with(rows(results)))
    assert {line.split("|")[1].strip() for line in text.splitlines() if "**" in line} == {bold}
    assert "90 ns ± 11 % (0.9)" in text
    assert "- pong, polling: polls\n- absent, not here: not packaged" in text
    assert "![A fake](benchmarks/pictures/bench-fake.png)" in text


def test_goals_that_do_not_hold_are_marked():
    goal = {"name": "ahead (rival)", "ratio": 1.2, "quartiles": [1.1, 1.3], "bound": ">= 2", "holds": False}
    text = tables.section(report_with([], goals=[goal]))
    assert "| **no** | ahead (rival) | 1.2 | 1.1 to 1.3 | >= 2 |" in text


def test_the_readme_shows_the_report():
    """Until the first report there is only the place for it."""
    readme = (tables.ROOT / "README.md").read_text(encoding="utf-8")
    report = json.loads(tables.REPORT.read_text(encoding="utf-8")) if tables.REPORT.exists() else None
    inside = "" if report is None else tables.section(report)
    assert tables.put(readme, inside) == readme
    for scenario in report["scenarios"] if report else ():
        assert (tables.PICTURES / f"bench-{scenario['name']}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("plan", [{"timed": True, "quick": True}, {"timed": False, "quick": False}])
def test_only_a_full_run_is_shown(tmp_path, plan):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(report_with([], plan=plan, interrupted=None)), encoding="utf-8")
    with pytest.raises(SystemExit, match="not of a full run"):
        tables.main(path)
