"""What ``pong bench`` does."""

import json
import sys
from dataclasses import asdict
from time import monotonic

from .contest import Plan
from .install import install, merge
from .machine import facts, versions
from .rows import rows_of
from .runner import Signals, run_all
from .scenarios import SCENARIOS
from .table import as_text

__all__ = ["bench", "report_of"]

# Seconds for the whole run, with a little left for what comes after it, and for each case.
QUICK = 280, 1.0
FULL = 1740, 5.0
FAILED = 1
SIGNALLED = 128  # plus the signal's number, as shells say it


def bench(names=(), *, full=False, check=False, installing=False, bounds=False, json_path=None, plot_folder=None):
    """Run scenarios and tell of them.

    Parameters
    ----------
    names : list of str, optional
        Which scenarios; all unless given.
    full : bool
        All cases, in at most half an hour, instead of the most important ones in five minutes.
    check : bool
        Only check the contenders, and time nothing.
    installing : bool
        Install the contenders first.
    bounds : bool
        A goal that is missed is a failure.
    json_path, plot_folder : str, optional
        Where to write the report, and the pictures of it.

    Returns
    -------
    int
        The exit code.
    """
    begin = monotonic()
    seconds, each = FULL if full else QUICK
    scenarios = [SCENARIOS[name] for name in dict.fromkeys(names)] or list(SCENARIOS.values())
    if json_path is not None:
        # Before the run, so that what cannot be written is told at once.
        with open(json_path, "ab"):
            pass
    not_installed = []
    if installing:
        not_installed = install(merge([scenario.module.NEEDS for scenario in scenarios]), told=tell)
    if plot_folder is not None:
        from .plot import check_folder

        check_folder(plot_folder)
    machine = facts()
    plan = Plan(timed=not check, quick=not full, seconds=each)
    with Signals().caught() as signals:
        outcomes = run_all(scenarios, plan, seconds - (monotonic() - begin), signals, began)
    report = report_of(outcomes, plan, machine, not_installed=not_installed, interrupted=signals.number)
    print(as_text(report))
    if json_path is not None:
        with open(json_path, "w", encoding="utf-8") as file:
            file.write(as_json(report))
    if plot_folder is not None:
        from .plot import draw

        draw(report, plot_folder)
    return exit_code(report, bounds)


def began(scenario, limit):
    """Say on standard error how far the run has come."""
    tell(f"{scenario.name}: {scenario.module.TITLE} (at most {limit:.0f} s)")


def tell(text):
    """Say on standard error what is being done."""
    print(f"pong: {text}", file=sys.stderr, flush=True)


def report_of(outcomes, plan, machine, *, not_installed=(), interrupted=None):
    """Return the report of the scenarios that were begun, as JSON has it."""
    modules = {outcome.scenario: SCENARIOS[outcome.scenario].module for outcome in outcomes}
    goals = [
        {"scenario": outcome.scenario, **asdict(goal), "holds": goal.holds}
        for outcome in outcomes
        for goal in outcome.goals
    ]
    return {
        "plan": {"timed": plan.timed, "quick": plan.quick, "seconds": plan.seconds},
        "scenarios": [
            {
                "name": outcome.scenario, "title": modules[outcome.scenario].TITLE, "failed": outcome.failed,
                "missing": outcome.missing, "seconds": round(outcome.seconds, 1),
            }
            for outcome in outcomes
        ],
        "rows": [row for outcome in outcomes for row in rows_of(outcome.scenario, outcome.results)],
        # Without timing a ratio means nothing.
        "goals": goals if plan.timed else [],
        "machine": machine,
        "versions": versions(merge([module.NEEDS for module in modules.values()])),
        "not_installed": list(not_installed),
        "interrupted": interrupted,
    }


def as_json(report):
    """Return a report as JSON, with a line for each row, so that two of them can be compared line by line."""
    parts = []
    for name, value in report.items():
        text = json.dumps(value)
        if isinstance(value, list) and value:
            text = "[\n" + ",\n".join(map(json.dumps, value)) + "\n]"
        parts.append(f"{json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def exit_code(report, bounds):
    """Return the command's exit code."""
    if report["interrupted"] is not None:
        return SIGNALLED + report["interrupted"]
    failed = any(each["failed"] for each in report["scenarios"])
    nothing = all(row["missing"] for row in report["rows"])
    missed = bounds and not all(goal["holds"] for goal in report["goals"])
    return FAILED if failed or nothing or missed else 0
