"""Installing contenders, with commands that install nothing: one that fails keeps no other away, and is told of."""

import sys

import pytest

from pong.bench import install

FAILING = "import sys; print('wanted:', *sys.argv[1:]); print('no such package'); sys.exit('absent' in sys.argv)"


@pytest.fixture
def steps(monkeypatch):
    """Let each kind of package be "installed" by a program that fails at one called absent; give what was asked for."""
    asked = {}

    def step(kind):
        def run(names):
            asked[kind] = names
            return install.one_by_one([sys.executable, "-c", FAILING], names)

        return run

    for kind, name in (("apt", "from_debian"), ("pip", "from_pypi"), ("npm", "from_npm")):
        monkeypatch.setattr(install, name, step(kind))
    return asked


def test_what_fails_is_told_of(steps):
    told = []
    assert install.install({"pip": ["one", "absent", "other"]}, told.append) == ["absent: no such package"]
    assert steps["pip"] == [*install.TOOLS["pip"], "one", "absent", "other"]
    assert steps["apt"] == install.TOOLS["apt"]
    assert "npm" not in steps
    assert [line.split(":")[0] for line in told] == ["installing by apt", "installing by pip"]


def test_needs_are_merged():
    needs = [{"pip": ["one"], "npm": []}, {"pip": ["other", "one"], "apt": ["third"]}]
    assert install.merge(needs) == {"pip": ["one", "other"], "npm": [], "apt": ["third"]}


def test_what_has_no_client_here_is_told_of(monkeypatch):
    monkeypatch.setattr(install.shutil, "which", lambda name: None)
    assert install.from_npm(["one"]) == ["no npm here: one"]
    (line,) = install.from_debian(["one", "other"])
    assert line.endswith("one other")


def test_who_is_not_root_is_told_the_command(monkeypatch):
    monkeypatch.setattr(install.shutil, "which", lambda name: name)
    monkeypatch.setattr(install.os, "geteuid", lambda: 1)
    assert install.from_debian(["one"]) == ["not root: apt-get install one"]
