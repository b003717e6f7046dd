"""The contenders of the hand-over between two places in Python, each checked; and the checks themselves."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from pong.bench import handover, handover_race
from pong.bench.contest import Missing, Plan, contest
from pong.bench.handover_queues import CopySimpleQueue, Pong, RecycledDeque
from pong.bench.handover_race import Racer, TwoThreads

# What `pip install ".[test]"` does not bring: wheels that CI installs, and what has to be compiled.
WHEELS, COMPILED = {"janus + copy", "pa_ringbuffer"}, {"ringbuf"}
MAY_LACK = COMPILED if os.environ.get("PONG_CI") else COMPILED | WHEELS


@pytest.fixture
def impatient(monkeypatch):
    """Let a wait for a block that never comes be short."""
    monkeypatch.setattr(handover_race, "PATIENCE", 0.5)


def test_all_contenders():
    results, goals = handover.run(Plan(timed=False))
    names = {each.contender for each in results}
    assert names >= {contender.name for contender in handover.CONTENDERS}
    assert {each.contender for each in results if each.missing} <= MAY_LACK
    assert all(each.values[0] > 0 for each in results if not each.missing)
    assert len(goals) == 7
    assert None not in goals


class Losing(CopySimpleQueue):
    """Loses the third block."""

    name = "losing"

    def same(self, blocks, see):
        super().same([block for place, block in enumerate(blocks) if place != 2], see)

    def produce(self, blocks):
        super().produce([block for place, block in enumerate(blocks) if place != 2])


class Reordering(CopySimpleQueue):
    """Brings the blocks in another order."""

    name = "reordering"

    def same(self, blocks, see):
        super().same(reversed(blocks), see)

    def produce(self, blocks):
        super().produce(reversed(blocks))


class Torn(CopySimpleQueue):
    """Brings the first half of each block."""

    name = "torn"

    def same(self, blocks, see):
        super().same([block[:512] for block in blocks], see)

    def produce(self, blocks):
        super().produce([block[:512] for block in blocks])


class Boasting(RecycledDeque):
    """Says that what is kept of a block is safe."""

    name = "boasting"
    protects = True


class Modest(Pong):
    """Says that what is kept of a block is not safe."""

    name = "modest"
    protects = False


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("options", [{}, {"race": TwoThreads}, {"race": TwoThreads, "in_flight": 1}])
@pytest.mark.parametrize(
    ("faulty", "told"),
    [
        (Losing, "blocks"), (Reordering, "arrived as another one"), (Torn, "arrived as another one"),
        (Boasting, "what is kept"), (Modest, "what is kept"),
    ],
)  # fmt: skip
def test_the_check_sees(faulty, told, options):
    with pytest.raises(AssertionError, match=told):
        contest("handover", "faulty", [Racer(faulty, **options)], Plan(timed=False), unit="ns")


class Breaking(CopySimpleQueue):
    """Its receiver fails."""

    name = "breaking"

    def consume(self, number, see):
        raise OSError("the receiver has failed")


def test_a_thread_that_fails_is_not_waited_for():
    """Though the producer waits for tokens, which nobody gives back."""
    with pytest.raises(OSError, match="has failed"):
        contest("handover", "faulty", [Racer(Breaking, TwoThreads, in_flight=1)], Plan(timed=False), unit="ns")


def test_a_contender_that_is_missing_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "janus", None)
    janus = next(each for each in handover.CONTENDERS if "janus" in each.name)
    (result,) = contest("handover", "missing", [Racer(janus)], Plan(timed=False), unit="ns")
    assert "pip install janus" in result.missing
    with pytest.raises(Missing):
        contest("handover", "missing", [Racer(janus)], Plan(timed=False, required=True), unit="ns")
