"""How a virtual device ends: whoever closes what, in whatever order, on whatever thread, in a child of a fork."""

import itertools
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from programs import run

import pong
from pong.streams import at_exit, virtual
from pong.streams.virtual import VirtualDevice

RATE = 48000


def ramp(frames):
    return np.arange(1, frames + 1, dtype="int32").reshape(frames, 1)


def make(count=8, blocksize=64):
    """Return a pool and two links of it."""
    pool = pong.BufferPool(count, blocksize, 1, "int32", on_empty="raise")
    return pool, pool.link(), pool.link()


@pytest.mark.parametrize(
    ("frames", "blocksize", "callback_size"), [(2000, 64, 100), (1280, 64, 128), (128, 128, 128), (100, 64, 100)]
)
def test_duplex_ends_though_the_last_callback_is_full(frames, blocksize, callback_size):
    """The program gets the last short block before the device waits for the program's last sound."""
    pool, (sender, receiver), (back, playback) = make(8, blocksize)
    options = {"source": ramp(frames), "prefill": blocksize, "callback_size": callback_size}
    with VirtualDevice(RATE, capture=sender, playback=playback, **options) as device:
        assert sum(passed_on(receiver, back)) == frames
        assert device.wait(60)
    assert pool.free == 8


def passed_on(receiver, back):
    """Send every received buffer on; yield its frames."""
    for buf in receiver:
        yield buf.frames
        try:
            back.send(buf)
        except pong.ClosedError:
            buf.release()
    back.close()


@pytest.mark.parametrize("kind", ["array", "writer"])
def test_duplex_goes_on_hearing_when_the_output_is_full(kind):
    """No more room for the output: senders are told, and the input is still heard to its end."""
    pool, (sender, receiver), (back, playback) = make()
    card = pong.BufferPool(4, 64, 1, "int32", on_empty="raise")
    writer, written = card.link()
    sink = np.zeros(100, "int32") if kind == "array" else writer
    with VirtualDevice(RATE, capture=sender, playback=playback, source=ramp(5000), sink=sink, prefill=64) as device:
        written.close()
        assert sum(passed_on(receiver, back)) == 5000
        assert device.wait(60)
    assert (pool.free, card.free) == (8, 4)


def test_stop_tells_a_program_that_waits_for_input():
    """The device waits for sound to play, the program for sound to hear: stop ends both."""
    pool, (sender, receiver), (back, playback) = make()
    device = VirtualDevice(RATE, capture=sender, playback=playback, source=ramp(100_000), callback_size=64)
    with device, ThreadPoolExecutor(1) as threads:
        first = receiver.recv(60)
        waiting = threads.submit(list, receiver)
        device.stop()
        assert waiting.result(60) is not None
        first.release()
        back.close()
        assert device.wait(60)
        del waiting
    assert pool.in_use == 0


@pytest.mark.parametrize("speed", [0, 1])
def test_a_device_whose_receiver_is_closed_ends(speed):
    _pool, _first, (_back, playback) = make()
    with VirtualDevice(RATE, playback=playback, speed=speed) as device:
        playback.close()
        assert device.wait(60)


@pytest.mark.parametrize("what", ["receiver", "pool"])
def test_paced_capture_ends_though_the_pool_is_empty(what):
    """With nobody to send to there is nothing to lose either: an endless source ends."""
    card = pong.BufferPool(4, 64, 1, "int32", on_empty="raise")
    feeder, feed = card.link()
    pool, (sender, receiver), _ = make(1)
    with VirtualDevice(RATE, capture=sender, source=feed, speed=20, callback_size=32) as device:
        held = None
        while device.active:
            try:
                feeder.send(card.acquire(0.05))
            except (pong.PoolExhausted, pong.ClosedError):
                continue
            if held is None:
                held = receiver.recv(60) if receiver.poll() else None
            elif device.lost:
                receiver.close() if what == "receiver" else pool.close()
        assert device.wait(60)
        assert device.lost
        held.release()


def test_ctrl_c_in_close_gives_everything_back(monkeypatch):
    """A signal handler may raise in any Python code of close, such as WeakSet.discard."""

    class Interrupted:
        def discard(self, _):
            raise KeyboardInterrupt

        def add(self, _):
            pass

    pool, (sender, receiver), _ = make(2)
    device = VirtualDevice(RATE, capture=sender, source=ramp(5000))
    monkeypatch.setattr(virtual, "at_exit", Interrupted())
    device.start()
    with pytest.raises(KeyboardInterrupt):
        device.close()
    monkeypatch.undo()
    device.close()
    receiver.close()
    pool.acquire().release()
    assert pool.free == 2


def test_dropped_in_its_own_callback_where_no_thread_can_be_started(tmp_path):
    """Better never freed than freed under its own thread."""
    run(
        tmp_path,
        """
        import threading
        from pong.streams.virtual import VirtualDevice

        def callback(*_):
            threading.Thread = None
            running.pop()
            dropped.set()

        dropped = threading.Event()
        running = [VirtualDevice(48000, callback=callback, output_format=(1, "int16"), speed=1)]
        running[0].start()
        assert dropped.wait(60)
        """,
    )


@pytest.mark.parametrize(("kind", "speed"), [("callback", 1e12), ("playback", 1e12), ("playback", 1e300)])
def test_the_fastest_clock_can_be_stopped(kind, speed):
    _pool, _first, (_back, playback) = make()
    parts = {"playback": playback} if kind == "playback" else {"callback": print, "output_format": (1, "int16")}
    if kind == "callback":
        parts["callback"] = lambda *_: None
    with VirtualDevice(RATE, speed=speed, **parts) as device:
        while not device.position:
            pass
    assert not device.active


@pytest.mark.parametrize(("samplerate", "speed"), [(RATE, 1e-9), (RATE, 1e-300), (RATE, 5e-324), (1e-300, 1)])
def test_the_slowest_clock_is_slow(samplerate, speed):
    """A time that no 64 bits hold is not the past."""
    _pool, (sender, receiver), _ = make()
    with VirtualDevice(samplerate, capture=sender, source=ramp(5000), speed=speed, callback_size=64) as device:
        assert not receiver.poll(0.05)
        assert (device.position, device.active) == (0, True)


@pytest.mark.parametrize("ending", ["device.close()", "sys.exit()", "del device"])
def test_a_child_of_a_fork_closes_a_device_that_a_thread_steps(tmp_path, ending):
    """The lock that the stepping thread holds is never given back in the child."""
    run(
        tmp_path,
        f"""
        import os, sys, threading
        import numpy as np
        import pong
        from pong.streams.virtual import VirtualDevice
        card, pool = (pong.BufferPool(2, 64, 1, "int32") for _ in range(2))
        feeder, feed = card.link()
        sender, receiver = pool.link()
        device = VirtualDevice(48000, capture=sender, source=feed, speed=None)
        device.start()
        stepping = threading.Thread(target=device.step, daemon=True)
        stepping.start()
        while card.stats().links[0].queued == 0 and stepping.is_alive() and not receiver.poll(0.05):
            feeder.send(card.acquire(None))
        pid = os.fork()
        if pid == 0:
            assert not device.active
            try:
                device.step()
            except RuntimeError:
                pass
            {ending}
            os._exit(0)
        assert os.waitpid(pid, 0) == (pid, 0)
        device.abort()
        stepping.join()
        device.close()
        """,
    )


def test_python_that_waits_for_what_becomes_a_streams_is_told():
    """`acquire` on another thread, and `recv`, while a device takes the pool and the link."""
    pool, (sender, receiver), (_back, playback) = make(1)
    held = pool.acquire()
    with ThreadPoolExecutor(2) as threads:
        acquiring, receiving = threads.submit(pool.acquire, 60), threads.submit(playback.recv, 60)
        with VirtualDevice(RATE, capture=sender, playback=playback, source=ramp(10), speed=None):
            for waiting in (acquiring, receiving):
                with pytest.raises(RuntimeError, match="a native stream"):
                    waiting.result(60)
    held.release()
    receiver.close()


def test_one_that_cannot_be_closed_at_exit_leaves_the_others(monkeypatch, capsys):
    closed = []

    class Each:
        def __init__(self, fails):
            self.fails = fails

        def close(self):
            closed.append(self)
            if self.fails:
                raise OSError("mine")

    # One of the test's own: devices of other tests may be collected meanwhile.
    both = [Each(True), Each(False)]
    monkeypatch.setattr(at_exit, "open_ones", weakref.WeakKeyDictionary(dict.fromkeys(both, True)))
    at_exit.close_all()
    assert len(closed) == 2
    assert "mine" in capsys.readouterr().err


def test_a_start_that_failed_can_be_repeated(monkeypatch):
    """The pool is another stream's at first."""
    stream = pong.InputStream(device=ramp(100), blocksize=10)
    stream.pool.link()
    sender, receiver = stream._device_ends[0], stream.receiver
    other = VirtualDevice(RATE, capture=sender, source=ramp(10), speed=None)
    other.start()
    with pytest.raises(RuntimeError, match="another stream"):
        stream.start()
    assert stream.stopped
    stream.stop()
    other.close()
    stream.close()
    assert receiver.closed


@pytest.mark.parametrize("order", list(itertools.permutations(["sender", "receiver", "player", "recorder"])))
def test_native_to_native_closed_in_any_order(order):
    pool = pong.BufferPool(4, 16, 1, "int32", on_empty="raise", max_links=1)
    sender, receiver = pool.link()
    ends = {
        "sender": sender,
        "receiver": receiver,
        "recorder": VirtualDevice(RATE, capture=sender, source=ramp(100_000), callback_size=7),
        "player": VirtualDevice(RATE, playback=receiver, callback_size=5),
    }
    ends["player"].start()
    ends["recorder"].start()
    for name in order:
        ends[name].close()
    assert pool.free == 4
    again, _ = pool.link()
    again.send(pool.acquire())


def test_what_does_not_go_together():
    _pool, _first, (_back, playback) = make()
    with pytest.raises(ValueError, match="output_format goes with a callback"):
        VirtualDevice(RATE, playback=playback, output_format=(1, "int32"))
    with pytest.raises(ValueError, match="prefill needs playback"):
        pong.OutputStream(callback=print, prefill=64)
    with pytest.raises(ValueError, match="buffers must be at least 9, not 8"):
        pong.Stream(
            device=(ramp(5000), None), blocksize=64, buffers=8,
            extra_settings=pong.VirtualSettings(callback_size=512),
        )


def test_a_file_is_not_heard_and_overwritten_at_once(tmp_path):
    path = tmp_path / "both.wav"
    with pong.OutputStream(RATE, device=path) as stream:
        stream.write(np.zeros(100, "float32"))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="the output is the input"):
        pong.Stream(device=(str(path), path))
    assert path.read_bytes() == before


def test_sizes_in_turn_may_be_any_sequence():
    pool, (sender, receiver), _ = make()
    with VirtualDevice(RATE, capture=sender, source=ramp(100), callback_size=range(1, 4)):
        assert sum(buf.frames for buf in receiver) == 100
    assert pool.free == 8


def test_a_child_of_a_fork_cannot_start_its_parents_device(tmp_path):
    run(
        tmp_path,
        """
        import os
        from pong.streams.virtual import VirtualDevice
        device = VirtualDevice(48000, callback=print, output_format=(1, "int16"), speed=None)
        pid = os.fork()
        if pid == 0:
            try:
                device.start()
            except RuntimeError:
                os._exit(0)
            os._exit(1)
        assert os.waitpid(pid, 0) == (pid, 0)
        """,
    )


def test_stop_loses_nothing_that_a_feeder_was_late_with():
    """What was heard when the stop came is delivered or never was; it is not counted as lost."""
    card = pong.BufferPool(4, 64, 1, "int32", on_empty="raise")
    feeder, feed = card.link()
    pool, (sender, receiver), _ = make()
    for _ in range(3):
        feeder.send(card.acquire())
    with VirtualDevice(RATE, capture=sender, source=feed, callback_size=128, speed=1) as device:
        while card.stats().links[0].queued or receiver.poll() is False:
            pass
        device.stop()
        assert device.wait(60)
        assert device.lost == 0
    receiver.close()
    assert (pool.free, card.free) == (8, 4)


@pytest.mark.parametrize("prefill", [0, 512])
def test_duplex_that_would_wait_for_itself_is_refused(prefill):
    with pytest.raises(ValueError, match="prefill must be at least 896 frames, not"):
        pong.Stream(device=(ramp(5000), None), blocksize=1024, prefill=prefill)


def test_a_stream_that_is_not_started_says_so():
    stream = pong.InputStream(device="tone")
    with pytest.raises(pong.StreamError, match="not started"):
        next(stream)
    stream.close()
