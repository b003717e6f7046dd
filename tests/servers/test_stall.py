"""Python is held up for long in C calls that keep the GIL: what a native callback delivers, and one in Python."""

import pytest
from needs import needs_all
from servers import Jackd, reports

needs_all("jack sounddevice", "jackd jack_lsp", "jack portaudio")

SECONDS = 8
PERIOD = 64
RATE = 48000

# Both listen to one server at the same time, under the same calls.
PROGRAM = f"""
import queue, jack
hold = holders()
blocks = queue.Queue()
client = jack.Client("python", no_start_server=True)
port = client.inports.register("in")

@client.set_process_callback
def process(frames):
    blocks.put(port.get_array().copy())

own = {{"samplerate": {RATE}}} if BACKEND == "portaudio" else {{}}
stream = pong.InputStream(blocksize=BLOCKSIZE, channels=1, backend=BACKEND, buffers=BUFFERS, stall_timeout=30, **own)
frames = gaps = gap = delivered = 0
right = True

def take(buf):
    global frames, gaps, delivered, right
    with buf:
        # Every frame position is either here or in a gap.
        right = right and buf.position == frames + gaps + buf.gap
        gaps += buf.gap
        frames += buf.frames
        delivered += 1

with stream:
    client.activate()
    with hold:
        began = time.monotonic()
        while time.monotonic() < began + {SECONDS}:
            try:
                take(stream.recv(0.5))
            except pong.Empty:
                pass
            for buf in stream.drain():
                take(buf)
        heard_by_python = blocks.qsize()
        seconds = time.monotonic() - began
    stream.abort()
    for buf in stream:
        take(buf)
client.deactivate()
client.close()
report(delivered=frames // {PERIOD}, expected=stream.position // {PERIOD}, by_clock=seconds * {RATE} / {PERIOD},
       python=heard_by_python, right=right, end=frames + gaps, position=stream.position, lost=stream.lost, gaps=gaps,
       callbacks=stream.stats().callbacks)
"""


# Five seconds of buffers, and a fiftieth of one.
@pytest.mark.parametrize(("backend", "blocksize", "buffers"), [
    ("jack", 256, 1024), ("portaudio", 256, 1024), ("jack", 64, 16),
])
def test_python_stalls_and_the_callback_does_not(backend, blocksize, buffers, tmp_path, capsys):
    with Jackd(RATE, PERIOD, sync=False):
        settings = f"BACKEND, BLOCKSIZE, BUFFERS = {backend!r}, {blocksize}, {buffers}\n"
        (found,) = reports(tmp_path, settings + PROGRAM)
    with capsys.disabled():
        print(
            f"\n{backend}, {buffers} buffers of {blocksize} frames: {found['delivered']} of {found['by_clock']:.0f}"
            f" blocks of {PERIOD}, a Python callback {found['python']}"
        )
    # Every frame position was delivered, or stands in a gap; what was lost at the very end, in `lost` alone.
    assert found["right"]
    assert found["end"] + found["lost"] - found["gaps"] == found["position"]
    if buffers == 16:
        assert found["gaps"] > 0
        return
    # The server misses cycles on a busy machine. Of those that it called for, nothing is lost.
    assert found["delivered"] == found["callbacks"]
    assert found["delivered"] >= 0.8 * found["by_clock"]
    assert found["python"] <= 0.5 * found["by_clock"]
