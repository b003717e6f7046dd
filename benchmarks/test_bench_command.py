"""The command `pong bench`, with scenarios made for these tests: what breaks leaves the others their rows."""

import json
import os
import signal
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from pong.__main__ import main
from pong.bench import command, runner
from pong.bench.scenarios import SCENARIOS, Scenario

COMMON = '''
import os, signal, threading
from pong.bench.contest import Contender, Missing, contest, goal

TITLE = "a scenario of the tests"
NEEDS = {}


class Pong(Contender):
    name = "pong"
    figure = 2.0

    def check(self):
        pass

    def round(self):
        return self.figure


class Rival(Pong):
    name = "rival"
    note = "protects nothing"
    figure = 3.0


class Absent(Pong):
    name = "absent"

    def __init__(self):
        raise Missing("no such package")


class Wrong(Pong):
    name = "wrong"

    def check(self):
        raise AssertionError("a block is missing")


def first_case(plan, *others):
    return contest("fake", "first", [Pong, Rival, *others], plan, unit="ns", rounds=5)


def wait_for_ever():
    threading.Event().wait()
'''

FAKES = {
    "sound": """
        def run(plan):
            results = first_case(plan, Absent)
            return results, [goal("rival beaten", results, ">= 1.2", inverse=True)]
    """,
    "beaten": """
        def run(plan):
            results = first_case(plan)
            return results, [goal("twice as fast", results, ">= 2", inverse=True), None]
    """,
    "wrong": """
        def run(plan):
            first_case(plan)
            return contest("fake", "second", [Pong, Wrong], plan, unit="ns"), []
    """,
    "crashing": """
        def run(plan):
            first_case(plan)
            os.kill(os.getpid(), signal.SIGSEGV)
    """,
    "leaving": """
        def run(plan):
            first_case(plan)
            os._exit(0)
    """,
    "hanging": """
        def run(plan):
            print("this is no result", flush=True)
            first_case(plan)
            wait_for_ever()
    """,
    "deaf": """
        def run(plan):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            first_case(plan)
            wait_for_ever()
    """,
    "interrupting": """
        def run(plan):
            first_case(plan)
            os.kill(os.getppid(), getattr(signal, os.environ["TEST_SIGNAL"]))
            wait_for_ever()
    """,
    "absent": """
        def run(plan):
            raise Missing("no second core")
    """,
}


@pytest.fixture
def bench(tmp_path, monkeypatch, capfd):
    """Give a function that runs the command over fakes; it returns exit code, printed text and report."""
    monkeypatch.syspath_prepend(tmp_path)
    for name in list(SCENARIOS):
        monkeypatch.delitem(SCENARIOS, name)

    def run(*names, options=()):
        for name in names:
            path = f"fake_{name}"
            (tmp_path / f"{path}.py").write_text(COMMON + dedent(FAKES[name]), encoding="utf-8")
            monkeypatch.setitem(SCENARIOS, name, Scenario(name, path, 1))
        report = tmp_path / "report.json"
        code = main(["bench", "--json", str(report), *options])
        shown = capfd.readouterr()
        assert "Traceback" not in shown.out + shown.err
        return code, shown.out, json.loads(report.read_text(encoding="utf-8"))

    yield run
    for name in FAKES:
        sys.modules.pop(f"fake_{name}", None)


def measured(report):
    """Return the scenario and the contender of each row that holds figures."""
    return [(row["scenario"], row["contender"]) for row in report["rows"] if "median" in row]


def both(*scenarios):
    return [(scenario, contender) for scenario in scenarios for contender in ("pong", "rival")]


def failures(report):
    return {each["name"]: each["failed"] for each in report["scenarios"] if each["failed"]}


def test_a_run_is_told_of_in_a_table_and_in_json(bench):
    code, shown, report = bench("sound")
    assert code == 0
    ours, rival, absent = report["rows"]
    assert (ours["median"], ours["ratio"], ours["rounds"]) == (2, 1, 5)
    assert (rival["median"], rival["low"], rival["high"], rival["ratio"]) == (3, 3, 3, 1.5)
    assert absent["missing"] == "no such package"
    (held,) = report["goals"]
    assert (held["name"], held["ratio"], held["holds"]) == ("rival beaten (rival)", 1.5, True)
    assert report["machine"]["pong"]
    lines = [line.split() for line in shown.splitlines()]
    assert ["rival", "3", "ns", "3", "ns", "..", "3", "ns", "1.5"] in lines
    assert ["holds", "rival", "beaten", "(rival)", "1.5", "(1.5", "..", "1.5)", ">=", "1.2"] in lines
    assert ["absent:", "no", "such", "package"] in lines
    assert ["rival:", "protects", "nothing"] in lines
    assert report["machine"]["cpu"] in shown


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--bounds"], 1)])
def test_a_goal_that_is_missed_is_marked(bench, options, code):
    found, shown, report = bench("beaten", options=options)
    assert found == code
    assert [goal["holds"] for goal in report["goals"]] == [False]
    assert "NO  twice as fast (rival)" in shown


def test_a_contender_that_is_wrong_fails_the_run(bench):
    code, shown, report = bench("sound", "wrong", options=["--check"])
    assert code == 1
    assert failures(report) == {"wrong": "AssertionError: a block is missing"}
    assert measured(report) == both("sound", "wrong")
    assert "wrong: AssertionError: a block is missing" in shown


def test_check_tells_who_is_right_and_no_figures(bench):
    code, shown, report = bench("sound", "beaten", options=["--check", "--bounds"])
    assert code == 0
    assert report["goals"] == []
    assert "  pong: right" in shown
    assert " ns" not in shown


@pytest.mark.parametrize(
    ("name", "words"), [("crashing", f"exit code -{signal.SIGSEGV.value}"), ("leaving", "exit code 0")]
)
def test_a_scenario_that_crashes_leaves_all_rows(bench, name, words):
    code, shown, report = bench("sound", name, "beaten")
    assert code == 1
    assert list(failures(report)) == [name]
    assert words in failures(report)[name]
    assert words in shown
    assert measured(report) == both("sound", name, "beaten")


@pytest.mark.parametrize("name", ["hanging", "deaf"])
def test_a_scenario_that_hangs_is_ended_and_leaves_all_rows(bench, monkeypatch, name):
    monkeypatch.setattr(command, "QUICK", (9, 1.0))
    monkeypatch.setattr(runner, "GRACE", 0.5)
    code, shown, report = bench(name, "sound")
    assert code == 1
    assert "took longer than" in failures(report)[name]
    assert measured(report) == both(name, "sound")
    assert "this is no result" not in shown


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_an_interrupted_run_keeps_its_rows(bench, monkeypatch, name, code):
    monkeypatch.setenv("TEST_SIGNAL", name)
    before = signal.getsignal(getattr(signal, name))
    found, _, report = bench("sound", "interrupting", "beaten")
    assert found == code
    assert [each["name"] for each in report["scenarios"]] == ["sound", "interrupting"]
    assert failures(report) == {}
    assert measured(report) == both("sound", "interrupting")
    assert signal.getsignal(getattr(signal, name)) == before


def test_what_cannot_run_here_is_listed(bench):
    code, shown, report = bench("absent", "sound")
    assert code == 0
    assert report["scenarios"][0]["missing"] == "no second core"
    assert "absent: no second core" in shown
    code, _, _ = bench("absent", options=["--scenario", "absent"])
    assert code == 1, "nothing was shown by such a run"


def test_pictures(bench, tmp_path):
    code, _, _ = bench("sound", options=["--plot", str(tmp_path / "pictures")])
    assert code == 0
    assert (tmp_path / "pictures" / "bench-sound.png").read_bytes().startswith(b"\x89PNG")
    assert "</svg>" in (tmp_path / "pictures" / "bench-sound.svg").read_text(encoding="utf-8")


def test_what_cannot_be_written_is_told_before_the_run(bench, tmp_path, capfd):
    assert main(["bench", "--json", str(tmp_path / "absent" / "report.json")]) == 1
    shown = capfd.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    (tmp_path / "file").touch()
    assert main(["bench", "--plot", str(tmp_path / "file")]) == 1


@pytest.mark.parametrize("options", [["--scenario", "unheard"], ["--rounds", "3"]])
def test_wrong_usage(bench, options, capfd):
    with pytest.raises(SystemExit) as ending:
        main(["bench", *options])
    assert ending.value.code == 2


def test_nothing_in_the_current_folder_is_imported(bench, tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("pong", "json", "numpy"):
        (folder / f"{name}.py").write_text("raise RuntimeError('the wrong one')\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    code, _, report = bench("sound")
    assert (code, failures(report)) == (0, {})
    assert Path(os.getcwd()) == folder
