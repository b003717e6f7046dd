"""What the contenders of the hand-over take beside time; and that what counts it counts."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from test_handover_contest import MAY_LACK

from pong.bench import footprint, handover
from pong.bench.contest import Plan


def test_all_contenders():
    results, goals = footprint.run(Plan(timed=False))
    assert {each.contender for each in results} >= {each.name for each in handover.CONTENDERS}
    assert {each.contender for each in results if each.missing} <= MAY_LACK
    found = {(each.case, each.contender): each.values[0] for each in results if each.values}
    calls, objects, allocated, resident = footprint.CASES
    # A copy asks for its samples, whatever makes small objects.
    assert found[calls, "SimpleQueue + copy"] == 1
    assert found[objects, "SimpleQueue + copy"] >= 2
    assert found[allocated, "SimpleQueue + copy"] >= 4096
    assert found[calls, "pong"] == found[objects, "pong"] == found[allocated, "pong"] == 0
    assert 0 < found[resident, "pong"] < 64 * 1024
    # An array's struct is there beside its samples.
    assert found[resident, "SimpleQueue + copy"] > 16 * 64
    assert len(goals) == 3


def test_without_a_compiler_nothing_is_counted(monkeypatch):
    monkeypatch.setattr(footprint.shutil, "which", lambda name: None)
    monkeypatch.delenv("CC", raising=False)
    results = footprint.counts(Plan(timed=False))
    assert len(results) == len(footprint.CASES) * len(handover.CONTENDERS)
    assert all("compiler" in each.missing for each in results)


def test_a_process_that_fails_says_why(tmp_path):
    with pytest.raises(RuntimeError, match="nothing_like_this"):
        footprint.run_quietly([sys.executable, "-c", "import nothing_like_this"], tmp_path, None)
