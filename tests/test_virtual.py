"""The virtual device: capture from a native thread, without loss or with every loss told."""

import ctypes
import threading

import numpy as np
import pytest

import pong
from pong.streams.virtual import VirtualDevice

RATE = 48000


def ramp(frames, channels=1, dtype="int32"):
    """Return samples that are all different, so that any mistake of place shows."""
    return np.arange(1, frames * channels + 1, dtype=dtype).reshape(frames, channels)


def played(array, *, count=4, blocksize=64, callback_size=None, speed=0.0):
    """Play an array; return the received (position, gap, samples) and the stream."""
    pool = pong.BufferPool(count, blocksize, array.shape[1], array.dtype, on_empty="raise")
    sender, receiver = pool.link()
    blocks = []
    options = {"callback_size": callback_size or blocksize, "speed": speed}
    with VirtualDevice(RATE, capture=sender, source=array, **options) as stream:
        for buf in receiver:
            with buf:
                blocks.append((buf.position, buf.gap, buf.copy()))
    assert pool.free == count
    return blocks, stream


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("callback_size", [1, 7, 64, 100, 1000])
@pytest.mark.parametrize("blocksize", [1, 64, 100])
@pytest.mark.parametrize("frames", [1, 64, 1003])
def test_everything_arrives_in_its_place(frames, blocksize, callback_size, channels):
    array = ramp(frames, channels)
    blocks, stream = played(array, blocksize=blocksize, callback_size=callback_size)
    assert [len(samples) for _, _, samples in blocks[:-1]] == [blocksize] * (len(blocks) - 1)
    assert [position for position, _, _ in blocks] == list(range(0, frames, blocksize))
    assert all(gap == 0 for _, gap, _ in blocks)
    assert (stream.lost, stream.position) == (0, frames)
    np.testing.assert_array_equal(np.concatenate([samples for _, _, samples in blocks]), array)


@pytest.mark.parametrize("callback_size", [3, 64, 200])
def test_lost_frames_stand_in_the_next_gap(callback_size):
    """I6: with a clock and a receiver that stalls, frames and gaps together are the whole sound, each in its place."""
    array = ramp(20_000)
    pool = pong.BufferPool(2, 64, 1, "int32", on_empty="raise")
    sender, receiver = pool.link()
    covered = 0
    with VirtualDevice(RATE, capture=sender, source=array, callback_size=callback_size, speed=50) as stream:
        first = receiver.recv()
        # One block is held and the other queued, so the pool is empty until the sound has gone on for a while.
        while stream.position < 5000:
            pass
        first.release()
        for buf in receiver:
            with buf:
                if covered == 0:
                    covered = 64
                covered += buf.gap
                assert buf.position == covered
                np.testing.assert_array_equal(buf.samples, array[covered : covered + buf.frames])
                covered += buf.frames
                last = buf.position + buf.frames
    lost_at_the_end = len(array) - last
    assert stream.position == len(array)
    assert stream.lost > 0
    assert covered + lost_at_the_end == len(array)
    assert pool.free == 2


def test_metadata():
    pool = pong.BufferPool(4, 100, on_empty="raise", dtype="int32")
    sender, receiver = pool.link()
    with VirtualDevice(1000, capture=sender, source=ramp(250)):
        blocks = [(buf.seq, buf.position, buf.frames, buf.time, buf.time_source, buf.status) for buf in receiver]
    assert blocks == [
        (0, 0, 100, pytest.approx(0.0), "stream", 0),
        (1, 100, 100, pytest.approx(0.1), "stream", 0),
        (2, 200, 50, pytest.approx(0.2), "stream", 0),
    ]


def test_python_neither_acquires_nor_sends_meanwhile():
    pool = pong.BufferPool(2, 8, dtype="int32", on_empty="raise")
    sender, receiver = pool.link()
    stream = VirtualDevice(RATE, capture=sender, source=ramp(80))
    before = pool.acquire()
    with stream:
        with pytest.raises(RuntimeError, match="a native stream acquires"):
            pool.acquire()
        with pytest.raises(RuntimeError, match="a native stream sends"):
            sender.send(before)
        assert not before.detached
        other, _ = pool.link()
        with pytest.raises(RuntimeError, match="another stream"):
            VirtualDevice(RATE, capture=other, source=ramp(80)).start()
        before.release()
        assert sum(buf.frames for buf in receiver) == 80
    pool.acquire().release()


def test_a_closed_receiver_ends_the_stream():
    pool = pong.BufferPool(2, 8, dtype="int32", on_empty="raise")
    sender, receiver = pool.link()
    with VirtualDevice(RATE, capture=sender, source=ramp(8000)):
        receiver.recv().release()
        receiver.close()
    assert pool.free == 2
    assert sender.closed


@pytest.mark.parametrize("how", ["close", "pool", "drop"])
def test_ending_while_it_waits_for_a_free_buffer(how):
    pool = pong.BufferPool(2, 8, dtype="int32", on_empty="raise")
    sender, receiver = pool.link()
    stream = VirtualDevice(RATE, capture=sender, source=ramp(8000))
    stream.start()
    held = [receiver.recv(), receiver.recv()]
    if how == "close":
        stream.close()
        stream.close()
    elif how == "pool":
        pool.close()
    else:
        del stream
    held += receiver
    if how == "pool":
        stream.close()
    held.clear()
    assert pool.in_use == 0


def test_a_link_is_the_streams_until_its_thread_has_ended():
    """Both ends closed, the place in the arena is not another link's while the native thread may still use it."""
    pool = pong.BufferPool(4, 8, dtype="int32", on_empty="raise", max_links=1)
    sender, receiver = pool.link()
    stream = VirtualDevice(RATE, capture=sender, source=ramp(80_000), speed=1)
    stream.start()
    sender.close()
    receiver.close()
    with pytest.raises(RuntimeError, match="all 1 links"):
        pool.link()
    stream.close()
    new_sender, new_receiver = pool.link()
    new_sender.send(pool.acquire(), tag=5)
    assert (new_receiver.recv().tag, pool.in_use) == (5, 0)


def test_closed_by_two_threads_at_once():
    """Each returns only when the native thread has ended; until then it would be refused to acquire."""
    pool = pong.BufferPool(64, 4096, dtype="int32", on_empty="raise")  # more than there is to play
    sender, _receiver = pool.link()
    stream = VirtualDevice(RATE, capture=sender, source=ramp(80_000), speed=1)
    stream.start()

    def close():
        stream.close()
        pool.acquire().release()
        done.append(True)

    done = []
    threads = [threading.Thread(target=close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 4


def test_stopped_before_it_was_started():
    """A signal handler may come first: the stream then starts and ends at once."""
    pool = pong.BufferPool(4, 8, dtype="int32", on_empty="raise")
    sender, receiver = pool.link()
    stream = VirtualDevice(RATE, capture=sender, source=ramp(80_000))
    stream.stop()
    with stream:
        assert list(receiver) == []
    assert (stream.position, pool.in_use) == (0, 0)


def test_made_once():
    pool = pong.BufferPool(4, 8, dtype="int32")
    sender, _receiver = pool.link()
    stream = VirtualDevice(RATE, capture=sender, source=ramp(8))
    with pytest.raises(RuntimeError, match="made once"):
        stream.__init__(RATE, capture=sender, source=ramp(8))


def test_the_thread_never_takes_the_gil():
    """While a C call holds the GIL, the stream plays on."""
    pool = pong.BufferPool(4, 64, 1, "int32", on_empty="raise")
    sender, receiver = pool.link()
    # PyDLL, other than CDLL, keeps the GIL during the call.
    hold_the_gil = ctypes.PyDLL(None).usleep
    with VirtualDevice(RATE, capture=sender, source=ramp(480_000), speed=1) as stream:
        # No other Python thread asks for the GIL, so this one has it from the first reading to the last.
        before = stream.position
        hold_the_gil(200_000)
        assert stream.position > before
        receiver.close()


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"source": np.zeros((4, 2), "int32")}, ValueError, "source has 2 channels of int32, but the pool .* has 1"),
        ({"source": np.zeros((4, 1, 1), "int32")}, ValueError, r"shape \(frames, channels\)"),
        ({"source": np.zeros(4, "float32")}, ValueError, "source has 1 channels of float32"),
        ({"source": np.zeros(4, ">i4")}, TypeError, "native byte order"),
        ({"source": [1, 2]}, TypeError, "ndarray"),
        ({"source": None}, ValueError, "capture needs a source"),
        ({"sink": np.zeros(4, "int32")}, ValueError, "an output needs playback"),
        ({"callback": print}, ValueError, "or else a callback"),
        ({"callback": 1}, TypeError, "callable"),
        ({"capture": None}, ValueError, "needs capture, playback or both"),
        ({"samplerate": 0}, ValueError, "samplerate must be more than 0"),
        ({"samplerate": float("nan")}, ValueError, "samplerate"),
        ({"samplerate": "48000"}, TypeError, "samplerate must be a number"),
        ({"speed": -1}, ValueError, "speed must be 0 or more"),
        ({"speed": float("inf")}, ValueError, "speed"),
        ({"speed": True}, TypeError, "speed"),
        ({"latency": -1}, ValueError, "latency must be 0 or more"),
        ({"prefill": -1}, ValueError, "prefill must be from 0"),
        ({"callback_size": 0}, ValueError, "callback_size must be from 1"),
        ({"callback_size": 1.5}, TypeError, "callback_size must be an integer"),
        ({"callback_size": []}, ValueError, "one size at least"),
        ({"callback_size": [64, 0]}, ValueError, "callback_size must be from 1"),
    ],
)
def test_bad_input(changes, error, text):
    pool = pong.BufferPool(2, 8, dtype="int32")
    sender, _receiver = pool.link()
    arguments = {"samplerate": RATE, "capture": sender, "source": ramp(8), **changes}
    with pytest.raises(error, match=text):
        VirtualDevice(arguments.pop("samplerate"), **arguments)
    sender.send(pool.acquire())


def test_bad_ends():
    pool, other = pong.BufferPool(2, 8, dtype="int32"), pong.BufferPool(2, 8, dtype="int32")
    sender, receiver = pool.link()
    stream = VirtualDevice(RATE, capture=sender, source=ramp(8))
    receiver.close()
    with pytest.raises(pong.ClosedError):
        stream.start()
    pool.acquire().release()
    sender.close()
    with pytest.raises(pong.ClosedError):
        VirtualDevice(RATE, capture=sender, source=ramp(8))
    with pytest.raises(RuntimeError, match="not started"):
        stream.wait()
    sender, _receiver = other.link()
    with VirtualDevice(RATE, capture=sender, source=ramp(8)[:, 0]) as once:
        pass
    with pytest.raises(RuntimeError, match="once"):
        once.start()
