"""What all sound cards' devices share, with a callback that the test calls in place of a library."""

import numpy as np
import pytest
from card import GO_ON, OVER, RATE, Card, capture, playback, ramp
from native_build import load
from native_functions import SEEN

import pong


@pytest.mark.parametrize("sizes", [[64], [1], [63, 65], [200], [7, 640, 13]])
def test_callbacks_of_any_size_fill_blocks(sizes):
    """Blocks are full, in order and without a hole, whatever the device delivers at a time."""
    device, _, receiver = capture(count=64)
    heard = ramp(2000)
    with device:
        at = turn = 0
        while at < 1280:
            size = sizes[turn % len(sizes)]
            assert device.call(heard[at:], frames=size) == GO_ON
            at, turn = at + size, turn + 1
        blocks = receiver.drain()
        assert [len(block) for block in blocks] == [64] * (at // 64)
        assert [(block.seq, block.position, block.gap) for block in blocks] == [(i, 64 * i, 0) for i in range(at // 64)]
        np.testing.assert_array_equal(np.concatenate([block.samples for block in blocks]), heard[: at // 64 * 64])
        assert (device.position, device.callbacks, device.lost) == (at, turn, 0)


def test_what_finds_no_slot_is_counted_in_the_next_gap():
    device, _, receiver = capture(count=2)
    with device:
        for i in range(5):
            device.call(ramp(64, start=64 * i))
        first = receiver.drain()
        assert [block.position for block in first] == [0, 64]
        assert device.lost == 3 * 64
        assert device.lost_by_device == 0
        for block in first:
            block.release()
        device.call(ramp(64))
        with receiver.recv() as block:
            assert (block.position, block.gap) == (5 * 64, 3 * 64)


def test_flags_and_times_travel_with_the_block():
    device, _, receiver = capture(blocksize=128)
    with device:
        device.call(ramp(64), time=10.0)
        device.call(ramp(64), time=10.0 + 64 / RATE, flags=2)
        with receiver.recv() as block:
            assert (block.time, block.time_source, block.status) == (10.0, "device", 2)
        assert device.xruns == 1


def test_output_is_what_was_sent_then_silence():
    """A device that finds nothing plays silence and counts it; what was sent goes out frame by frame."""
    device, pool, sender = playback(prefill=10)
    sounded = np.empty((100, 1), "float32")
    with pool.acquire() as buf:
        buf.write(ramp(64, start=1))
        sender.send(buf)
    with device:
        assert device.call(sounded=sounded, frames=100) == GO_ON
    np.testing.assert_array_equal(sounded[:, 0], [*[0] * 10, *range(1, 65), *[0] * 26])
    assert device.underflow == 26
    assert pool.free == len(pool)


def test_a_function_is_told_when_its_block_will_be_played():
    """To the frame; a block that has a time of its own keeps it, and an unknown time is none."""
    seen = np.zeros(1, SEEN)
    note = load("_process").__pyx_capi__["pong_test_note"]
    device, pool, sender = playback(process_output=(note, seen), prefill=10)
    sounded = np.empty((100, 1), "float32")

    def told(time, frames):
        device.call(sounded=sounded, frames=frames, time=time)
        return seen["calls"][0], seen["time"][0], seen["time_source"][0]

    with device:
        for _ in range(3):
            sender.send(pool.acquire())
        assert told(5.0, 60) == (1, 5 + 10 / RATE, 3)
        calls, time, source = told(6.0, 100)
        assert (calls, source) == (3, 3)
        assert time == pytest.approx(6 + (14 + 64) / RATE, abs=1e-9)
        with pool.acquire() as buf:
            buf.time, buf.time_source = 1.5, "stream"
            sender.send(buf)
        assert told(7.0, 100) == (4, 1.5, 2)
        sender.send(pool.acquire())
        assert told(0.0, 64) == (5, 0.0, 0)


def test_silence_of_unsigned_bytes_is_the_middle():
    device, _, _ = playback(dtype="uint8")
    sounded = np.zeros(64, "uint8")
    with device:
        device.call(sounded=sounded)
    assert (sounded == 0x80).all()


def test_a_closed_sender_ends_the_output_after_the_last_frame():
    device, pool, sender = playback()
    sounded = np.empty((64, 1), "float32")
    with device:
        for _ in range(3):
            sender.send(pool.acquire())
        sender.close()
        # That nothing more comes is found out where the next frame is wanted.
        assert [device.call(sounded=sounded) for _ in range(5)] == [GO_ON, GO_ON, GO_ON, OVER, OVER]
        assert device.wait(60)
        assert device.underflow == 0
        assert device.halted == (False,)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"stall_timeout": 0}, ValueError, "stall_timeout must be more than 0"),
        ({"stall_timeout": None}, TypeError, "stall_timeout must be a number"),
        ({"prefill": 1}, ValueError, "prefill needs playback"),
        ({"process_output": []}, ValueError, "process_output needs playback"),
        ({"process": print}, TypeError, "GIL"),
    ],
)
def test_bad_input(changes, error, text):
    pool = pong.BufferPool(4, 64, on_empty="raise")
    sender, receiver = pool.link()
    with pytest.raises(error, match=text):
        Card(RATE, capture=sender, **changes)
    sender.send(pool.acquire())
    assert receiver.recv().seq == 0


def test_bad_samplerates_and_ends():
    pool = pong.BufferPool(4, 64, on_empty="raise")
    sender, _ = pool.link()
    for rate in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="samplerate must be more than 0"):
            Card(rate, capture=sender)
    with pytest.raises(ValueError, match="capture, playback or both"):
        Card(RATE)
    sender.close()
    with pytest.raises(pong.ClosedError):
        Card(RATE, capture=sender)
