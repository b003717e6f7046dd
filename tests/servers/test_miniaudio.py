"""miniaudio's null back end: a device at a clock's pace that needs nothing installed but the package."""

import time

import numpy as np
import pytest
from native_build import load
from native_functions import SEEN
from needs import needs_all
from programs import run

import pong

needs_all("miniaudio")

OPTIONS = {"backend": "miniaudio", "device": "null", "blocksize": 480, "samplerate": 48000}
DTYPES = ["uint8", "int16", "int24", "int32", "float32"]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_capture_hears_silence_without_a_hole(dtype, channels):
    """Every position is there once, and each block is one block later than the one before."""
    with pong.InputStream(dtype=dtype, channels=channels, **OPTIONS) as stream:
        position = 0
        for seq in range(20):
            with stream.recv(10) as buf:
                assert (buf.seq, buf.position, buf.gap, buf.frames) == (seq, position, 0, 480)
                assert buf.time_source == "monotonic"
                assert buf.samples.shape == (480, channels)
                # Its silence of uint8 is now the middle of the range, now zeros.
                assert set(buf.samples.tobytes()) <= ({0, 0x80} if dtype == "uint8" else {0})
                position += buf.frames
        stats = stream.stats()
        assert stats.callbacks > 0
        assert stats.lost == 0
        assert stats.pool.links[0].received == 20
    # Counted behind the callback that delivers: exact from the end on.
    assert stream.position >= position


@pytest.mark.parametrize("dtype", DTYPES)
def test_playback_takes_everything(dtype):
    sound = np.zeros((4800, 2), "V3" if dtype == "int24" else dtype)
    with pong.OutputStream(dtype=dtype, channels=2, **OPTIONS) as stream:
        stream.write(sound)
        pool = stream.output_pool
    assert stream.position >= 4800
    assert pool.free == len(pool)


def test_duplex_sends_on_what_it_hears():
    with pong.Stream(channels=2, dtype="float32", **OPTIONS) as stream:
        for _ in range(20):
            stream.send(stream.recv(10))
        pool = stream.pool
    assert stream.position >= 20 * 480
    assert pool.free == len(pool)


def test_times_are_of_the_clock_that_is_named():
    """Each block was heard after the one before it, and before it was received."""
    with pong.InputStream(channels=1, **OPTIONS) as stream:
        times = []
        for _ in range(50):
            with stream.recv(10) as buf:
                times.append(buf.time)
                assert buf.time < time.monotonic()
    assert times == sorted(set(times))


def test_a_function_is_told_when_its_block_is_played():
    """Not before it was sent, on the clock that is named."""
    seen = np.zeros(1, SEEN)
    note = load("_process").__pyx_capi__["pong_test_note"]
    began = time.monotonic()
    with pong.OutputStream(channels=1, process=(note, seen), **OPTIONS) as stream:
        stream.write(np.zeros((4800, 1), "float32"))
    assert (seen["calls"][0], seen["time_source"][0]) == (10, 1)
    # Within a callback the time of a frame runs ahead of the clock.
    assert began < seen["time"][0] < time.monotonic() + 1


@pytest.mark.parametrize("kind", ["InputStream", "OutputStream", "Stream"])
@pytest.mark.parametrize("ending", ["", "sys.exit()", "del stream"])
def test_a_program_that_forgets_its_stream_ends_by_itself(tmp_path, kind, ending):
    """While the interpreter ends there are no new threads (CPython 3.12), and the library still calls back."""
    told = run(tmp_path, f"""
    stream = pong.{kind}(**{OPTIONS}, channels=1)
    stream.start()
    if hasattr(stream, "recv"):
        stream.recv(30).release()
    print("runs", stream.active)
    {ending}
    """)
    assert told == "runs True\n"
