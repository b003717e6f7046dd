"""The virtual device's output: playback, duplex, and a device moved step by step."""

import threading

import numpy as np
import pytest

import pong
from pong.streams.virtual import VirtualDevice

RATE = 48000
INPUT_OVERFLOW = 2


def ramp(frames, channels=1, dtype="int32"):
    """Return samples that are all different, so that any mistake of place shows."""
    return np.arange(1, frames * channels + 1, dtype=dtype).reshape(frames, channels)


def send_all(pool, sender, array, sizes):
    """Send an array in buffers of the given sizes, in turn, and close."""
    at = turn = 0
    while at < len(array):
        buf = pool.acquire(None)
        at += buf.write(array[at : at + sizes[turn % len(sizes)]])
        sender.send(buf)
        turn += 1
    sender.close()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("callback_size", [1, 7, 64, 100, [1, 64, 33]])
@pytest.mark.parametrize("sizes", [[64], [1], [64, 5, 31]])
def test_everything_sent_is_played(sizes, callback_size, channels):
    array = ramp(1003, channels)
    sink = np.zeros_like(array)
    pool = pong.BufferPool(4, 64, channels, "int32", on_empty="raise")
    sender, receiver = pool.link()
    with VirtualDevice(RATE, playback=receiver, sink=sink, callback_size=callback_size) as device:
        send_all(pool, sender, array, sizes)
        assert device.wait()
        assert not device.active
        assert (device.written, device.position, device.underflow) == (1003, 1003, 0)
    np.testing.assert_array_equal(sink, array)
    assert pool.free == 4
    assert receiver.closed


def test_nothing_there_is_silence_and_counted():
    """An underflow is silence, as much as was asked for and not a frame more, and what comes later is played later."""
    pool = pong.BufferPool(4, 64, 1, "int32", on_empty="raise")
    sender, receiver = pool.link()
    sink = np.full(1000, -1, "int32")
    with VirtualDevice(RATE, playback=receiver, sink=sink, callback_size=100, speed=None) as device:
        assert device.step(2)
        assert device.underflow == 200
        for value in (1, 2):
            buf = pool.acquire()
            buf.write(np.full(60, value, "int32"))
            sender.send(buf)
        assert device.step()
        assert (device.underflow, device.position) == (200, 300)
        assert device.step()
        assert (device.underflow, device.position) == (280, 400)
        sender.close()
        assert not device.step(5)
        assert device.position == 400
    assert sink[:400].tolist() == [0] * 200 + [1] * 60 + [2] * 60 + [0] * 80
    assert (sink[400:] == -1).all()
    assert pool.free == 4


def test_unsigned_bytes_are_silent_in_the_middle():
    pool = pong.BufferPool(2, 8, 1, "uint8", on_empty="raise")
    _sender, receiver = pool.link()
    sink = np.zeros(16, "uint8")
    with VirtualDevice(RATE, playback=receiver, sink=sink, callback_size=8, speed=None) as device:
        device.step(2)
    assert (sink == 0x80).all()


def test_abort_does_not_play_what_was_sent():
    pool = pong.BufferPool(4, 8, 1, "int32", on_empty="raise")
    sender, receiver = pool.link()
    sink = np.zeros(100, "int32")
    with VirtualDevice(RATE, playback=receiver, sink=sink, callback_size=4, speed=None) as device:
        for _ in range(3):
            sender.send(pool.acquire())
        device.step()
        device.abort()
        assert not device.step()
        with pytest.raises(pong.ClosedError):
            sender.send(pool.acquire())
    assert device.written == 4
    assert pool.free == 4


def test_a_full_sink_ends_playback():
    pool = pong.BufferPool(4, 8, 1, "int32", on_empty="raise")
    sender, receiver = pool.link()
    sink = np.zeros(20, "int32")
    with VirtualDevice(RATE, playback=receiver, sink=sink, callback_size=8) as device:
        with pytest.raises(pong.ClosedError):
            send_all(pool, sender, np.full(10_000, 5, "int32"), [8])
        assert device.wait()
    assert (sink == 5).all()


@pytest.mark.parametrize(("room", "callbacks"), [(0, 1), (1, 1), (8, 1), (9, 2), (16, 2), (20, 3)])
@pytest.mark.parametrize("sent", [0, 16, 24, 40])
def test_playback_ends_with_the_last_frame_that_there_is_room_for(room, callbacks, sent):
    """In the very callback that fills the array, which is as short as what was left; no frame beyond is counted."""
    pool = pong.BufferPool(5, 8, 1, "int32", on_empty="raise")
    sender, receiver = pool.link()
    sink = np.full(room, -1, "int32")
    for value in range(sent // 8):
        buf = pool.acquire()
        buf.samples[:] = value + 1
        sender.send(buf)
    with VirtualDevice(RATE, playback=receiver, sink=sink, callback_size=8, speed=None) as device:
        assert callbacks == 1 or device.step(callbacks - 1)
        assert not device.step()
        assert (device.position, device.written, device.underflow) == (room, room, max(room - sent, 0))
        with pytest.raises(pong.ClosedError):
            sender.send(pool.acquire())
    assert sink.tolist() == [at // 8 + 1 if at < sent else 0 for at in range(room)]
    assert pool.free == 5


@pytest.mark.parametrize("room", [90, 100, 105, 110])
def test_a_full_output_does_not_end_the_input(room):
    """What is heard, and counted in `position`, goes on; senders are told in the callback that fills the array."""
    pool = pong.BufferPool(40, 10, 1, "int32", on_empty="raise")
    (sender, receiver), (back, playback) = pool.link(), pool.link()
    sink = np.full(room, -1, "int32")
    options = {"callback_size": 10, "prefill": 10, "speed": None}
    with VirtualDevice(RATE, capture=sender, playback=playback, source=ramp(205), sink=sink, **options) as device:
        for at in range(10, room, 10):
            assert device.step()
            assert device.position == at
            back.send(receiver.recv(0))
        assert device.step()
        with pytest.raises(pong.ClosedError):
            back.send(receiver.recv(0))
        assert not device.step(20)
        assert (device.position, device.underflow) == (205, 0)
    assert sink.tolist() == [0] * 10 + list(range(1, room - 9))


@pytest.mark.parametrize(("blocksize", "callback_size"), [(64, 16), (64, 64), (16, 64), (100, 33), (1, 7)])
def test_duplex_through_python(blocksize, callback_size):
    """What is heard and sent on is played one block later, bit by bit, to the last short block."""
    array = ramp(2010)
    sink = np.full(len(array) + blocksize, -1, "int32")
    pool = pong.BufferPool(80, blocksize, 1, "int32", on_empty="raise")
    (sender, receiver), (back, playback) = pool.link(), pool.link()
    options = {"callback_size": callback_size, "prefill": blocksize}
    with VirtualDevice(RATE, capture=sender, playback=playback, source=array, sink=sink, **options) as device:
        for buf in receiver:
            back.send(buf)
        back.close()
        assert device.wait()
    assert (sink[:blocksize] == 0).all()
    np.testing.assert_array_equal(sink[blocksize:], array[:, 0])
    assert (pool.free, device.underflow, device.lost) == (80, 0, 0)


def test_stop_ends_the_input_and_plays_what_was_sent():
    pool = pong.BufferPool(8, 8, 1, "int32", on_empty="raise")
    (sender, receiver), (back, playback) = pool.link(), pool.link()
    sink = np.zeros(100, "int32")
    options = {"callback_size": 8, "speed": None}
    with VirtualDevice(RATE, capture=sender, playback=playback, source=ramp(80), sink=sink, **options) as device:
        device.step(3)
        back.send_many(receiver.drain())
        device.stop()
        back.close()
        assert not device.step(20)
    assert list(receiver) == []
    assert sink[:48].tolist() == [0] * 24 + list(range(1, 25))
    assert device.written == 48


def test_frames_lost_by_a_late_device_stand_in_the_gap():
    """I6: a thread that comes later than the device's memory holds loses frames, and each is counted once."""
    array = ramp(200_000)
    pool = pong.BufferPool(1000, 256, 1, "int32", on_empty="raise")
    sender, receiver = pool.link()
    covered = 0
    # At this speed no thread keeps up, whatever the machine.
    with VirtualDevice(RATE, capture=sender, source=array, callback_size=100, speed=1e6, latency=0) as device:
        flags = 0
        for buf in receiver:
            with buf:
                assert buf.position == covered + buf.gap
                covered = buf.position + buf.frames
                flags |= buf.status
                np.testing.assert_array_equal(buf.samples, array[buf.position : covered])
        assert device.wait()
        assert device.lost > 0
        assert device.position == len(array)
    assert flags in (0, INPUT_OVERFLOW)
    assert covered + device.lost >= len(array)


def test_native_to_native():
    """Two devices, the second plays what the first hears; Python only opens the link."""
    array, sink = ramp(5003), np.zeros((5003, 1), "int32")
    pool = pong.BufferPool(4, 64, 1, "int32", on_empty="raise")
    sender, receiver = pool.link()
    with (
        VirtualDevice(RATE, playback=receiver, sink=sink, callback_size=100) as player,
        VirtualDevice(RATE, capture=sender, source=array, callback_size=33),
    ):
        with pytest.raises(RuntimeError, match="a native stream receives"):
            receiver.recv(0)
        assert player.wait(60)
    np.testing.assert_array_equal(sink, array)
    assert pool.free == 4


def test_a_native_receiver_takes_no_message():
    pool = pong.BufferPool(4, 8, 1, "int32", on_empty="raise")
    sender, receiver = pool.link()
    device = VirtualDevice(RATE, playback=receiver, speed=None)
    buf = pool.acquire()
    with device:
        for send in (sender.send, lambda b, message: sender.send_many([(b, None, message)])):
            with pytest.raises(TypeError, match="cannot take a message"):
                send(buf, message="x")
        assert not buf.detached
        sender.send(buf, tag=3)
    assert pool.free == 4
    sender, receiver = pool.link()
    sender.send(pool.acquire(), message="x")
    with pytest.raises(TypeError, match="cannot receive messages"):
        VirtualDevice(RATE, playback=receiver).start()
    assert receiver.recv(0).message == "x"


def test_fed_and_written_through_links():
    """The device's own sound comes from a feeder and goes to a writer, and neither end is lost."""
    array = ramp(3001)
    card, pool = (pong.BufferPool(3, 50, 1, "int32", on_empty="raise") for _ in range(2))
    written_to = pong.BufferPool(3, 70, 1, "int32", on_empty="raise")
    feeder, feed = card.link()
    writer, written = written_to.link()
    (sender, receiver), (back, playback) = pool.link(), pool.link()
    parts = {"capture": sender, "playback": playback, "source": feed, "sink": writer}
    feeding = threading.Thread(target=send_all, args=(card, feeder, array, [50, 7]))
    taken = []
    writing = threading.Thread(target=lambda: taken.extend(buf.copy() for buf in written))
    with VirtualDevice(RATE, **parts, callback_size=33, prefill=50) as device:
        feeding.start()
        writing.start()
        for buf in receiver:
            back.send(buf)
        back.close()
        assert device.wait(60)
        feeding.join()
        writing.join()
    played = np.concatenate(taken)
    assert (played[:50] == 0).all()
    np.testing.assert_array_equal(played[50:], array)
    assert (card.free, pool.free, written_to.free) == (3, 3, 3)


def test_failed_start_changes_nothing():
    pool = pong.BufferPool(2, 8, dtype="int32")
    other = pong.BufferPool(2, 8, dtype="int32")
    sender, receiver = pool.link()
    _other_sender, playback = other.link()
    device = VirtualDevice(RATE, capture=sender, playback=playback, source=ramp(8))
    playback.close()
    with pytest.raises(pong.ClosedError):
        device.start()
    sender.send(pool.acquire(), tag=5)
    assert receiver.recv(0).tag == 5


def test_steps_need_a_device_without_a_clock():
    pool = pong.BufferPool(2, 8, dtype="int32")
    _sender, receiver = pool.link()
    device = VirtualDevice(RATE, playback=receiver)
    with pytest.raises(RuntimeError, match="speed=None"):
        device.step()
    device = VirtualDevice(RATE, playback=receiver, speed=None)
    with pytest.raises(RuntimeError, match="started"):
        device.step()
    with device, pytest.raises(ValueError, match="callbacks must be from 1"):
        device.step(0)
