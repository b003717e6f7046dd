"""Streams with a clock, or moved by steps: what a program is too late for is lost, counted and located to the frame.

Issue 3, "Shown by" 3. Recorded frames and gaps, and what is lost at the very end, are the source, and every recorded
frame stands at its position. At playback the sink is silence and sent sound, in order, and all silence is counted.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import until

import pong

RATE = 48000


def ramp(frames, channels=1, dtype="int32"):
    """Return samples that are all different, and none is silent, so that any mistake of place shows."""
    return np.arange(1, frames * channels + 1, dtype=dtype).reshape(frames, channels)


def virtual(callback_size, speed):
    """Return settings of a device."""
    return pong.VirtualSettings(callback_size=callback_size, speed=speed)


def check_blocks(blocks, array, stream):
    """Check that recorded frames and gaps are the source, each in its place; return how many frames were lost.

    ``blocks`` holds (position, gap, samples) of each, in order.
    """
    covered = gaps = 0
    for position, gap, samples in blocks:
        assert position == covered + gap
        assert len(samples) > 0
        np.testing.assert_array_equal(samples, array[position : position + len(samples)])
        covered = position + len(samples)
        gaps += gap
    assert stream.position == len(array)
    at_the_end = len(array) - covered
    assert sum(len(samples) for _, _, samples in blocks) + gaps + at_the_end == len(array)
    assert stream.lost == gaps + at_the_end
    return stream.lost


def record(array, speed, stalls, *, callback_size, blocksize, buffers, latency="high"):
    """Record an array with a consumer that stalls; check every frame; return the stream, ended.

    A stall is (after how many blocks, how many frames of the device it lasts, whether the block is held meanwhile).
    """
    stalls = {after: (frames, held) for after, frames, held in stalls}
    extra = virtual(callback_size, speed)
    stream = pong.InputStream(RATE, blocksize, array, latency=latency, extra_settings=extra, buffers=buffers)
    blocks = []
    with stream:
        for buf in stream:
            blocks.append((buf.position, buf.gap, buf.copy()))
            frames, held = stalls.get(len(blocks), (0, False))
            if not held:
                buf.release()
            goal = min(stream.position + frames, len(array))
            until(lambda goal=goal: stream.position >= goal)
            if held:
                buf.release()
    check_blocks(blocks, array, stream)
    assert stream.pool.free == buffers
    return stream


STALLS = st.lists(st.tuples(st.integers(1, 8), st.integers(1, 12_000), st.booleans()), max_size=4)
CALLBACK_SIZES = st.lists(st.integers(1, 700), min_size=1, max_size=3)


@settings(max_examples=5, deadline=None)
@given(STALLS, CALLBACK_SIZES, st.integers(20, 1500), st.integers(1, 6))
def test_stalls_in_real_time(stalls, callback_size, blocksize, buffers):
    """A fifth of a second at the pace of a sound card."""
    record(ramp(9600), 1, stalls, callback_size=callback_size, blocksize=blocksize, buffers=buffers)


@settings(max_examples=50, deadline=None)
@given(STALLS, CALLBACK_SIZES, st.integers(20, 1500), st.integers(1, 6), st.sampled_from(["low", "high", 0, 0.3]))
def test_stalls_at_fifty_times_the_speed(stalls, callback_size, blocksize, buffers, latency):
    """Here the device's own thread is late at times, too: what its memory does not hold is lost before it comes."""
    sizes = {"callback_size": callback_size, "blocksize": blocksize, "buffers": buffers}
    record(ramp(24_000), 50, stalls, **sizes, latency=latency)


@pytest.mark.parametrize("speed", [1, 50])
@pytest.mark.parametrize(("callback_size", "blocksize", "buffers"), [(128, 1024, 2), (480, 100, 4), (1, 64, 1)])
def test_a_long_stall_loses_what_the_pool_does_not_hold(speed, callback_size, blocksize, buffers):
    """The whole pool is held or queued during the stall: what goes beyond it must be lost, and is."""
    frames, stall = (12_000, 6000) if speed == 1 else (200_000, 60_000)
    array = ramp(frames)
    stream = record(
        array, speed, [(1, stall, True)], callback_size=callback_size, blocksize=blocksize, buffers=buffers
    )
    assert stream.lost >= stall - buffers * blocksize


# --- step by step


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 5)), max_size=40),
    st.lists(st.integers(1, 30), min_size=1, max_size=3),
    st.integers(1, 40),
    st.integers(1, 4),
    st.integers(1, 900),
)
def test_every_drop_is_where_it_must_be(actions, sizes, blocksize, buffers, frames):
    """A device moved by steps does exactly what a list in Python does: which frames are lost is no matter of luck."""
    array = ramp(frames)
    stream = pong.InputStream(RATE, blocksize, array, extra_settings=virtual(sizes, None), buffers=buffers)
    free, queue, filling, lost, position, turn = buffers, [], None, 0, 0, 0
    with stream:
        going = True
        for is_step, number in actions:
            for _ in range(number):
                if is_step and going:
                    end = min(position + sizes[turn % len(sizes)], frames)
                    going = end - position == sizes[turn % len(sizes)]
                    turn += 1
                    while position < end:
                        if filling is None:
                            if not free:
                                lost, position = lost + end - position, end
                                break
                            free, filling, lost = free - 1, [position, lost, 0], 0
                        part = min(end - position, blocksize - filling[2])
                        filling[2], position = filling[2] + part, position + part
                        if filling[2] == blocksize:
                            queue.append(filling)
                            filling = None
                    if not going and filling:
                        queue.append(filling)
                        filling = None
                    assert stream.step() is going
                elif queue and not is_step:
                    buf = stream.recv_nowait()
                    first, gap, length = queue.pop(0)
                    assert (buf.position, buf.gap, buf.frames) == (first, gap, length)
                    np.testing.assert_array_equal(buf.samples, array[first : first + length])
                    buf.release()
                    free += 1
            assert stream.position == position
        if going:
            with pytest.raises(pong.Empty):  # noqa: PT012
                for _ in range(len(queue) + 1):
                    stream.recv_nowait().release()
    assert stream.pool.free == buffers


def test_one_frame_too_many():
    """A pool that holds 32 frames loses the 33rd, and nothing else."""
    stream = pong.InputStream(RATE, 8, ramp(100), extra_settings=virtual(11, None), buffers=4)
    with stream:
        stream.step(3)
        assert stream.lost == 1
        assert [(buf.position, buf.gap, buf.frames) for buf in stream.drain()] == [
            (0, 0, 8), (8, 0, 8), (16, 0, 8), (24, 0, 8),
        ]  # fmt: skip
        stream.step()
        with stream.recv() as buf:
            assert (buf.position, buf.gap, buf.samples[0, 0]) == (33, 1, 34)


def test_stop_sends_what_was_heard():
    """The block that was being filled comes with its true frames, and then the end."""
    with pong.InputStream(RATE, 64, ramp(1000), extra_settings=virtual(10, None)) as stream:
        stream.step(9)
        stream.stop()
        assert [(buf.position, buf.frames) for buf in stream] == [(0, 64), (64, 26)]
        assert (stream.position, stream.lost, stream.active) == (90, 0, False)


# --- playback


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=30),
    st.lists(st.integers(1, 40), min_size=1, max_size=3),
    st.integers(0, 50),
)
def test_every_silence_is_where_it_must_be(actions, sizes, prefill):
    """A device moved by steps: silence stands exactly where nothing was there, and only that is counted."""
    sink = np.full((5000, 1), -1, "int32")
    options = {"extra_settings": virtual(sizes, None), "buffers": 16, "prefill": prefill}
    expected, waiting, sent, missed, turn = [], [0] * prefill, 0, 0, 0
    with pong.OutputStream(RATE, 64, sink, **options) as stream:
        for is_step, number in actions:
            if is_step:
                size = sizes[turn % len(sizes)]
                turn += 1
                assert stream.step()
                there, waiting = waiting[:size], waiting[size:]
                missed += size - len(there)
                expected += there + [0] * (size - len(there))
                assert (stream.underflow, stream.position) == (missed, len(expected))
            elif stream.output_pool.free:
                values = list(range(sent + 1, sent + number + 1))
                stream.write(np.array(values, "int32"))
                waiting, sent = waiting + values, sent + number
        # Leaving the stream plays what was sent.
    expected += waiting
    assert sink[: len(expected), 0].tolist() == expected
    assert (sink[len(expected) :] == -1).all()
    assert (stream.underflow, stream.position) == (missed, len(expected))


def test_write_tells_of_underflow_once():
    with pong.OutputStream(RATE, 64, None, extra_settings=virtual(10, None)) as stream:
        assert stream.write(np.ones(10, "float32")) is False
        stream.step()
        assert stream.write(np.ones(10, "float32")) is False
        stream.step(2)
        assert stream.underflow == 10
        assert stream.write(np.ones(5, "float32")) is True
        assert stream.write(np.ones(5, "float32")) is False


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 800), st.integers(0, 6000)), min_size=1, max_size=6),
    CALLBACK_SIZES,
    st.integers(20, 500),
    st.sampled_from(["low", "high", 0]),
)
def test_a_program_that_is_late_with_its_sound(parts, callback_size, blocksize, latency):
    """With a clock: all that was sent is played once, in order; the rest is silence, and is counted to the frame.

    Each part is (frames to send, frames of the device to wait for afterwards).
    """
    # Eight seconds of the day; memory that is not touched costs nothing.
    sink = np.zeros((20_000_000, 1), "int32")
    sent = 0
    options = {"latency": latency, "extra_settings": virtual(callback_size, 50), "buffers": 4}
    with pong.OutputStream(RATE, blocksize, sink, **options) as stream:
        for number, stall in parts:
            stream.write(np.arange(sent + 1, sent + number + 1, dtype="int32"))
            sent += number
            goal = stream.position + stall
            until(lambda goal=goal: stream.position >= goal)
    played = sink[: stream.position, 0]
    assert played[played != 0].tolist() == list(range(1, sent + 1))
    assert stream.underflow == stream.position - sent
    if max(stall for _, stall in parts) > sum(number for number, _ in parts) + 2 * max(callback_size):
        assert stream.underflow > 0


def test_in_real_time_silence_stands_in_the_middle():
    """At speed 1: sound, a stall, sound; what is between is silence, exactly as much as is counted."""
    sink = np.full((RATE * 60, 1), -1, "int32")
    with pong.OutputStream(RATE, 256, sink, extra_settings=virtual(128, 1)) as stream:
        stream.write(np.arange(1, 1001, dtype="int32"))
        until(lambda: stream.underflow > 1000)
        assert stream.write(np.arange(1001, 2001, dtype="int32")) is True
    assert stream.underflow > 1000
    assert stream.position == 2000 + stream.underflow
    played = sink[: stream.position, 0]
    assert played[played != 0].tolist() == list(range(1, 2001))
    assert (sink[stream.position :] == -1).all()
