"""ci/check_instructions.py: counts repeat, and a loop that has become slower is seen."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "ci"))

import check_instructions

# Two loops of the interpreter's own; a step more is what somebody has made slower.
PROGRAM = """\
import gc, os, sys

def first(cycles):
    for i in range(cycles):
        i + i + i + i

def second(cycles):
    for i in range(cycles):
        i * i{step}

gc.disable()
for loop in (first, second):
    for times in (1, 1, 2):
        loop(times * int(sys.argv[2]))
        os.getppid()
"""


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Give a function that runs the check over a program of these tests; it returns exit code and printed text."""
    if shutil.which("valgrind") is None:
        (pytest.fail if os.environ.get("PONG_CI") else pytest.skip)("valgrind is not installed")
    monkeypatch.setattr(check_instructions, "LOOPS", {"first": (), "second": ()})
    monkeypatch.setattr(check_instructions, "PROGRAM", tmp_path / "program.py")
    monkeypatch.setattr(check_instructions, "RECORD", tmp_path / "record.json")
    monkeypatch.setattr(check_instructions, "build", lambda folder: None)

    def run(*arguments, step=""):
        (tmp_path / "program.py").write_text(PROGRAM.format(step=step), encoding="utf-8")
        code = check_instructions.main(list(arguments))
        return code, capsys.readouterr().out

    return run


def test_a_slower_loop_fails(check, tmp_path):
    code, first = check("--record")
    assert code == 0
    assert check() == (0, first), "the counts of two runs differ"
    code, shown = check(step=" + i")
    assert code == 1
    assert "second: " in shown
    assert "more than the" in shown
    assert "first: " not in [line for line in shown.splitlines() if "more than" in line]
    record = json.loads((tmp_path / "record.json").read_text())
    record["taken with"]["python"] = "3.9.0"
    (tmp_path / "record.json").write_text(json.dumps(record))
    code, shown = check()
    assert code == 0
    assert "note: python is " in shown
    assert "recorded with 3.9.0" in shown


def test_a_program_that_fails_is_no_count(check):
    with pytest.raises(RuntimeError, match="exit code 1"):
        check(step="; unheard")


RECORDED = {"one": 100.0, "other": 50.0}


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"one": 105.1, "other": 50.0}, "one: 105.1 instructions, 5.1 % more"),
        ({"one": 100.0}, "other was not counted"),
        ({"one": 100.0, "other": 0.0}, "other was not counted"),
        ({"one": 100.0, "other": 50.0, "new": 1.0}, "new is not recorded"),
    ],
)
def test_what_is_a_fault(counts, words):
    (fault,) = check_instructions.judge(counts, RECORDED)
    assert words in fault


def test_what_is_none():
    assert check_instructions.judge({"one": 105.0, "other": 1.0}, RECORDED) == []


FILE = """\
ob=/lib/libc.so.6
fn=__memcpy_avx_unaligned_erms
10 1000
fn=0x0000000000172340
10 1000
fn=memcpy@GLIBC_2.2.5
10 1000
fn=clock_gettime
10 3
ob=/site/_bench.so
fn=driver
1 20
cfn=inner
calls=1 5
2 4000
3 7
"""


@pytest.mark.parametrize(("outside", "total"), [((), 30), (("_bench",), 3)])
def test_what_counts(tmp_path, outside, total):
    """Neither what the functions called have counted themselves, nor what libc chooses by the processor."""
    (tmp_path / "out.1").write_text(FILE)
    assert check_instructions.cost(tmp_path / "out.1", outside) == total


def test_the_record_is_of_all_loops():
    record = json.loads(check_instructions.RECORD.read_text())
    assert record["instructions"].keys() == check_instructions.LOOPS.keys()
    assert record["taken with"].keys() == check_instructions.tools().keys()
