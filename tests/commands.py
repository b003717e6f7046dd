"""The command `pong` as a person at the shell runs it, and what such a person looks at."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from pong.__main__ import main

VOICE = Path(__file__).resolve().parent.parent / "pong" / "examples" / "voice.wav"
PATIENCE = 120


def shell_code(returncode: int) -> int:
    """Return an exit code as a shell has it in ``$?``: 128 and the number of the signal that killed the program."""
    return returncode if returncode >= 0 else 128 - returncode


def command(*arguments) -> list[str]:
    return [sys.executable, "-m", "pong", *map(str, arguments)]


def called(*arguments, cwd) -> subprocess.CompletedProcess:
    """Do what `pong` does, in this process: most of what a program of its own takes is the start of the interpreter."""
    out, err = io.StringIO(), io.StringIO()
    before = os.getcwd()
    os.chdir(cwd)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
    except SystemExit as ending:
        code = ending.code or 0
    finally:
        os.chdir(before)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def pong(*arguments, **options) -> subprocess.CompletedProcess:
    """Run the command to its end; return its exit code and what it printed.

    A program of its own is started where an option asks for something that only such a one can have.
    """
    if options.keys() == {"cwd"}:
        return called(*arguments, **options)
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    done = subprocess.run(command(*arguments), timeout=PATIENCE, check=False, **options)
    done.returncode = shell_code(done.returncode)
    return done


@contextlib.contextmanager
def running(*arguments, **options):
    """Start the command with pipes to its output; it is killed at the end if it still runs."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    with subprocess.Popen(command(*arguments), **options) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen) -> tuple[int, str, str]:
    """Wait until a command ends by itself; return its exit code and what it printed."""
    out, err = process.communicate(timeout=PATIENCE)
    return shell_code(process.returncode), out, err


def assert_refused(done: subprocess.CompletedProcess, *texts: str, code: int = 1) -> None:
    """The command failed with one clear line on standard error, and printed nothing else."""
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    if code == 1:
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("pong: ")
    assert "Traceback" not in done.stderr
    assert "Errno" not in done.stderr
    # Usage is folded to the width of the terminal.
    for text in texts:
        assert text in " ".join(done.stderr.split()), done.stderr


def result_of(done: subprocess.CompletedProcess) -> dict:
    """Return the one JSON object that the command printed."""
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def samples_of(path, dtype="int32") -> np.ndarray:
    """Read a whole file, shape ``(frames, channels)``."""
    return soundfile.read(path, dtype=dtype, always_2d=True)[0]


def speech(frames: int, channels: int = 1) -> np.ndarray:
    """Return the beginning of the bundled voice as int16, repeated to a length; the second channel is inverted."""
    voice = np.resize(soundfile.read(VOICE, dtype="int16")[0], frames)
    return np.stack([voice, -voice][:channels], axis=1)


def without(module: str, folder: Path) -> dict:
    """Return an environment where a module cannot be imported."""
    (folder / f"{module}.py").write_text(f"raise ImportError('absent', name={module!r})\n")
    return {**os.environ, "PYTHONPATH": str(folder)}
