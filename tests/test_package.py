"""The distribution: a wheel that works away from the source tree, and an sdist that builds the same wheel."""

import re
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import pong

ROOT = Path(__file__).resolve().parent.parent


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build an sdist, and the wheel from the sdist alone; return both."""
    folder = tmp_path_factory.mktemp("dist")
    backend = (
        "import os, sys, setuptools.build_meta as b; os.chdir(sys.argv[1]);"
        "print(getattr(b, sys.argv[2])(sys.argv[3]))"
    )
    sdist = run(sys.executable, "-c", backend, ROOT, "build_sdist", folder).splitlines()[-1]
    with tarfile.open(folder / sdist) as archive:
        archive.extractall(folder, filter="data")
    source = folder / sdist.removesuffix(".tar.gz")
    # From the sdist, so that a file that it lacks is missed here.
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", folder, source)
    (wheel,) = folder.glob("*.whl")
    return folder / sdist, wheel


def test_the_wheel_works_alone(built, tmp_path):
    with zipfile.ZipFile(built[1]) as wheel:
        wheel.extractall(tmp_path / "site")
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import pong; assert pong.__file__.startswith(sys.argv[1]);"
        "p = pong.BufferPool(2); s, r = p.link(); s.send(p.acquire()); print(r.recv().frames)"
    )
    assert run(sys.executable, "-c", program, tmp_path / "site", cwd=tmp_path) == "1024\n"


def test_what_the_wheel_holds(built):
    with zipfile.ZipFile(built[1]) as wheel:
        names = set(wheel.namelist())
        needs = [
            line for line in wheel.read(next(n for n in names if n.endswith("METADATA"))).decode().splitlines()
            if line.startswith("Requires-Dist") and "extra ==" not in line
        ]
    assert needs == ["Requires-Dist: numpy>=2.0"], "the core needs only numpy"
    in_source = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pong").rglob("*") if path.is_file()}
    for ending in (".py", ".pyi", ".pxd", ".h", ".wav", "py.typed"):
        wanted = {name for name in in_source if name.endswith(ending)}
        assert wanted, ending
        assert wanted <= names
    # The scenarios of `pong bench`, with the sources that they compile or hand to other interpreters.
    bench = {path.relative_to(ROOT / "benchmarks").as_posix() for path in files_below(ROOT / "benchmarks" / "bench")}
    assert {name for name in names if name.startswith("pong/bench/")} == {f"pong/{name}" for name in bench}
    rest = names - {f"pong/{name}" for name in bench}
    extra = {name for name in rest if not re.search(r"\.(py|pyi|pxd|h|wav|so|pyd|typed)$|\.dist-info/", name)}
    assert not extra


def files_below(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]


def test_the_version_is_said_once():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{pong.__version__}"' in text
    assert version("pong") == pong.__version__


def test_public_names_are_documented():
    """Public docstrings say which thread may call, whether it blocks, and whether it allocates."""
    for name in pong.__all__:
        thing = getattr(pong, name)
        assert thing.__doc__, name
        if isinstance(thing, type) and issubclass(thing, Exception):
            continue
        methods = [
            value for key, value in vars(thing).items() if not key.startswith("_") and callable(value)
        ]
        for method in methods:
            text = " ".join((method.__doc__ or "").split())
            assert re.search(r"Thread: .+Blocks: .+Allocates: ", text), f"{name}.{method.__name__}"


def test_what_is_public_is_listed():
    """For completion at the prompt: also what is imported only once it is asked for."""
    assert {*pong.__all__, "__version__"} == {*dir(pong)}
    assert all(getattr(pong, name) is not None for name in dir(pong))
