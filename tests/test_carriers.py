"""Feeder and writer: sound goes through a pool exactly, every end is an end, and nothing is kept afterwards."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import soundfile
from observe import LONG, wait_until

import pong
from pong.streams.files import Feeder, NullSink, Silence, SoundSink, SoundSource, Tone, Writer
from pong.streams.virtual import VirtualDevice

VOICE = Path(__file__).resolve().parent.parent / "pong" / "examples" / "voice.wav"


class Source:
    """A source that gives so many blocks of ones, then does something."""

    samplerate, channels, dtype, subtype, frames = 48000, 1, "float32", "FLOAT", None

    def __init__(self, blocks, then=lambda array: 0, at_close=None):
        self.blocks, self.then, self.at_close = blocks, then, at_close
        self.closed = 0

    def read_into(self, array):
        if not self.blocks:
            return self.then(array)
        self.blocks -= 1
        array[:] = 1
        return len(array)

    def close(self):
        self.closed += 1
        if self.at_close:
            raise self.at_close


class Sink:
    """A sink that takes so many blocks, then raises."""

    def __init__(self, blocks, error=None, at_close=None):
        self.blocks, self.error, self.at_close = blocks, error, at_close
        self.frames = self.closed = 0

    def write(self, array):
        if not self.blocks:
            raise self.error
        self.blocks -= 1
        self.frames += len(array)

    def close(self):
        self.closed += 1
        if self.at_close:
            raise self.at_close


def raiser(error):
    """Return a function that raises an error, and had the array when it did."""

    def function(array):
        kept = array[:1]
        try:
            raise KeyError("first")
        except KeyError:
            raise error from (None if len(kept) else error)

    return function


def pool_of(count=4, blocksize=64, channels=1, dtype="float32", **options):
    """Return a pool and both ends of a link of it."""
    pool = pong.BufferPool(count, blocksize, channels, dtype, on_empty="raise", **options)
    return (pool, *pool.link())


def ended(*threads):
    """Wait for threads."""
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()


def all_home(pool):
    """Tell whether every slot is free: none owned, queued or pinned."""
    return pool.free == len(pool)


@pytest.mark.parametrize(("name", "subtype"), [("a.wav", "PCM_16"), ("a.flac", "PCM_24"), ("a.wav", "FLOAT")])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("count", "blocksize"), [(1, 1000), (2, 64), (16, 1024), (3, 100_000)])
def test_a_file_through_a_pool_is_exact(tmp_path, name, subtype, channels, count, blocksize):
    speech, rate = soundfile.read(VOICE)
    soundfile.write(tmp_path / f"in-{name}", np.stack([speech, -speech][:channels], 1), rate, subtype=subtype)
    source = SoundSource(tmp_path / f"in-{name}")
    pool, sender, receiver = pool_of(count, blocksize, channels, source.dtype, samplerate=rate)
    out = tmp_path / name
    sink = SoundSink(out, samplerate=rate, channels=channels, dtype=source.dtype, subtype=subtype)
    feeder, writer = Feeder(source, pool, sender), Writer(sink, receiver)
    assert feeder.daemon
    assert writer.daemon
    writer.start()
    feeder.start()
    ended(feeder, writer)
    assert (feeder.error, writer.error) == (None, None)
    assert sink.frames == len(speech)
    for kind in ("int32", "float64"):
        np.testing.assert_array_equal(
            soundfile.read(out, dtype=kind)[0], soundfile.read(tmp_path / f"in-{name}", dtype=kind)[0]
        )
    assert sender.closed
    assert receiver.closed
    assert all_home(pool)


def test_the_last_block_is_short():
    pool, sender, receiver = pool_of()
    feeder = Feeder(Tone(seconds=100 / 48000), pool, sender)
    feeder.start()
    assert [len(buf) for buf in receiver] == [64, 36]
    ended(feeder)


def test_a_writer_of_a_native_stream():
    array = np.arange(5000, dtype="float32").reshape(-1, 1)
    _pool, sender, receiver = pool_of()
    sink = NullSink(samplerate=48000, channels=1, dtype="float32")
    writer = Writer(sink, receiver)
    writer.start()
    with VirtualDevice(48000, capture=sender, source=array):
        ended(writer)
    assert (writer.error, sink.frames) == (None, 5000)


# --- ends and errors


def close_receiver(pool, receiver):
    receiver.close()


def close_pool(pool, receiver):
    pool.close()


@pytest.mark.parametrize("close", [close_receiver, close_pool])
@pytest.mark.parametrize("received", [0, 3])
def test_a_feeder_ends_with_the_device(close, received):
    """While it waits for a free slot, or while it sends."""
    pool, sender, receiver = pool_of(2)
    source = Source(10**9)
    feeder = Feeder(source, pool, sender)
    feeder.start()
    for _ in range(received):
        receiver.recv(LONG).release()
    wait_until(lambda: pool.free == 0)
    close(pool, receiver)
    ended(feeder)
    assert (feeder.error, source.closed, sender.closed) == (None, 1, True)


@pytest.mark.parametrize("blocks", [0, 1, 5])
def test_an_error_of_the_source(blocks):
    """What came before arrives; the error is there when the link ends; no slot is lost or pinned."""
    pool, sender, receiver = pool_of()
    source = Source(blocks, raiser(ValueError("broken")))
    feeder = Feeder(source, pool, sender)
    feeder.start()
    received = 0
    for buf in receiver:
        with buf:
            assert (buf.samples == 1).all()
            received += 1
    assert (received, str(feeder.error)) == (blocks, "broken")
    ended(feeder)
    assert source.closed == 1
    assert feeder.error.__traceback__ is not None
    assert all_home(pool)


def test_an_error_that_is_its_own_cause():
    pool, sender, _receiver = pool_of()
    error = ValueError("round")
    error.__cause__ = error
    feeder = Feeder(Source(0, raiser(error)), pool, sender)
    feeder.start()
    ended(feeder)
    assert feeder.error is error


@pytest.mark.parametrize(
    ("then", "at_close", "kept"),
    [
        (lambda array: 0, OSError("at close"), "at close"),
        (raiser(OSError("in the middle")), OSError("at close"), "in the middle"),
        (raiser(SystemExit("any error")), None, "any error"),
    ],
)
def test_the_first_error_is_kept(then, at_close, kept):
    pool, sender, _receiver = pool_of()
    feeder = Feeder(Source(0, then, at_close), pool, sender)
    feeder.start()
    ended(feeder)
    assert str(feeder.error) == kept
    sender, receiver = pool.link()
    sender.send(pool.acquire())
    sender.close()
    writer = Writer(Sink(0, OSError("write"), OSError("close")), receiver)
    writer.start()
    ended(writer)
    assert str(writer.error) == "write"


def test_a_source_that_keeps_a_view():
    """It forbids sending: an error, and the slot stays pinned only while the view lives."""
    pool, sender, receiver = pool_of()
    kept = []

    def keep(array):
        kept.append(array[:1])
        return len(array)

    feeder = Feeder(Source(0, keep), pool, sender)
    feeder.start()
    ended(feeder)
    assert isinstance(feeder.error, BufferError)
    assert pool.stats().pinned == 1
    kept.clear()
    assert all_home(pool)
    with pytest.raises(pong.ClosedError):
        receiver.recv(LONG)


@pytest.mark.parametrize("blocks", [0, 3])
def test_an_error_of_the_sink(blocks):
    """The receiver is closed: the sender notices; queued slots go home; the error is there by then."""
    pool, sender, receiver = pool_of()
    sink = Sink(blocks, OSError(28, "full"))
    writer = Writer(sink, receiver)
    writer.start()

    def send_on():
        while True:
            sender.send(pool.acquire(LONG))

    with pytest.raises(pong.ClosedError):
        send_on()
    assert writer.error.errno == 28
    ended(writer)
    assert (sink.frames, sink.closed, receiver.closed) == (64 * blocks, 1, True)
    assert all_home(pool)


def test_an_error_at_the_end_of_the_sink():
    _, sender, receiver = pool_of()
    sender.close()
    writer = Writer(Sink(0, at_close=OSError("late")), receiver)
    writer.start()
    ended(writer)
    assert str(writer.error) == "late"


@pytest.mark.parametrize("side", ["sender", "receiver", "pool"])
def test_a_writer_ends_with_the_device(side):
    pool, sender, receiver = pool_of()
    sink = Sink(10)
    writer = Writer(sink, receiver)
    for _ in range(3):
        sender.send(pool.acquire())
    writer.start()
    wait_until(lambda: sink.frames == 3 * 64)
    {"sender": sender, "receiver": receiver, "pool": pool}[side].close()
    ended(writer)
    assert (writer.error, sink.frames, sink.closed) == (None, 3 * 64, 1)


def test_both_end_together_when_the_sink_fails():
    """Feeder and writer on one link: the writer's error ends the feeder, which has none."""
    pool, sender, receiver = pool_of()
    feeder, writer = Feeder(Silence(), pool, sender), Writer(Sink(10, OSError("full")), receiver)
    feeder.start()
    writer.start()
    ended(feeder, writer)
    assert (feeder.error, str(writer.error)) == (None, "full")
    assert all_home(pool)


class Watched(pong.BufferPool):
    """A pool whose end can be seen."""


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_kept_after_the_end(fails):
    """Not by the thread, nor by the error it keeps: link ends are finalized, and with them the pool goes."""
    pool = Watched(4, 64, 1, on_empty="raise")
    gone = weakref.ref(pool)
    sender, receiver = pool.link()
    source, sink = Source(3, raiser(ValueError("x")) if fails else lambda _: 0), Sink(2 if fails else 9, OSError("y"))
    objects = [weakref.ref(thing) for thing in (source, sink)]
    feeder, writer = Feeder(source, pool, sender), Writer(sink, receiver)
    feeder.start()
    writer.start()
    ended(feeder, writer)
    del pool, sender, receiver, source, sink
    gc.collect()
    assert [gone(), *(thing() for thing in objects)] == [None] * 3
    assert (feeder.error is not None, writer.error is not None) == (fails, fails)


@pytest.mark.parametrize(
    ("source", "error", "text"),
    [
        (Silence(channels=2), ValueError, "the source's channels is 2, the pool's is 1: they must be the same"),
        (Silence(dtype="int16"), ValueError, "the source's dtype is int16, the pool's is float32"),
        (Silence(samplerate=44100), ValueError, "the source's samplerate is 44100, the pool's is 48000"),
    ],
)
def test_a_source_that_does_not_fit(source, error, text):
    pool, sender, receiver = pool_of(samplerate=48000)
    with pytest.raises(error, match=text):
        Feeder(source, pool, sender)
    with pytest.raises(TypeError, match="pool must be a BufferPool, not Receiver"):
        Feeder(Silence(), receiver, sender)
    assert not sender.closed
