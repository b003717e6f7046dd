"""A server that dies under a stream: the program is told in time, gets every buffer back, and ends by itself."""

import itertools
import json
import signal
import textwrap
import time

import pytest
from needs import needs_all
from programs import program
from servers import CONTROL, Jackd

needs_all("jack sounddevice", "jackd jack_lsp", "jack portaudio")

STALL = 1.0
# Seconds from the error until the process has ended.
TO_EXIT = 5

OPEN = textwrap.dedent(f"""
    def options(backend):
        own = {{"samplerate": 48000}} if backend == "portaudio" else {{}}
        return {{"backend": backend, "blocksize": 128, "channels": 2, "stall_timeout": {STALL}, **own}}

    def pools():
        return [pong.BufferPool(16, 128, 2, "float32", on_empty="raise") for _ in range(2)]
""")

RECORDING = """
pool, _ = pools()
stream = pong.InputStream(pool=pool, **options({backend!r}))
stream.start()
heard = 0
try:
    while True:
        with stream.recv(30) as buf:
            heard += 1
            if heard == 20:
                report(ready=True)
except pong.StreamError as error:
    report(error=str(error), heard=heard, home=[pool.free == len(pool)])
"""

PLAYING = """
_, pool = pools()
stream = pong.OutputStream(pool=pool, **options({backend!r}))
stream.start()
played = 0
try:
    while True:
        # One that waits for a buffer for ever would be told of the end as well.
        stream.write(np.ones((128, 2), "float32"))
        played += 1
        if played == 20:
            report(ready=True)
except pong.StreamError as error:
    report(error=str(error), heard=played, home=[pool.free == len(pool)])
"""

BOTH = """
stream = pong.Stream(**options({backend!r}))
stream.start()
heard = 0
try:
    while True:
        stream.send(stream.recv(30))
        heard += 1
        if heard == 20:
            report(ready=True)
except pong.StreamError as error:
    pool = stream.pool
    report(error=str(error), heard=heard, home=[pool.free == len(pool)])
"""


def kill_under(folder, code, how=signal.SIGKILL):
    """Run a program, kill its server once it is ready; return what it reports, and what it wrote to stderr."""
    with Jackd() as server, program(folder, CONTROL + OPEN + textwrap.dedent(code)) as process:
        assert json.loads(process.stdout.readline()) == {"ready": True}
        began = time.monotonic()
        server.kill(how)
        found = json.loads(process.stdout.readline())
        told = time.monotonic()
        rest, _ = process.communicate(timeout=TO_EXIT)
    assert process.returncode == 0
    assert rest == ""
    # An orderly end of the server takes its own time before the stream can see it.
    if how == signal.SIGKILL:
        assert told - began < STALL + 1
    return found


@pytest.mark.parametrize("backend", ["jack", "portaudio"])
@pytest.mark.parametrize("time", range(10))
def test_a_recording_survives_its_server(backend, time, tmp_path):
    found = kill_under(tmp_path, RECORDING.format(backend=backend))
    assert found["heard"] >= 20
    assert found["home"] == [True]


@pytest.mark.parametrize("backend", ["jack", "portaudio"])
@pytest.mark.parametrize("code", [PLAYING, BOTH], ids=["playing", "both"])
def test_what_plays_survives_its_server(backend, code, tmp_path):
    found = kill_under(tmp_path, code.format(backend=backend))
    assert found["heard"] >= 20
    assert found["home"] == [True]


def test_a_server_that_leaves_in_good_order(tmp_path):
    found = kill_under(tmp_path, RECORDING.format(backend="jack"), signal.SIGTERM)
    assert found["error"] == "the device or its server is gone"
    assert found["home"] == [True]


ENDS = {
    "del": "del stream",
    "forgotten": "",
    "exit": "sys.exit(0)",
    "exception": """
try:
    with stream:
        raise KeyError("of the program")
except KeyError:
    report(closed=stream.closed, active=stream.active)
""",
    "collected": "cycle = [stream]; cycle.append(cycle); del stream, cycle; import gc; gc.collect()",
}


@pytest.mark.parametrize("kind", ["InputStream", "OutputStream", "Stream"])
def test_every_way_to_end_is_clean(kind, tmp_path):
    """The server lives on, and so must what it calls."""
    with Jackd() as server:
        for backend, (name, end) in itertools.product(("jack", "portaudio"), ENDS.items()):
            code = f"stream = pong.{kind}(**options({backend!r}))\n"
            if name != "exception":
                code += "stream.start()\nuntil(lambda: stream.stats().callbacks > 5)\n"
            with program(tmp_path, CONTROL + OPEN + code + end) as process:
                out, err = process.communicate(timeout=30)
            assert (process.returncode, err) == (0, ""), (backend, name, err)
            if name == "exception":
                assert json.loads(out) == {"closed": True, "active": False}
            assert server.process.poll() is None
