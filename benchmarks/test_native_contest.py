"""The native hand-over: all contenders pass the check, and the check finds what is wrong with one that is faulty."""

import os
from functools import partial
from pathlib import Path

import pytest

from pong.bench import native, native_contenders
from pong.bench.contest import Plan
from pong.bench.native_build import ONE_CORE, PACED, TWO_CORES, WORDS, own_builds
from pong.bench.native_contenders import LINE, PONGS, RIVALS, Drill, make, paced_round

HERE = Path(__file__).resolve().parent
FAULTS = ["NONE", "LOSES", "REORDERS", "TEARS", "TWICE", "STOPS"]


def test_all_contenders():
    """Whoever is here runs in every case; where CI has installed all, nobody is missing."""
    results, goals = native.run(Plan(timed=False))
    missing = {each.contender: each.missing for each in results if each.missing}
    assert "pong" not in missing
    if os.environ.get("PONG_CI") == "all":
        assert not missing
    assert {each.contender for each in results if each.values} == {*PONGS, *RIVALS} - set(missing)
    assert all(len(each.values) == 1 and each.values[0] >= 0 for each in results if not each.missing)
    assert {each.name.partition(",")[0] for each in goals} >= {"cycle across cores", "audio-thread side"}
    called = {each.case: each.median for each in results if each.contender == "pong" and each.unit == "calls"}
    assert len(called) == 3
    assert not any(called.values())


def test_what_locks_is_seen():
    """The control of the row without locks: each move of a mutex is one."""
    results = native.calls(native.NAME, own_builds(), Plan(timed=False))
    locks = [each for each in results[1] if each.contender == "mutex + condition"]
    assert [each.median for each in locks] == [2 * 63 * 20]


@pytest.fixture
def faulty(monkeypatch):
    """Give a function that makes the contender with a fault."""
    monkeypatch.setattr(
        native_contenders, "RIVALS", RIVALS | dict.fromkeys(FAULTS, (HERE / "native" / "faulty.cpp", "g++", ""))
    )
    monkeypatch.setattr(native_contenders, "flags_of", lambda name, core: [f"-DFAULT={name}"])
    return partial(make, own_builds())


@pytest.mark.parametrize("fault", FAULTS[1:])
def test_the_check_finds_faults(faulty, fault):
    """A block that is lost, late, torn or handed out twice, and a sender that stops; without a fault it passes."""
    for name in ("NONE", fault):
        contender = faulty(name, Drill(TWO_CORES, WORDS, slots=8))()
        if name == "NONE":
            contender.check()
            assert contender.round() > 0
        else:
            with pytest.raises(AssertionError, match=r"lost, torn or out of order|silent"):
                contender.check()
        contender.close()


@pytest.mark.parametrize("way", [ONE_CORE, TWO_CORES])
def test_each_round_is_checked(faulty, way):
    """What is written is read in the timed rounds too."""
    contender = faulty("TEARS", Drill(way, WORDS, slots=8))()
    with pytest.raises(AssertionError, match="1 of 2200 blocks"):
        contender.round()
    contender.close()


def test_paced_figures(faulty):
    """Acquire and send are timed for each block, and the median is kept beside the spread."""
    maker = faulty("NONE", Drill(PACED, slots=8, blocks=50, period=20_000), paced_round)
    contender = maker()
    assert contender.round() >= 1
    assert len(maker.medians) == 1
    contender.close()


def test_the_line_holds_one_block():
    """The bare cache line takes part only where one block goes to and fro."""
    assert LINE in native_contenders.everybody(Drill(TWO_CORES, slots=1))
    assert LINE not in native_contenders.everybody(Drill(TWO_CORES, slots=8))
    assert LINE not in native_contenders.everybody(Drill(ONE_CORE, slots=1))
