"""Every code block of the README does what it says."""

import contextlib
import ctypes
import importlib
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import numpy as np
import pytest
import soundfile
import table
from needs import needs
from programs import Thread

import pong

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.M | re.S)


def blocks(language):
    found = [text for name, text in BLOCKS if name == language]
    assert found, f"the README has no block of {language}"
    return found


def test_every_block_is_run_by_a_test():
    """A block in a language that no test here runs is a promise that nobody would notice breaking."""
    assert {name for name, _ in BLOCKS} == {"py", "python", "sh", "console", "text", "c", "cython", ""}
    assert len(blocks("")) == 1, "the only block that is not run is the picture"


def test_python_blocks():
    """They are one session, in the order of the README."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("".join(blocks("python")), "README.md", "exec"), {})
    assert printed.getvalue().splitlines() == [
        "1.0 7",
        "48000 float32 48000",
        "True 0 0",
        "views of the buffer's samples still live: 1; drop them, or keep data with buf.copy()",
        "1",
    ]


def test_numba_block():
    """The first block of its kind is run by tests/servers: it needs a sound card."""
    needs("numba")
    _, block = blocks("py")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block, "README.md", "exec"), {"np": np, "pong": pong})
    assert printed.getvalue() == "2.0\n"


def test_c_block(tmp_path):
    """It compiles without Python, and its callback sends a block."""
    (text,) = blocks("c")
    library = tmp_path / "callback.so"
    command = ["gcc", "-x", "c", "-std=c99", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([*command, f"-I{pong.get_include()}", "-", "-o", library], input=text, check=True, text=True)
    callback = ctypes.CDLL(library).callback
    callback.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_float]
    sender, receiver = pong.BufferPool(2, 8, 2).link()
    end = table.api.open_sender(sender, 1)
    assert [callback(ctypes.addressof(table.api), end, 0.5) for _ in range(3)] == [1, 1, 0]
    with receiver.recv_nowait() as block:
        assert (block.samples.tolist(), block.tag) == ([[0.5, 0.5]] * 8, 7)
    table.api.close(end)


def test_cython_block(tmp_path, monkeypatch):
    (text,) = blocks("cython")
    (tmp_path / "readme_effect.pyx").write_text(text, encoding="utf-8")
    include = [f"-I{folder}" for folder in (pong.get_include(), sysconfig.get_paths()["include"])]
    for command in (
        [sys.executable, "-m", "cython", "-3", "readme_effect.pyx"],
        ["gcc", "-shared", "-fPIC", *include, "readme_effect.c", "-o", "readme_effect" + EXTENSION_SUFFIXES[0]],
    ):
        subprocess.run(command, cwd=tmp_path, check=True)
    monkeypatch.syspath_prepend(tmp_path)
    negate = importlib.import_module("readme_effect").negate
    pool = pong.BufferPool(2, 8)
    (there, here), (onward, end) = pool.link(), pool.link()
    # It waits for what is yet to be sent.
    effect = Thread(negate, here, onward)
    with pool.acquire() as buf:
        buf.samples[:] = 5
        there.send(buf, tag=3)
    with end.recv() as block:
        assert block.tag == 3
        assert (block.samples == -5).all()
    there.close()
    effect.join()
    assert list(end) == []
    for other in (pong.BufferPool(2, 8, dtype="int16"), pong.BufferPool(2, 8, 2, order="F")):
        with pytest.raises(TypeError, match="interleaved float32"):
            negate(other.link()[1], onward)


def test_the_first_example_is_short():
    assert len(blocks("py")[0].strip().splitlines()) <= 12
    assert len(blocks("python")[0].strip().splitlines()) <= 12


def test_commands(tmp_path):
    """Both commands install the package (as CI did before this test) and then run what is after the `&&`."""
    install_and_show, install_and_test = (block.strip() for block in blocks("sh"))
    assert install_and_show == 'pip install ".[cli]" && pong demo'
    assert install_and_test == 'pip install ".[test]" && pytest'
    shown = run("pong demo --seconds 1", tmp_path)
    assert "bit-exact" in shown


def run(command, folder):
    """Run a command of the README in a folder; return what it printed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(
        command, shell=True, check=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=100
    )
    return done.stdout


def test_console_blocks(tmp_path):
    """What is typed after the $ works, and prints what stands below it."""
    shutil.copytree(ROOT / "pong" / "examples", tmp_path / "pong" / "examples")
    for block in blocks("console"):
        for part in block.split("$ ")[1:]:
            command, _, printed = part.partition("\n")
            assert run(command, tmp_path).startswith(printed), command
    voice = tmp_path / "pong" / "examples" / "voice.wav"
    assert (tmp_path / "out.wav").read_bytes() == voice.read_bytes()
    np.testing.assert_array_equal(soundfile.read(tmp_path / "copy.flac")[0], soundfile.read(voice)[0])


def test_the_demo_shown_is_one_that_was_run():
    """Table and pictures come from benchmarks/pictures.py: pong exact, and the customary way with losses."""
    (shown,) = blocks("text")
    rows = {line[:28].strip(): line[28:].split() for line in shown.splitlines()}
    assert rows["frames lost"][0] == "0"
    assert int(rows["frames lost"][1]) > 0
    assert rows["recording"] == ["bit-exact", "NOT", "EXACT"]
    for name in re.findall(r"!\[[^]]*\]\(([^)]*)\)", README):
        assert (ROOT / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["CONTRIBUTING.md"])
def test_links_lead_somewhere(name):
    assert f"]({name})" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert (ROOT / name).is_file()
