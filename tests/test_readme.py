"""Every code block of the README does what it says."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)


def blocks(language):
    found = [text for name, text in BLOCKS if name == language]
    assert found, f"the README has no block of {language}"
    return found


def test_every_block_is_run_by_a_test():
    """A block in a language that no test here runs is a promise that nobody would notice breaking."""
    assert {name for name, _ in BLOCKS} == {"python", "sh", ""}
    assert len(blocks("")) == 1, "the only block that is not run is the picture"


def test_python_blocks():
    """They are one session, in the order of the README."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("".join(blocks("python")), "README.md", "exec"), {})
    assert printed.getvalue().splitlines() == [
        "1.0 7",
        "views of the buffer's samples still live: 1; drop them, or keep data with buf.copy()",
        "1",
    ]


def test_the_first_example_is_short():
    assert len(blocks("python")[0].strip().splitlines()) <= 12


def test_commands(tmp_path):
    """Both commands install the package (as CI did before this test) and then run what is after the `&&`."""
    install_and_record, install_and_test = (block.strip() for block in blocks("sh"))
    assert install_and_record.startswith('pip install ".[cli]" && pong record ')
    assert install_and_test == 'pip install ".[test]" && pytest'
    command = install_and_record.partition(" && ")[2]
    shutil.copytree(ROOT / "pong" / "examples", tmp_path / "pong" / "examples")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(command, shell=True, check=True, cwd=tmp_path, env={**os.environ, "PATH": path})
    voice = tmp_path / "pong" / "examples" / "voice.wav"
    assert (tmp_path / "out.wav").read_bytes() == voice.read_bytes()
    assert soundfile.info(tmp_path / "out.wav").frames > 0


@pytest.mark.parametrize("name", ["CONTRIBUTING.md"])
def test_links_lead_somewhere(name):
    assert f"]({name})" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert (ROOT / name).is_file()
