"""Planar pools: the same buffers with each channel's samples in one piece."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from aliases import CHANNELS, FRAMES, PLANAR, VALUES, Alias, disturb, filled, rows, small_pool, where
from test_detach_aliases import check_own_block
from test_detach_views import CHANGES, set_quietly

import pong

SHAPE = (FRAMES, CHANNELS)
STRIDES = (4, FRAMES * 4)


def planar_pool(count: int = 3, **more) -> pong.BufferPool:
    return small_pool(count, **({"order": "F"} | more))


def planes_of(buf: pong.Buffer) -> np.ndarray:
    """Return what lies in the slot's memory, plane by plane, however `samples` shows it."""
    root = buf.samples.base
    return root.T.ravel().reshape(root.shape[1], root.shape[0])


def test_order_of_a_pool() -> None:
    assert [pong.BufferPool(2, 4, 2, **more).order for more in ({}, {"order": "C"}, {"order": "F"})] == ["C", "C", "F"]
    assert "planar" in repr(planar_pool())
    assert "planar" not in repr(small_pool())


@pytest.mark.parametrize("order", [None, "A", "K", "c", "f", "", "CF", 1, b"F", ["F"]], ids=repr)
def test_other_orders_are_refused(order: object) -> None:
    with pytest.raises(ValueError, match=r"^order must be 'C' \(interleaved frames\) or 'F' \(one plane per channel\)"):
        pong.BufferPool(2, 4, 2, order=order)


@pytest.mark.parametrize("frames", range(FRAMES + 1))
def test_samples_and_their_memory(frames: int) -> None:
    """Sample f of channel c lies at c * blocksize + f, however many frames are valid."""
    pool = planar_pool()
    buf = filled(pool)
    start = buf.samples.ctypes.data
    whole = buf.samples[:]
    buf.frames = frames
    assert (buf.samples.shape, buf.samples.strides, buf.samples.ctypes.data) == ((frames, CHANNELS), STRIDES, start)
    assert buf.nbytes == frames * CHANNELS * 4
    np.testing.assert_array_equal(buf.samples, VALUES[:frames])
    for f, c in itertools.product(range(frames), range(CHANNELS)):
        assert buf.samples[f : f + 1, c : c + 1].ctypes.data == start + (c * FRAMES + f) * 4
    np.testing.assert_array_equal(whole.T.ravel(), VALUES.T.ravel())


@pytest.mark.parametrize("blocksize", [1, 2, FRAMES])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_flags_tell_what_numpy_would(blocksize: int, channels: int) -> None:
    """NumPy takes memory for one piece where the flags say so: at each length they must be right."""
    pool = pong.BufferPool(1, blocksize, channels, order="F", on_empty="raise")
    sender, receiver = pool.link()
    whole = np.arange(1, blocksize * channels + 1, dtype="float32").reshape(blocksize, channels)
    for frames in [*range(blocksize, -1, -1), *range(blocksize + 1)]:
        buf = pool.acquire()
        buf.write(whole)
        buf.frames = frames
        for _ in range(2):
            x = buf.samples
            like = x[:]
            # What has no frames is contiguous in any case.
            assert not frames or (x.flags.f_contiguous, x.flags.c_contiguous) == (
                like.flags.f_contiguous, like.flags.c_contiguous
            )
            np.testing.assert_array_equal(x.ravel("F"), whole[:frames].ravel("F"))
            np.testing.assert_array_equal(np.sort(x.ravel("K")), whole[:frames].ravel())
            np.testing.assert_array_equal(x + x, 2 * whole[:frames])
            assert memoryview(x).tolist() == whole[:frames].tolist()
            del x, like
            sender.send(buf)
            buf = receiver.recv_nowait()
        buf.release()


def test_frames_lowered_by_the_receiver_and_raised_by_the_next_owner() -> None:
    pool = planar_pool(1)
    sender, receiver = pool.link()
    for frames in (FRAMES, 3, 0, FRAMES, 1, FRAMES):
        buf = filled(pool)
        sender.send(buf)
        with receiver.recv_nowait() as got:
            got.samples[-1]
            got.frames = frames
            assert got.samples.flags.f_contiguous == (frames in (0, FRAMES)) or frames == 0
            np.testing.assert_array_equal(np.multiply(got.samples, 2), 2 * VALUES[:frames])


def test_a_refused_send_leaves_proper_samples() -> None:
    """The receiver closes in between: `samples` of a short block come back as they were."""
    pool = planar_pool(1)
    sender, receiver = pool.link()
    buf = filled(pool)
    buf.frames = 5
    x = buf.samples
    receiver.close()
    with pytest.raises(pong.ClosedError):
        sender.send(buf)
    assert (x.shape, x.strides, x.flags.f_contiguous) == ((5, CHANNELS), STRIDES, False)
    np.testing.assert_array_equal(x.ravel("F"), VALUES[:5].ravel("F"))


# --- writing


WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "part of F": lambda values: np.asfortranarray(np.vstack([values, values]))[: len(values)],
    "every second plane": lambda values: np.asfortranarray(np.repeat(values, 2, axis=1))[:, ::2],
    "planes backwards": lambda values: np.asfortranarray(values[:, ::-1])[:, ::-1],
    "frames backwards": lambda values: np.asfortranarray(values[::-1])[::-1],
    "int16": lambda values: values.astype("int16"),
    "float64 in planes": lambda values: np.asfortranarray(values, "float64"),
    "list": lambda values: values.tolist() or np.empty_like(values),
    "read-only": lambda values: np.frombuffer(values.tobytes(), "float32").reshape(values.shape),
    "another planar buffer": lambda values: in_another_buffer(values),
}


def in_another_buffer(values: np.ndarray) -> np.ndarray:
    """Return a view of a slot of another pool, which it keeps."""
    buf = planar_pool(1).acquire()
    buf.write(values)
    return buf.samples[:]


@pytest.mark.parametrize("looked", [False, True], ids=["fresh", "looked at"])
@pytest.mark.parametrize("frames", [0, 1, 5, FRAMES])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_write(way: Callable, frames: int, looked: bool) -> None:
    """Every layout of the input comes out as planes; what lies behind the written frames is left alone."""
    buf = filled(planar_pool(), -1.0)
    if looked:
        buf.samples[0]
    assert buf.write(way(VALUES[:frames])) == buf.frames == frames
    np.testing.assert_array_equal(buf.samples, VALUES[:frames])
    expected = np.full(SHAPE, -1, "float32")
    expected[:frames] = VALUES[:frames]
    np.testing.assert_array_equal(planes_of(buf), expected.T)


@pytest.mark.parametrize("order", "CF")
def test_one_channel_is_the_same_memory_in_both_orders(order: str) -> None:
    pool = pong.BufferPool(2, FRAMES, 1, order=order, on_empty="raise")
    mono = np.arange(5, dtype="float32")
    for array in (mono, mono[:, np.newaxis], np.repeat(mono, 2)[::2], mono.astype("float64").tolist()):
        with pool.acquire() as buf:
            assert buf.write(array) == 5
            assert buf.samples.flags.c_contiguous
            assert buf.samples.flags.f_contiguous
            assert buf.samples.ravel().tolist() == memoryview(buf).cast("B").cast("f").tolist() == mono.tolist()


OVERLAPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "itself": lambda samples: samples,
    "later frames": lambda samples: samples[3:],
    "planes swapped": lambda samples: samples[:, ::-1],
    "frames backwards": lambda samples: samples[::-1],
    "one plane twice": lambda samples: np.broadcast_to(samples[:, 1:], samples.shape),
}


@pytest.mark.parametrize("way", OVERLAPS.values(), ids=OVERLAPS)
def test_write_from_the_buffer_itself(way: Callable) -> None:
    """What is written is what the array held before, also where both are the same memory."""
    buf = filled(planar_pool())
    source = np.lib.stride_tricks.as_strided(buf.samples)
    expected = way(VALUES)
    buf.write(way(source))
    np.testing.assert_array_equal(buf.samples, expected)


def test_write_refuses_as_ever() -> None:
    buf = filled(planar_pool())
    for wrong, error in (
        (np.zeros((FRAMES + 1, CHANNELS), "f4", "F"), "array has 9 frames"),
        (np.zeros((3, CHANNELS + 1), "f4", "F"), r"array must have shape \(n, 2\)"),
        (np.zeros(3, "f4"), r"array must have shape \(n, 2\)"),
    ):
        with pytest.raises(ValueError, match=error):
            buf.write(wrong)
    with pytest.raises(TypeError, match="same_kind"):
        buf.write(np.zeros(SHAPE, "complex64", "F"))
    set_quietly(buf.samples, "strides", (0, 4))
    with pytest.raises(ValueError, match="changed in place"):
        buf.write(np.asfortranarray(VALUES[:2]))


# --- copies and exports


@pytest.mark.parametrize("frames", [0, 1, 5, FRAMES])
def test_copy_keeps_the_order(frames: int) -> None:
    buf = filled(planar_pool())
    buf.frames = frames
    copy = buf.copy()
    assert copy.flags.f_contiguous
    assert copy.flags.owndata
    assert not np.shares_memory(copy, buf.samples)
    buf.samples[:] = 0
    np.testing.assert_array_equal(copy, VALUES[:frames])


@pytest.mark.parametrize("frames", [1, 5, FRAMES])
def test_exports(frames: int) -> None:
    buf = filled(planar_pool())
    buf.frames = frames
    view = memoryview(buf)
    assert (view.shape, view.strides, view.format) == ((frames, CHANNELS), STRIDES, "f") or frames == 1
    assert view.f_contiguous == (frames == FRAMES)
    assert view.tolist() == VALUES[:frames].tolist()
    array = np.asarray(buf)
    assert np.shares_memory(array, buf.samples)
    np.testing.assert_array_equal(array, VALUES[:frames])
    np.testing.assert_array_equal(np.array(buf), VALUES[:frames])
    assert bytes(buf) == VALUES[:frames].tobytes()
    # Whoever asks for frames in one piece is refused, and nothing is left behind.
    with pytest.raises(BufferError, match="not C-contiguous"):
        np.frombuffer(buf, "float32")


# --- detaching


@rows(PLANAR)
@pytest.mark.parametrize("sent", [False, True], ids=["release", "send"])
def test_alias_keeps_its_block(alias: Alias, sent: bool) -> None:
    """I2, I5: counted aliases forbid a send, the others keep the slot back; each sees its own block."""
    pool = planar_pool()
    sender, receiver = pool.link()
    buf = filled(pool)
    samples = buf.samples
    held = [alias.make(buf)]
    seen = alias.read(held[0])
    assert seen.size
    if sent and alias.counted:
        with pytest.raises(BufferError, match=rf"views of the buffer's samples still live: {alias.counted};"):
            sender.send(buf)
        np.testing.assert_array_equal(buf.samples, VALUES)
    elif sent:
        sender.send(buf)
        buf = receiver.recv_nowait()
        np.testing.assert_array_equal(buf.samples, VALUES)
    buf.release()
    assert len(samples) == 0
    del samples
    check_own_block(pool, held, alias, seen)


# NumPy refuses the other changes of planes: they would need frames in one piece.
POSSIBLE = [name for name in CHANGES if "shape" not in name and name != "dtype of another size"]


@pytest.mark.parametrize("frames", [3, FRAMES])
@pytest.mark.parametrize("kept", [False, True], ids=["dropped", "kept"])
@pytest.mark.parametrize("change", POSSIBLE)
def test_samples_changed_in_place(change: str, kept: bool, frames: int) -> None:
    """I2, I5: changed `samples` are neutered like any other, and the slot's next owner finds proper ones."""
    pool = planar_pool(1)
    (sender, receiver), buf = pool.link(), filled(pool)
    buf.frames = frames
    samples = buf.samples
    CHANGES[change](samples)
    contents = memoryview(buf).tolist()
    pinned = kept and samples.base is not None
    if not kept:
        del samples
    sender.send(buf)
    got = receiver.recv_nowait()
    assert (got.samples.shape, got.samples.strides, got.samples.flags.writeable) == ((frames, CHANNELS), STRIDES, True)
    assert got.samples.tolist() == contents
    got.release()
    del got
    if kept:
        assert len(samples) == 0
        assert where(pool) == (1 - pinned, 0, 0, pinned)
        del samples
    assert where(pool) == (1, 0, 0, 0)
    again = filled(pool)
    assert (again.samples.shape, again.samples.strides, again.samples.flags.f_contiguous) == (SHAPE, STRIDES, True)
    np.testing.assert_array_equal(again.samples, VALUES)


def test_samples_are_used_again() -> None:
    """In the steady state no array is made, whatever the lengths of blocks."""
    pool = planar_pool(1)
    buf = pool.acquire()
    identity, taken = id(buf.samples), []
    for i in range(50):
        buf.frames = i % (FRAMES + 1)
        buf.samples[:] = i
        buf.release()
        # Had the array been freed, one of these would have taken its place.
        taken += [np.empty(SHAPE, "float32")[:] for _ in range(20)]
        buf = pool.acquire()
        assert id(buf.samples) == identity
        assert buf.samples.flags.f_contiguous


def test_overflow_slots_are_planar_too() -> None:
    pool = planar_pool(1, on_empty="allocate")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pong.PoolExhaustedWarning)
        both = [filled(pool), filled(pool)]
    assert [buf.samples.strides for buf in both] == [STRIDES] * 2
    np.testing.assert_array_equal(planes_of(both[1]), VALUES.T)
    both.clear()
    assert disturb(pool) == 1


@pytest.mark.parametrize("dtype", ["int16", "V3", [("left", "f4"), ("right", "f8")]], ids=str)
def test_other_formats(dtype: object) -> None:
    pool = pong.BufferPool(2, 5, 3, dtype, order="F", on_empty="raise")
    itemsize = np.dtype(dtype).itemsize
    values = np.frombuffer(np.random.default_rng(1).bytes(15 * itemsize), dtype).reshape(5, 3)
    with pool.acquire() as buf:
        assert buf.samples.strides == (itemsize, 5 * itemsize)
        for array in (values, np.asfortranarray(values), np.asfortranarray(values)[:4]):
            buf.write(array)
            assert buf.copy().tobytes() == array.tobytes()
            buf.frames = 5
