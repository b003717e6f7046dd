"""What a native callback asks of the system: nothing while nobody sleeps, one wake-up when somebody does.

A callback is called in place of its library, on a thread of its own (``native/_callbacks.pyx``).
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from native_build import native_folder

HERE = Path(__file__).resolve().parent
if sys.platform != "linux":
    pytest.skip("seccomp and LD_PRELOAD are Linux's", allow_module_level=True)

BEGINNING = """
import ctypes, json, os, sys, threading
import numpy as np
import pong
from pong.streams.native import NativeDevice
from pong.streams.portaudio import callback_address
import _callbacks

class NoLibrary(NativeDevice):
    def begin(self):
        pass

pool = pong.BufferPool(64, 256, 2, on_empty="raise")
where = pool.acquire().samples.ctypes.data
sender, receiver = pool.link()
device = NoLibrary(48000, capture=sender, stall_timeout=1000)
device.start()
heard = np.random.default_rng(0).random((64, 2), dtype="float32")

def call(number, sealed):
    return _callbacks.call(callback_address(), device.address(), heard, number, sealed)
"""


def run(program, **env):
    """Run a program that calls callbacks."""
    return subprocess.run(
        [sys.executable, "-c", BEGINNING + program], capture_output=True, text=True, timeout=60, check=False,
        env=os.environ | {"PYTHONPATH": f"{native_folder()}{os.pathsep}{HERE}"} | env, cwd=native_folder(),
    )


def test_no_system_call_while_nobody_sleeps():
    """The thread is killed at the first one; 64 blocks are sent, then 1000 callbacks find no free slot."""
    done = run("""
print(call(4 * 64 + 1000, True), device.lost, device.position)
blocks = receiver.drain()
print(len(blocks), all(np.array_equal(b.samples, np.tile(heard, (4, 1))) for b in blocks))
""")
    assert (done.returncode, done.stdout.split()) == (0, ["1256", "64000", "80384", "64", "True"]), done.stderr


SLEEPER = """
from observe import Call
sleeper = Call(receiver.recv)
sleeper.wait_asleep(where)
"""


def test_the_control_is_killed_by_its_wake_up():
    """Where somebody sleeps the wake-up is a system call: the thread is killed in the callback that makes it."""
    done = run(SLEEPER + "print(call(8, True), flush=True)\nos._exit(0)")
    assert (done.returncode, done.stdout.split()) == (0, ["3"]), done.stderr


def test_one_wake_up_for_one_sleeper(tmp_path):
    """However many blocks follow, only the first finds somebody asleep."""
    library = tmp_path / "counting_syscalls.so"
    compiler = os.environ.get("CC") or shutil.which("gcc") or "cc"
    source = HERE / "native" / "counting_syscalls.c"
    subprocess.run([*compiler.split(), "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
    done = run(
        f"count = ctypes.CDLL({str(library)!r}).wake_ups" + SLEEPER + """
before = count()
call(3, False)
part = count() - before
call(1, False)
first = count() - before
sleeper.outcome().release()
call(4 * 40, False)
print(json.dumps([part, first, count() - before, len(receiver.drain())]))
""",
        LD_PRELOAD=str(library),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [0, 1, 1, 40]
