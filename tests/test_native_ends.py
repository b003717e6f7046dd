"""How sound cards' devices end, whatever the library does, with a callback that the test calls in its place."""

import os
import threading

import numpy as np
import pytest
from card import FOR_EVER, GO_ON, OVER, RATE, Card, capture, playback, ramp
from native_build import load
from native_functions import SEEN
from programs import PATIENCE, Thread, until

import pong
from pong.streams import native


def test_no_callback_for_too_long_is_a_stall():
    """Receivers and senders are told; every block comes back though the library may hang."""
    device, pool, receiver = capture(stall_timeout=0.05)
    device.hangs = threading.Event()
    device.start()
    device.call(ramp(40), frames=40)
    with receiver.recv() as block:
        # The block that was being filled is sent as it is.
        assert len(block) == 40
    with pytest.raises(pong.ClosedError):
        receiver.recv()
    assert isinstance(device.error, pong.StreamError)
    assert "no callback came for 0.05 s" in str(device.error)
    assert not device.active
    device.close()
    assert device.gave_up
    assert pool.free == len(pool)
    assert device.call(ramp(64)) == OVER
    assert pool.free == len(pool)
    device.hangs.set()


def test_a_long_callback_is_no_stall():
    """It comes when the device has its frames: half a second of them here."""
    device, _, _ = capture(blocksize=24000, stall_timeout=0.02)
    with device:
        device.call(ramp(24000), frames=24000)
        assert not device.wait(0.2)
        assert device.wait(60)
    assert "stalled" in str(device.error)


def test_a_closed_device_touches_nothing():
    """A library that hangs while it is stopped may go on calling: it gets silence, and is told to stop."""
    device, pool, sender = playback()
    device.start()
    sender.send(pool.acquire())
    device.hangs = threading.Event()
    closing = threading.Thread(target=device.close)
    closing.start()
    device.wait()
    sounded = np.ones((64, 1), "float32")
    assert device.call(sounded=sounded) == OVER
    assert not sounded.any()
    assert pool.free == len(pool)
    device.hangs.set()
    closing.join()
    with pytest.raises(pong.ClosedError):
        sender.send(pool.acquire())


def test_what_the_library_refuses_gives_everything_back():
    pool = pong.BufferPool(4, 64, on_empty="raise")
    sender, receiver = pool.link()
    device = Card(RATE, capture=sender, stall_timeout=FOR_EVER)
    device.fails = True
    with pytest.raises(pong.StreamError, match="refused"):
        device.start()
    # It may have begun all the same.
    assert device.call(ramp(64)) == OVER
    assert device.halted == (True,)
    pool.acquire().release()
    assert pool.free == len(pool)
    with pytest.raises(RuntimeError, match="started once"):
        device.start()
    # The program's link is as it was: for another device, or for itself.
    with Card(RATE, capture=sender, stall_timeout=FOR_EVER) as other:
        other.call(ramp(64))
        assert receiver.recv().position == 0
    with pytest.raises(pong.ClosedError):
        receiver.recv()


def test_a_library_that_has_called_before_it_refuses():
    """What it delivered is whole, what was being filled goes home, and the link stays open."""
    pool = pong.BufferPool(4, 64, on_empty="raise")
    sender, receiver = pool.link()
    device = Card(RATE, capture=sender, stall_timeout=FOR_EVER)
    device.begins = lambda: device.call(ramp(100), frames=100)
    device.fails = True
    with pytest.raises(pong.StreamError, match="refused"):
        device.start()
    blocks = receiver.drain()
    np.testing.assert_array_equal(np.concatenate([block.samples for block in blocks]), ramp(100))
    for block in blocks:
        block.release()
    assert pool.free == len(pool)
    sender.send(pool.acquire())
    receiver.recv().release()


def test_a_library_that_comes_back_after_all(monkeypatch):
    """It was only slow: what was done because it hung is undone, and the next device can be opened."""
    monkeypatch.setattr(native, "TIME_TO_STOP", 0.01)
    device, pool, _ = capture()
    device.hangs = threading.Event()
    device.start()
    device.close()
    assert device.gave_up
    assert device.opened
    assert not device.takes_back
    assert pool.free == len(pool)
    device.hangs.set()
    until(lambda: device.takes_back)
    assert not device.opened


def test_a_library_that_comes_back_and_has_failed(monkeypatch):
    """Its device may still be there: what was done because it hung stays done."""
    monkeypatch.setattr(native, "TIME_TO_STOP", 0.01)
    device, _, _ = capture()
    device.hangs, device.breaks = threading.Event(), OSError("no such device")
    threads = len(os.listdir("/proc/self/task"))
    device.start()
    device.close()
    assert device.gave_up
    device.hangs.set()
    until(lambda: len(os.listdir("/proc/self/task")) == threads)
    assert not device.takes_back
    assert device.opened


def test_closed_while_the_library_starts():
    """Who closes does not wait for the library, which is stopped once it has come back."""
    device, pool, receiver = capture()
    begun, closed = threading.Event(), threading.Event()

    def begin():
        begun.set()
        assert closed.wait(PATIENCE)

    device.begins = begin
    starting = Thread(device.start)
    assert begun.wait(PATIENCE)
    device.close()
    assert device.halted == ()
    assert pool.free == len(pool)
    with pytest.raises(pong.ClosedError):
        receiver.recv()
    closed.set()
    starting.join()
    assert device.halted == (True,)
    assert not device.active
    assert device.call(ramp(64)) == OVER


def test_closed_while_the_library_is_asked():
    """A library is not closed in the middle of another call."""
    device, _, _ = capture()
    asked, answer = threading.Event(), threading.Event()
    inside = []

    def read():
        asked.set()
        assert answer.wait(PATIENCE)
        inside.append(device.halted)

    device.reads = read
    device.start()
    asking = Thread(lambda: device.time)
    assert asked.wait(PATIENCE)
    device.reads = Card.reads
    closing = Thread(device.close)
    until(lambda: not device.active)
    answer.set()
    asking.join()
    closing.join()
    assert inside == [()]
    assert device.halted == (True,)


def test_a_device_is_made_once():
    """A second `__init__` changes nothing: the library may have the state's address."""
    device, pool, receiver = capture()
    address = device.address()
    with pytest.raises(RuntimeError, match="made once"):
        device.__init__(RATE, capture=pool.link()[0])
    assert device.address() == address
    with device:
        device.call(ramp(64))
        assert receiver.recv().position == 0


def test_a_library_that_cannot_stop_its_device():
    """It is told as what it is, everything comes back, and the device is over all the same."""
    device, pool, receiver = capture()
    device.breaks = OSError("no such device")
    device.start()
    device.call(ramp(64))
    device.close()
    assert isinstance(device.error, pong.StreamError)
    assert str(device.error) == "the device could not be stopped: no such device"
    assert not device.gave_up
    receiver.recv().release()
    assert pool.free == len(pool)


def test_a_library_whose_readings_fail():
    """The last ones are only to be shown: the device ends without them."""
    device, pool, _ = capture()

    def fail():
        raise OSError("no such device")

    device.reads = fail
    device.start()
    device.close()
    assert (device.error, device.time, device.latency, device.cpu_load) == (None, 0.0, 0.0, 0.0)
    assert pool.free == len(pool)


def test_what_is_thrown_away_is_not_processed():
    """A native function sees what is played or heard; what waits when a stream is aborted only goes home."""
    seen = np.zeros(1, SEEN)
    note = load("_process").__pyx_capi__["pong_test_note"]
    device, pool, sender = playback(process_output=(note, seen))
    sounded = np.empty((64, 1), "float32")
    with device:
        for _ in range(3):
            sender.send(pool.acquire())
        device.call(sounded=sounded)
        assert seen["calls"] == 1
        device.abort()
        assert device.call(sounded=sounded) == OVER
    assert seen["calls"] == 1
    assert pool.free == len(pool)


def test_an_interrupt_while_it_starts_stops_it():
    device, pool, _ = capture()
    device.fails = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        device.start()
    assert not device.active
    assert device.call(ramp(64)) == OVER
    pool.acquire().release()


def test_a_device_can_be_closed_while_it_is_closed():
    """By a signal handler, in the same thread."""
    device, pool, _ = capture()
    device.reads = device.close
    device.start()
    device.close()
    assert pool.free == len(pool)


def test_a_forked_child_leaves_the_device_alone():
    device, _, receiver = capture()
    with device:
        if (child := os.fork()) == 0:
            device.wait()
            device.stop()
            device.close()
            os._exit(0 if not device.halted else 1)
        assert os.waitpid(child, 0)[1] == 0
        device.call(ramp(64))
        assert receiver.recv().position == 0


def test_two_devices_of_one_pool():
    device, pool, receiver = capture()
    other_sender, other_receiver = pool.link()
    other = Card(RATE, capture=other_sender)
    with device, pytest.raises(RuntimeError, match="another stream"):
        other.start()
    with other:
        other.call(ramp(64))
        assert other_receiver.recv().gap == 0
    assert receiver.closed is False
    pool.acquire().release()


@pytest.mark.parametrize("threads", [1, 3])
def test_callbacks_race_with_the_end(threads):
    """Whenever it is closed, every block comes home and what was delivered is whole."""
    for _ in range(30):
        device, pool, receiver = capture(count=8)
        heard = ramp(64)
        device.start()
        begun = threading.Event()

        def call(device=device, begun=begun, heard=heard):
            while device.call(heard) == GO_ON:
                begun.set()

        callers = [threading.Thread(target=call)]
        callers += [threading.Thread(target=device.abort if i else device.close) for i in range(threads)]
        callers[0].start()
        begun.wait()
        for caller in callers[1:]:
            caller.start()
        for caller in callers:
            caller.join(60)
            assert not caller.is_alive()
        for block in receiver:
            with block:
                np.testing.assert_array_equal(block.samples, heard)
        assert pool.free == len(pool)
