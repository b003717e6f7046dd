"""Planar pools in streams and in native code: every sample in its place, and refused where frames are interleaved."""

from __future__ import annotations

import ctypes
from contextlib import ExitStack, closing

import numpy as np
import pytest
import soundfile
from native_build import load
from native_functions import SEEN
from table import OK, Buffer, api

import pong
from pong.streams.process import Chain
from pong.streams.sinks import SoundSink
from pong.streams.virtual import VirtualDevice

BLOCKSIZE = 7
# Frames of callbacks: none, less than a block, one, more than several.
PARTS = (1, 3, 7, 0, 8, 13, 29, 2, 6)
TOTAL = sum(PARTS)


def sound_of(channels: int, frames: int = TOTAL) -> np.ndarray:
    """Return frames whose samples are all different, so that any mistake of place shows."""
    return np.arange(1, frames * channels + 1, dtype="float32").reshape(frames, channels)


def make(order: str, channels: int, count: int = 16) -> tuple:
    pool = pong.BufferPool(count, BLOCKSIZE, channels, order=order, on_empty="raise")
    return pool, *pool.link()


def channel_by_channel(frames: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(frames.T)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_capture_of_planes(order: str, channels: int) -> None:
    """Callbacks of any size, one piece of memory per channel, into blocks of either order."""
    pool, sender, receiver = make(order, channels)
    device = load("_planes").Planes(sender, None)
    sound, at = sound_of(channels), 0
    for part in PARTS:
        assert device.capture(channel_by_channel(sound[at : at + part]), at / 8000)
        at += part
    assert device.end()
    blocks = receiver.drain()
    assert [buf.frames for buf in blocks] == [BLOCKSIZE] * (TOTAL // BLOCKSIZE) + [TOTAL % BLOCKSIZE]
    assert [buf.position for buf in blocks] == list(range(0, TOTAL, BLOCKSIZE))
    np.testing.assert_array_equal(np.concatenate([buf.samples for buf in blocks]), sound)
    assert pool.order == order


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_playback_of_planes(order: str, channels: int) -> None:
    """Blocks of either order and any length, out of callbacks of any size; nothing else of their memory is touched."""
    pool, sender, receiver = make(order, channels, 32)
    device = load("_planes").Planes(None, receiver)
    sound, at = sound_of(channels), 0
    for n in range(1, TOTAL):
        buf = pool.acquire()
        at += buf.write(sound[at : at + n % BLOCKSIZE + 1])
        sender.send(buf)
        if at == TOTAL:
            break
    heard = []
    for part in PARTS:
        whole = np.full((channels, part + 1), -1, "float32")
        assert device.play(whole, 1) == 1 + part
        assert (whole[:, 0] == -1).all()
        heard.append(whole[:, 1:].T)
    np.testing.assert_array_equal(np.concatenate(heard), sound)
    left = np.full((channels, 4), -1, "float32")
    assert device.play(left, 2) == 2
    assert (left == -1).all()
    assert pool.free == 32


def test_frames_behind_a_planar_capture_stay() -> None:
    """A short block of planes writes nothing between them."""
    pool, sender, receiver = make("F", 3, 1)
    with pool.acquire() as buf:
        buf.samples[:] = -1
    device = load("_planes").Planes(sender, None)
    device.capture(channel_by_channel(sound_of(3, 2)), 0)
    device.capture(channel_by_channel(sound_of(3, 3)[2:]), 0)
    assert device.end()
    with receiver.recv_nowait() as buf:
        root = buf.samples.base
        np.testing.assert_array_equal(root[:3], sound_of(3, 3))
        assert (root[3:] == -1).all()


# --- native code of others


@pytest.mark.parametrize(("order", "plane"), [("C", 0), ("F", BLOCKSIZE)])
def test_a_processing_function_is_told(order: str, plane: int) -> None:
    pool, *_ = make(order, 3)
    seen = np.zeros(1, SEEN)
    with pool.acquire() as buf:
        buf.write(sound_of(3, 5))
        process = load("_process").__pyx_capi__["pong_test_note"]
        load("_process").run_chain(Chain((process, seen), 3, "float32"), buf, 0, 8000.0)
    assert (seen["plane"][0], seen["frames"][0], seen["channels"][0]) == (plane, 5, 3)


@pytest.mark.parametrize(("order", "plane"), [("C", 0), ("F", BLOCKSIZE)])
def test_the_table_tells(order: str, plane: int) -> None:
    """The geometry, an acquired and a received buffer; what native code puts where `plane` says comes out right."""
    pool, sender, receiver = make(order, 3)
    sound = sound_of(3, 5)
    back, end = pool.link()
    ends = [api.open_sender(sender, 1), api.open_receiver(end)]
    try:
        assert [api.format_rt(each).contents.plane for each in ends] == [plane] * 2
        buf = Buffer()
        assert api.acquire_rt(ends[0], buf) == OK
        assert buf.block.plane == plane
        memory = (ctypes.c_float * (3 * BLOCKSIZE)).from_address(buf.samples)
        for f, c in np.ndindex(5, 3):
            memory[c * plane + f if plane else f * 3 + c] = sound[f, c]
        buf.block.frames = 5
        buf.block.plane = 99            # nobody looks at it
        assert api.send_rt(ends[0], buf) == OK
        got = receiver.recv_nowait()
        np.testing.assert_array_equal(got.samples, sound)
        back.send(got)
        assert api.recv_rt(ends[1], buf) == OK
        assert (buf.block.plane, buf.block.frames) == (plane, 5)
        assert api.release_rt(ends[1], buf) == OK
    finally:
        for each in ends:
            api.close(each)


# --- where frames are interleaved


@pytest.mark.parametrize("backend", ["virtual", "portaudio", "miniaudio"])
@pytest.mark.parametrize("kind", [pong.InputStream, pong.OutputStream, pong.Stream])
def test_streams_that_have_no_planes(backend: str, kind: type) -> None:
    """Refused before anything is opened, whether planes are asked for or a planar pool or link is given."""
    pool = pong.BufferPool(4, 64, 2, order="F", on_empty="raise")
    with ExitStack() as stack:
        link = pool.link()
        stack.callback(link[0].close)
        stack.callback(link[1].close)
        for more in ({"order": "F"}, {"pool": pool}, {"link": link}):
            if kind is pong.Stream and "order" not in more:
                more = {name: (each, None) for name, each in more.items()}
            with pytest.raises(ValueError, match=rf"order 'F' .* backend '{backend}', only with 'jack'"):
                kind(backend=backend, **more)
    assert pool.free == 4


@pytest.mark.parametrize("order", ["A", "f", 1, b"C"], ids=repr)
def test_other_orders_of_streams_are_refused(order: object) -> None:
    with pytest.raises(ValueError, match=r"^order must be 'C' .* or 'F' .*, not "):
        pong.InputStream(device="silence", order=order)


def test_an_order_that_a_given_pool_has_not() -> None:
    pool = pong.BufferPool(4, 64, 2, order="F", on_empty="raise")
    with pytest.raises(ValueError, match="input's pool has order 'F', but the stream order 'C'"):
        pong.InputStream(device=np.zeros((100, 2), "float32"), samplerate=8000, pool=pool, order="C")


def test_order_of_streams() -> None:
    sink = np.zeros((100, 2), "float32")
    with (
        pong.InputStream(device="silence", channels=2, samplerate=8000) as one,
        pong.OutputStream(8000, device=sink, order="C") as other,
    ):
        assert (one.order, one.pool.order, other.order) == ("C",) * 3
    with pong.Stream(8000, device=(sink, sink.copy()), order=("C", None)) as both:
        assert both.order == ("C", "C")


def test_a_mono_pool_fits_in_any_order() -> None:
    pool = pong.BufferPool(8, 64, 1, order="F", on_empty="raise")
    heard = np.arange(1000, dtype="float32")
    with pong.InputStream(8000, device=heard, pool=pool) as stream:
        np.testing.assert_array_equal(np.concatenate([buf.copy() for buf in stream])[:, 0], heard)


@pytest.mark.parametrize("part", ["capture", "playback", "source", "sink"])
def test_a_virtual_device_refuses_planes(part: str) -> None:
    planar = pong.BufferPool(4, 64, 2, order="F", on_empty="raise")
    plain = pong.BufferPool(4, 64, 2, on_empty="raise")
    (sender, receiver), (into, out) = planar.link(), plain.link()
    parts = {
        "capture": {"capture": sender},
        "playback": {"playback": receiver},
        "source": {"capture": into, "source": receiver},
        "sink": {"playback": out, "sink": sender},
    }[part]
    with pytest.raises(ValueError, match=r"planar pool \(order='F'\).* interleaved frames"):
        VirtualDevice(8000, **parts)
    assert not sender.closed
    assert not receiver.closed


# --- files


@pytest.mark.parametrize("frames", [1, 5, 64])
@pytest.mark.parametrize("name", ["out.wav", "out.flac"])
def test_a_sound_file_of_planar_blocks(tmp_path, name: str, frames: int) -> None:
    """soundfile takes frames in a row: what it is given as planes is written as what it is."""
    pool = pong.BufferPool(2, 64, 2, "int16", order="F", on_empty="raise")
    values = np.arange(128, dtype="int16").reshape(64, 2)
    sink = SoundSink(tmp_path / name, samplerate=8000, channels=2, dtype="int16")
    with closing(sink), pool.acquire() as buf:
        buf.write(values[:frames])
        sink.write(buf.samples)
        sink.write(buf.samples)
    got, _ = soundfile.read(tmp_path / name, dtype="int16")
    np.testing.assert_array_equal(got, np.vstack([values[:frames]] * 2))
