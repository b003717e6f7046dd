"""The seed's design: whoever is installed passes the check, and who loses, reorders or keeps a block does not."""

import os
import shutil

import pytest

from pong.bench import seed, seed_js, seed_pong
from pong.bench.contest import Plan

IN_NODE = {
    "lost": ("pool.mjs", "    sent++;", "    sent += sent === 5000 ? 2 : 1;"),
    "reordered": ("pool.mjs", "samples.set(due(sent))", "samples.set(due(sent ^ 1))"),
    "not whole": ("pool.mjs", "samples.set(due(sent))", "samples.set(due(sent).subarray(0, SIZE - 1))"),
    "kept by the pool's side": ("pool.mjs", "post(buffer, [buffer])", "post(buffer)"),
    "kept by the main thread": ("main.mjs", "this.post(buffer, [buffer])", "this.post(buffer)"),
}


def test_all_contenders():
    told = []
    results, goals = seed.run(Plan(timed=False, told=told.extend))
    # A run that is ended early has all figures of the rounds so far.
    assert {each.case for each in told} == {each.case for each in results}
    there = {each.contender for each in results if not each.missing}
    needed = {seed.POLLING, seed.WAITING, seed.MIXED, seed.PYTHON, seed.CALLBACKS}
    if shutil.which("node") or os.environ.get("PONG_CI"):
        needed.add(seed.NODE)
    if shutil.which("chromium"):
        needed |= {seed.WORKER, seed.WORKLET}
    assert there >= needed
    assert len(goals) == (5 if seed.NODE in there else 0)
    assert all(value >= 0 for each in results for value in each.values)


def check(peer, kind="trips"):
    """Have a peer checked as `contest` does."""
    entrant = seed.Entrant("faulty", peer, kind, 1000)
    try:
        entrant.maker("rate", 8)().check()
    finally:
        peer.close()


@pytest.mark.parametrize("fault", IN_NODE)
def test_a_fault_in_javascript_is_caught(fault, tmp_path, monkeypatch):
    monkeypatch.setattr(seed_js, "PATIENCE", 3)
    if not shutil.which("node"):
        (pytest.fail if os.environ.get("PONG_CI") else pytest.skip)("Node.js is not installed")
    source = shutil.copytree(seed_js.SOURCE, tmp_path / "source")
    name, right, wrong = IN_NODE[fault]
    text = (source / name).read_text()
    assert right in text
    (source / name).write_text(text.replace(right, wrong))
    with pytest.raises(AssertionError, match=r"not the block|still in|no report"):
        check(seed_js.Node(source))


def test_a_child_that_ends_is_told_at_once(tmp_path):
    if not shutil.which("node"):
        (pytest.fail if os.environ.get("PONG_CI") else pytest.skip)("Node.js is not installed")
    (tmp_path / "node.mjs").write_text("process.exit(1);")
    with pytest.raises(AssertionError, match="has ended"):
        check(seed_js.Node(tmp_path))


class Faulty(seed_pong.PythonSide):
    """Sends the second block before the first, or half of each, or nothing at all of one."""

    def __init__(self, fault):
        self.fault = fault

    def serve(self, pool, there, home, order):
        for number in range(order["trips"]):
            buf = pool.acquire()
            seq = {"reordered": number ^ 1, "lost": number + (number > 5)}.get(self.fault, number)
            buf.write(seed_pong.RAMP[seq : seq + (512 if self.fault == "not whole" else 1024)])
            there.send(buf)
            home.recv(seed_pong.PATIENCE).release()
        return int(self.fault == "kept")


@pytest.mark.parametrize("fault", ["lost", "reordered", "not whole", "kept"])
def test_a_fault_in_python_is_caught(fault):
    with pytest.raises(AssertionError, match=r"not the block|still in"):
        check(seed_pong.Trips(Faulty(fault), seed_pong.PythonSide()))
    with pytest.raises(AssertionError, match=r"not the block|still in"):
        check(seed_pong.Trips(Faulty(fault), seed_pong.NativeSide(False)))
