"""What all sound cards' devices share, with a callback that the test calls in place of a library."""

import os
import threading

import numpy as np
import pytest
from native_build import load
from native_functions import SEEN
from programs import PATIENCE, Thread, until

import pong
from pong.streams import native
from pong.streams.native import NativeDevice
from pong.streams.portaudio import callback_address

RATE = 48000
GO_ON, OVER = 0, 1
FOR_EVER = 1000


class Card(NativeDevice):
    """A sound card whose callbacks are the test's; `halt` may hang, as PortAudio's does where its server has gone."""

    fails = hangs = breaks = None
    takes_back = False
    begins = reads = staticmethod(lambda: None)
    halted = ()
    gave_up = False

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.opened = True

    def begin(self):
        self.begins()
        if self.fails is True:
            raise pong.StreamError("refused")
        if self.fails:
            raise self.fails

    def readings(self):
        self.reads()
        return 0.0, 0.0, 0.0

    def halt(self, at_once):
        self.halted = (*self.halted, at_once)
        if self.hangs is not None:
            self.hangs.wait()
        if self.breaks is not None:
            raise self.breaks

    def give_up(self):
        self.gave_up = True

    def take_back(self):
        self.takes_back = True

    def call(self, heard=None, sounded=None, frames=64, **more):
        return load("_callbacks").once(callback_address(), self.address(), heard, sounded, frames, **more)


def ramp(frames, channels=1, start=0):
    return np.arange(start, start + frames * channels, dtype="float32").reshape(frames, channels)


def capture(count=4, blocksize=64, **options):
    """Return a device that captures, its pool and its receiver."""
    pool = pong.BufferPool(count, blocksize, on_empty="raise")
    sender, receiver = pool.link()
    return Card(RATE, capture=sender, **{"stall_timeout": FOR_EVER} | options), pool, receiver


def playback(count=4, blocksize=64, dtype="float32", **options):
    """Return a device that plays, its pool and its sender."""
    pool = pong.BufferPool(count, blocksize, dtype=dtype, on_empty="raise")
    sender, receiver = pool.link()
    return Card(RATE, playback=receiver, **{"stall_timeout": FOR_EVER} | options), pool, sender


# --- what callbacks do


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


# --- losses that only the device's clock tells


def times(device, receiver, ats, frames=64):
    """Call back with given times, in frames; return the gaps of the blocks, by position."""
    gaps = []
    for at in ats:
        device.call(ramp(frames), frames=frames, time=1.0 + at / RATE)
        gaps += [(block.position, block.gap) for block in receiver.drain()]
    return [each for each in gaps if each[1]]


def test_a_clock_that_goes_on_evenly_tells_no_loss():
    device, _, receiver = capture()
    with device:
        assert times(device, receiver, [64 * i for i in range(200)]) == []


@pytest.mark.parametrize("late", [10, 63, 200])
def test_a_callback_that_comes_late_has_lost_nothing(late):
    """The next one is on time again."""
    device, _, receiver = capture()
    with device:
        ats = [64 * i + (late if i % 9 == 5 else 0) for i in range(200)]
        assert times(device, receiver, ats) == []
        assert device.lost == 0


@pytest.mark.parametrize("lost", [64, 128, 6400])
def test_a_clock_that_jumps_tells_the_loss(lost):
    """It is told once, to the frame, within a few callbacks."""
    device, _, receiver = capture()
    with device:
        gaps = times(device, receiver, [64 * i + (lost if i >= 50 else 0) for i in range(200)])
        assert [gap for _, gap in gaps] == [lost]
        assert 50 * 64 <= gaps[0][0] - lost < 60 * 64
        assert (device.lost, device.position) == (lost, 200 * 64 + lost)
        assert device.lost_by_device == lost


def test_a_clock_of_another_rate_tells_no_loss():
    """No quartz is right: 100 parts in a million are 2 frames in each 20,000."""
    device, _, receiver = capture()
    with device:
        assert times(device, receiver, [64 * i * 1.0001 for i in range(2000)]) == []


@pytest.mark.parametrize("jump", [1e9, -1e9, 2**32, -(2**32)])
def test_a_clock_that_was_set_anew_tells_no_loss(jump):
    """And a loss after that is told as before. JACK's clock under PortAudio is set anew when freewheel begins."""
    device, _, receiver = capture(stall_timeout=60)
    with device:
        ats = [64 * i + (jump if i >= 50 else 0) + (640 if i >= 100 else 0) for i in range(200)]
        assert [gap for _, gap in times(device, receiver, ats)] == [640]


# --- ends


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


# --- bad arguments


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
