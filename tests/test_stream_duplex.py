"""Both directions at once: ten minutes in place with a checksum, two formats, prefill, and how a duplex stream ends.

Issue 3, "Shown by" 4.
"""

import threading

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import run

import pong

RATE = 48000


def ramp(frames, channels=1, dtype="int32"):
    """Return samples that are all different, and none is silent, so that any mistake of place shows."""
    return np.arange(1, frames * channels + 1, dtype=dtype).reshape(frames, channels)


def virtual(callback_size=128, speed=0):
    """Return settings of a device."""
    return pong.VirtualSettings(callback_size=callback_size, speed=speed)


# What stands in for files: sound that is computed from the frame's number, and a checksum of what is played.
ENDLESS = """
import resource, zlib
import pong.streams.virtual_card as card
from pong.streams import signals

FRAMES = 600 * 48000
# A prime number of frames, so that no block of any size looks like another one.
TILE = (np.arange(8 * 48000 - 7, dtype="int64") * 7919 % 65521 - 32760).astype("int16")
TILE = np.concatenate([TILE, TILE])
PERIOD = len(TILE) // 2

def frames_at(number, count):
    "Return frames by their number: tiles, each with another sign."
    first = number % PERIOD
    assert count <= PERIOD
    return TILE[first : first + count]

class Source:
    samplerate, channels, dtype, subtype, frames = 48000, 1, "int16", "PCM_16", FRAMES
    position = checksum = 0
    def read_into(self, array):
        count = min(len(array), FRAMES - self.position)
        array[:count, 0] = frames_at(self.position, count)
        # Each minute differs from the others.
        array[:count] ^= self.position // (60 * 48000)
        self.checksum = zlib.crc32(array[:count], self.checksum)
        self.position += count
        return count
    def close(self):
        pass

class Sink:
    frames = checksum = 0
    def write(self, array):
        if self.frames < PREFILL:
            silent = min(PREFILL - self.frames, len(array))
            assert not array[:silent].any()
            self.frames += silent
            array = array[silent:]
        self.checksum = zlib.crc32(np.ascontiguousarray(array), self.checksum)
        self.frames += len(array)
    def close(self):
        pass

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

source, sink = Source(), Sink()
card.open_source = lambda *_, **__: source
card.open_sink = lambda *_, **__: sink
card.SoundSource = Source
"""

TEN_MINUTES = (
    """
PREFILL = 1024
"""
    + ENDLESS
    + """
settings = pong.VirtualSettings(callback_size=128, speed=0)
stream = pong.Stream(48000, 1024, device=("in.wav", "out.wav"), extra_settings=settings)
readings = []
with stream:
    for number, buf in enumerate(stream):
        stream.send(buf)
        if number % 1000 == 999:
            readings.append(resident())
assert (stream.lost, stream.underflow) == (0, 0)
assert source.position == FRAMES == sink.frames - PREFILL, (source.position, sink.frames)
assert source.checksum == sink.checksum
assert len(readings) == 28
# From the first minute to the tenth.
grown = max(readings[3:]) - readings[2]
assert grown < 4 << 20, readings
print(number + 1, "blocks")
"""
)


def test_ten_minutes_in_place(tmp_path):
    """Each of 28.8 million frames is played as it was heard, one block later; memory is flat from beginning to end."""
    assert run(tmp_path, TEN_MINUTES) == "28125 blocks\n"


@pytest.mark.parametrize("outcome", ["same", "changed"])
def test_the_checksum_can_fail(tmp_path, outcome):
    """One sample in one block makes the difference."""
    code = TEN_MINUTES.replace("FRAMES = 600 * 48000", "FRAMES = 28000 * 3")
    code = code.replace("assert len(readings) == 28", "sys.exit()")
    if outcome == "changed":
        send = "        stream.send(buf)"
        code = code.replace(send, f"        buf.samples[3] ^= number == 40\n{send}")
        with pytest.raises(AssertionError, match=r"source\.checksum == sink\.checksum"):
            run(tmp_path, code)
    else:
        run(tmp_path, code)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 200), min_size=1, max_size=4),
    st.integers(1, 200),
    st.integers(1, 3000),
    st.integers(1, 2),
    st.integers(0, 500),
)
def test_in_place_with_any_sizes(sizes, blocksize, frames, channels, more):
    """What is heard and sent on is played after the prefill, bit by bit; the last short block has its true frames."""
    array = ramp(frames, channels)
    prefill = blocksize + more
    sink = np.full((prefill + frames, channels), -1, "int32")
    buffers = (max(sizes) + prefill) // blocksize + 3
    options = {"device": (array, sink), "extra_settings": virtual(sizes), "buffers": buffers, "prefill": prefill}
    stream = pong.Stream(RATE, blocksize, **options)
    assert stream.pool is stream.output_pool
    with stream:
        for number, buf in enumerate(stream):
            assert buf.frames == min(blocksize, frames - number * blocksize)
            stream.send(buf)
    assert not sink[:prefill].any()
    np.testing.assert_array_equal(sink[prefill:], array)
    assert (stream.lost, stream.underflow, stream.pool.free) == (0, 0, buffers)


def test_the_prefill_is_a_block_unless_told():
    sink = np.full(1100, -1, "int32")
    with pong.Stream(RATE, 100, device=(ramp(1000), sink)) as stream:
        for buf in stream:
            buf.samples[:] *= 3
            stream.send(buf)
    assert not sink[:100].any()
    np.testing.assert_array_equal(sink[100:], 3 * ramp(1000)[:, 0])


@pytest.mark.parametrize("callback_size", [33, 128, [7, 100]])
@pytest.mark.parametrize("blocksize", [64, 100])
def test_two_formats(tmp_path, blocksize, callback_size):
    """Heard: stereo int32. Played: mono float32. Two pools, and `write` or `acquire` in between."""
    heard = ramp(3001, 2)
    soundfile.write(tmp_path / "in.wav", heard, RATE, subtype="PCM_32")
    stream = pong.Stream(
        RATE, blocksize, device=(tmp_path / "in.wav", tmp_path / "out.wav"), channels=(2, 1),
        dtype=("int32", "float32"), extra_settings=virtual(callback_size),
    )  # fmt: skip
    assert (stream.channels, stream.dtype) == ((2, 1), (np.int32, np.float32))
    assert stream.pool is not stream.output_pool
    with stream:
        for number, buf in enumerate(stream):
            with buf:
                left = buf.samples[:, :1].astype("float32")
            if number % 2:
                stream.write(left)
            else:
                out = stream.acquire()
                assert (out.frames, out.samples.shape) == (blocksize, (blocksize, 1))
                out.write(left)
                stream.send(out)
    played = soundfile.read(tmp_path / "out.wav", dtype="float32", always_2d=True)[0]
    assert not played[:blocksize].any()
    np.testing.assert_array_equal(played[blocksize:], heard[:, :1].astype("float32"))
    assert (stream.lost, stream.underflow) == (0, 0)


def test_buffers_of_the_other_format_cannot_be_sent():
    stream = pong.Stream(RATE, 64, device=(ramp(300, 2), None), channels=(2, 1), extra_settings=virtual(64, None))
    with stream:
        stream.step()
        with stream.recv() as buf:
            with pytest.raises(ValueError, match="another pool"):
                stream.send(buf)
            assert buf.samples[0].tolist() == [1, 2]


def test_with_one_pool_the_device_alone_acquires():
    with pong.Stream(RATE, 64, device=(ramp(300), None), extra_settings=virtual(64, None)) as stream:
        for call in (stream.acquire, lambda: stream.write(ramp(3))):
            with pytest.raises(RuntimeError, match="a native stream acquires"):
                call()


# --- ends


def stepped(frames=1000):
    """Return a started duplex stream that has done three callbacks, its sink, and the three buffers."""
    sink = np.full(frames, -1, "int32")
    stream = pong.Stream(RATE, 10, device=(ramp(frames), sink), extra_settings=virtual(10, None))
    stream.start()
    stream.step(3)
    return stream, sink, [stream.recv(), stream.recv(), stream.recv()]


def test_stop_plays_what_was_sent():
    """Underflow before (two blocks were late), what was sent after it, and not a frame more."""
    stream, sink, blocks = stepped()
    assert stream.underflow == 20
    for buf in blocks:
        stream.send(buf)
    stream.stop()
    assert (stream.active, stream.position) == (False, 60)
    assert sink[:60].tolist() == [0] * 30 + list(range(1, 31))
    assert (sink[60:] == -1).all()
    with pytest.raises(pong.ClosedError):
        stream.recv()
    stream.close()


def test_abort_drops_what_was_sent():
    stream, sink, blocks = stepped()
    for buf in blocks:
        stream.send(buf)
    stream.abort()
    assert (stream.active, stream.position) == (False, 30)
    assert (sink[30:] == -1).all()
    assert stream.pool.free == len(stream.pool)
    stream.close()


def test_after_the_end_a_buffer_stays_the_callers():
    stream, _sink, blocks = stepped()
    stream.abort()
    for buf in blocks:
        with pytest.raises(pong.ClosedError):
            stream.send(buf)
        assert buf.frames == 10
        buf.release()
    stream.close()
    assert stream.pool.free == len(stream.pool)


@pytest.mark.parametrize("end", ["stop", "abort", "close"])
def test_an_end_from_another_thread_wakes_the_program(end):
    """The program waits for sound that never comes: the device waits for the program."""
    stream = pong.Stream(RATE, 64, device=(ramp(100_000), np.zeros(100_000, "int32")), extra_settings=virtual())
    stream.start()
    held = [stream.recv()]
    threading.Thread(target=getattr(stream, end)).start()
    with pytest.raises(pong.ClosedError):  # noqa: PT012
        while True:
            held.append(stream.recv())
    for buf in held:
        buf.release()
    stream.close()
    assert stream.pool.free == len(stream.pool)


@pytest.mark.parametrize("speed", [1, 50])
def test_in_real_time_all_that_is_heard_is_played(speed):
    """With a clock: silence stands where the program was late, and what it lost stands in gaps; the rest is there."""
    frames = 4800 if speed == 1 else 48_000
    array, sink = ramp(frames), np.full(frames * 100, -1, "int32")
    extra = pong.VirtualSettings(callback_size=64, speed=speed)
    gaps = []
    with pong.Stream(RATE, 256, device=(array, sink), extra_settings=extra, latency=0.02) as stream:
        for buf in stream:
            gaps.append((buf.position, buf.gap))
            end = buf.position + buf.frames
            stream.send(buf)
    lost = {frame for position, gap in gaps for frame in range(position - gap, position)} | set(range(end, frames))
    assert stream.lost == len(lost)
    played = sink[: stream.position]
    assert played[played != 0].tolist() == [frame + 1 for frame in range(frames) if frame not in lost]
    assert (played == 0).sum() == 256 + stream.underflow
    assert (sink[stream.position :] == -1).all()
