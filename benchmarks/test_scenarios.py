"""The scenarios of `pong bench`, in their short form: only with ``--benchmark-only``, as they take minutes."""

import os

import pytest

from pong.bench.contest import Missing
from pong.bench.handover import CONTENDERS
from pong.bench.handover_race import Racer
from pong.bench.scenarios import SCENARIOS


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_scenario(outcome_of, scenario):
    outcome = outcome_of(scenario)
    assert not outcome.failed
    assert outcome.results or outcome.missing


@pytest.mark.benchmark(group="Python hand-over of 1024 float32, same thread: a round of 1000 blocks")
@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda contender: contender.name)
def test_hand_over(benchmark, contender):
    try:
        racer = Racer(contender)()
    except Missing as error:
        (pytest.fail if os.environ.get("PONG_CI") else pytest.skip)(str(error))
    try:
        racer.check()
        benchmark(racer.round)
    finally:
        racer.close()
