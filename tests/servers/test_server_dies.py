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


AFTERWARDS = {
    "lists devices": "pong.query_devices()",
    "opens another": """
try:
    pong.InputStream(**options({backend!r}))
except pong.StreamError:
    pass
""",
    "receives again": """
for _ in range(2):
    try:
        stream.recv()
    except pong.StreamError:
        pass
""",
    "closes": "stream.close()",
}


@pytest.mark.parametrize("backend", ["jack", "portaudio"])
@pytest.mark.parametrize("name", AFTERWARDS)
def test_what_a_program_does_afterwards(backend, name, tmp_path):
    """libjack frees a dead client where another is opened: it must have been closed by then."""
    kill_under(tmp_path, (RECORDING + AFTERWARDS[name]).format(backend=backend))


TWO_THREADS = """
stream = pong.Stream(pool=tuple(pools()), **options({backend!r}))
stream.start()
errors = []

def until_it_fails(move):
    try:
        while True:
            move()
    except (pong.StreamError, pong.ClosedError) as error:
        errors.append(type(error).__name__)

def receive():
    stream.recv(30).release()

def write():
    stream.write(np.ones((128, 2), "float32"))

threads = [threading.Thread(target=until_it_fails, args=(move,)) for move in (receive, write)]
for thread in threads:
    thread.start()
until(lambda: stream.stats().callbacks > 20)
report(ready=True)
for thread in threads:
    thread.join()
report(errors=errors)
"""


@pytest.mark.parametrize("backend", ["jack", "portaudio"])
def test_every_thread_is_told(backend, tmp_path):
    """Not a receiver alone, while the writer takes it for an ordinary end, or the other way round."""
    assert kill_under(tmp_path, TWO_THREADS.format(backend=backend))["errors"] == ["StreamError"] * 2


UNSTARTED = """
stream = pong.{kind}(**options("portaudio"))
report(ready=True)
# Until the server is gone.
sys.stdin.readline()
{end}
report(ended=True)
"""
UNSTARTED_ENDS = {
    "exit": "",
    "close": "stream.close()",
    "start": """
try:
    stream.start()
except pong.StreamError:
    pass
""",
}


@pytest.mark.parametrize("kind", ["InputStream", "OutputStream", "Stream"])
@pytest.mark.parametrize("name", UNSTARTED_ENDS)
def test_a_stream_that_was_never_started_survives_too(kind, name, tmp_path):
    """PortAudio calls abort() where such a stream is closed on a server that is gone."""
    code = CONTROL + OPEN + UNSTARTED.format(kind=kind, end=UNSTARTED_ENDS[name])
    with Jackd() as server, program(tmp_path, code) as process:
        assert json.loads(process.stdout.readline()) == {"ready": True}
        server.kill()
        out, err = process.communicate("\n", timeout=30)
    assert (process.returncode, json.loads(out)) == (0, {"ended": True}), err


FORKING = """
import gc, warnings
stream = pong.InputStream(**options({backend!r}))
stream.start()
stream.recv(30).release()
if (child := os.fork()) == 0:
    {end}
report(child=os.waitpid(child, 0)[1])
for _ in range(20):
    stream.recv(30).release()
stream.close()
report(done=True)
"""
FORKED_ENDS = {
    "exits": "sys.exit(0)",
    "drops it": "del stream; gc.collect(); os._exit(0)",
    "closes it": "stream.close(); sys.exit(0)",
}


@pytest.mark.parametrize("backend", ["jack", "portaudio"])
def test_a_forked_child_leaves_the_stream_to_its_parent(backend, synchronous, tmp_path):
    for name, end in FORKED_ENDS.items():
        with program(tmp_path, CONTROL + OPEN + FORKING.format(backend=backend, end=end)) as process:
            out, err = process.communicate(timeout=30)
        found = [json.loads(line) for line in out.splitlines()]
        assert (process.returncode, err, found) == (0, "", [{"child": 0}, {"done": True}]), name


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


# Whoever asks PortAudio whether the server is gone is told only after the program has lost its patience.
LATE = """
import sounddevice
from pong.streams import portaudio

class Hung(list):
    def remove(self, each):
        super().remove(each)
        back.append(True)

def late(function):
    def call(*args, **options):
        if opened:
            until(lambda: portaudio.hung)
        return function(*args, **options)
    return call

def opening(*args, **options):
    stream = real(*args, **options)
    opened.append(True)
    return stream

back, opened, portaudio.hung = [], [], Hung()
real, sounddevice._StreamBase = sounddevice._StreamBase, opening
{place} = late({place})
"""


@pytest.mark.parametrize("place", ["portaudio.hushed", "sounddevice._StreamBase"])
def test_a_library_that_answers_late_is_not_ended(tmp_path, place):
    """It has left the dead stream as it is, on which PortAudio's own end would hang, and with it the interpreter."""
    end = "\nstream.close()\nuntil(lambda: back)\n"
    found = kill_under(tmp_path, LATE.format(place=place) + RECORDING.format(backend="portaudio") + end)
    assert found["home"] == [True]
