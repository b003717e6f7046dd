"""A buffer in its owner's hands: writing, frames, metadata, copies, ``with``, and what a handle refuses."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from aliases import CHANNELS, FRAMES, VALUES, filled, small_pool, where

import pong

SHAPE = (FRAMES, CHANNELS)
SOURCES: dict[str, Callable[[np.ndarray], Any]] = {
    "C order": lambda x: x,
    "Fortran order": np.asfortranarray,
    "strided": lambda x: np.repeat(np.repeat(x, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "unaligned": lambda x: np.frombuffer(b"." + x.tobytes(), x.dtype, offset=1).reshape(x.shape),
    "big-endian": lambda x: x.astype(">f4"),
    "list": lambda x: x.tolist(),
    "tuple of arrays": tuple,
    "memoryview": memoryview,
    "matrix": lambda x: x.view(np.matrix),
    "float64": lambda x: x.astype("float64"),
    "float16": lambda x: x.astype("float16"),
    "int16": lambda x: x.astype("int16"),
    "int64": lambda x: x.astype("int64"),
    "uint8": lambda x: x.astype("uint8"),
}


@pytest.mark.parametrize("opened", [False, True], ids=["untouched", "viewed"])
@pytest.mark.parametrize("n", [0, 1, 5, FRAMES])
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_write(source: Callable, n: int, opened: bool) -> None:
    """Any array of shape (n, channels) that casts by same_kind is copied in, and sets `frames`."""
    pool = small_pool(1)
    filled(pool, -1.0).release()
    buf = pool.acquire()
    if opened:
        assert buf.samples.shape == SHAPE
    # An empty list has lost its shape on the way.
    assert buf.write(source(VALUES[:n]) if n else np.asarray(source(VALUES))[:0]) == n
    assert (buf.frames, len(buf), buf.nbytes, buf.samples.shape) == (n, n, n * CHANNELS * 4, (n, CHANNELS))
    np.testing.assert_array_equal(buf.samples, VALUES[:n])
    # What lies behind the written frames has not been touched.
    buf.frames = FRAMES
    assert (buf.samples[n:] == -1.0).all()


@pytest.mark.parametrize("source", [np.arange(3.0), [0, 1, 2], range(3), np.arange(6, dtype="float32")[::2] / 2])
def test_write_mono(source: Any) -> None:
    """A mono pool takes (n,) too."""
    buf = pong.BufferPool(1, 4, 1).acquire()
    assert buf.write(source) == 3
    assert buf.samples.tolist() == [[0.0], [1.0], [2.0]]
    assert buf.write(np.asarray(source)[:, None]) == 3
    assert buf.samples.tolist() == [[0.0], [1.0], [2.0]]


@pytest.mark.parametrize(
    ("dtype", "given"),
    [
        ("int16", np.array([[1], [-2]], "int16")),
        ("int16", np.array([[1], [-2]], "int64")),
        ("int16", np.array([[True], [False]])),
        ("float64", np.array([[1.5], [-2]], "float32")),
        ("float32", np.array([[1.5], [-2]], "float64")),
        ("complex64", np.array([[1.5j], [-2]], "complex128")),
        ("uint8", np.array([[1], [255]], "uint16")),
        ("V3", np.frombuffer(b"abcdef", "V3")[:, None]),
        ("longdouble", np.array([[1.5], [-2]])),
    ],
)
def test_write_casts_to_the_pools_dtype(dtype: str, given: np.ndarray) -> None:
    buf = pong.BufferPool(1, 4, 1, dtype).acquire()
    assert buf.write(given) == 2
    assert buf.samples.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(buf.samples, given.astype(dtype))


@pytest.mark.parametrize(
    "part",
    [
        lambda samples: samples,
        lambda samples: samples[3:],
        lambda samples: samples[:5],
        lambda samples: samples[::-1],
        lambda samples: samples[::2],
        lambda samples: samples[2:4].T,
        lambda samples: samples[1:, ::-1],
        lambda samples: samples.view("int32")[::-1],
    ],
    ids=["all", "tail", "head", "reversed", "strided", "transposed", "channels swapped", "as integers"],
)
def test_write_from_its_own_samples(part: Callable) -> None:
    """Source and target may overlap."""
    buf = filled(small_pool(1))
    expected = part(VALUES.copy()).astype("float32")
    assert buf.write(part(buf.samples)) == len(expected)
    np.testing.assert_array_equal(buf.samples, expected)


def test_write_from_another_buffer() -> None:
    pool = small_pool(2)
    one, two = filled(pool), pool.acquire()
    assert two.write(one) == FRAMES
    np.testing.assert_array_equal(two.samples, VALUES)


def test_frames_shorten_and_lengthen_for_who_acquired() -> None:
    """`samples`, its length, exports and copies follow `frames`; views made before keep their own length."""
    buf = filled(small_pool(1))
    samples, view = buf.samples, buf.samples[:]
    for n in (5, 0, np.int64(FRAMES), 3):
        buf.frames = n
        assert (buf.frames, len(buf), len(samples), len(buf.copy()), len(memoryview(buf))) == (n,) * 5
        assert buf.nbytes == n * CHANNELS * 4
        assert buf.samples is samples
        np.testing.assert_array_equal(samples, VALUES[:n])
        np.testing.assert_array_equal(np.asarray(buf), VALUES[:n])
    np.testing.assert_array_equal(view, VALUES)


def test_frames_may_only_be_lowered_by_a_receiver() -> None:
    pool = small_pool(1)
    (sender, receiver), buf = pool.link(), filled(pool)
    buf.frames = 6
    sender.send(buf)
    got = receiver.recv_nowait()
    np.testing.assert_array_equal(got.samples, VALUES[:6])
    got.frames = 4
    assert got.samples.shape == (4, CHANNELS)
    sender.send(got)
    got = receiver.recv_nowait()
    assert got.frames == 4
    for n in (5, 6, FRAMES):
        with pytest.raises(ValueError, match="frames must be from 0 to 4"):
            got.frames = n
        with pytest.raises(ValueError, match=f"array has {n} frames, the buffer takes at most 4"):
            got.write(VALUES[:n])
    np.testing.assert_array_equal(got.samples, VALUES[:4])
    got.release()
    # The next owner has all of them again.
    buf = pool.acquire()
    assert buf.samples.shape == SHAPE


METADATA = {
    "frames": 5,
    "time": 12.5,
    "time_source": "stream",
    "position": 2**64 - 1,
    "gap": 2**63,
    "status": 2**32 - 1,
    "tag": -(2**63),
}


def test_metadata_travels_through_two_links_and_is_reset() -> None:
    """What belongs to the block stays with it until release; `seq` is each link's own; a message goes one link far."""
    pool = small_pool(2)
    links = [pool.link(), pool.link()]
    sender, receiver = links[0]
    sender.send(pool.acquire())
    receiver.recv_nowait().release()
    buf = pool.acquire()
    blank = {name: getattr(buf, name) for name in METADATA}
    for name, value in METADATA.items():
        setattr(buf, name, value)
    assert buf.seq is None
    message: Any = ["message"]
    for (sender, receiver), seq in zip(links, (1, 0), strict=True):
        sender.send(buf, message=message)
        buf = receiver.recv_nowait()
        assert {name: getattr(buf, name) for name in METADATA} == METADATA
        assert (buf.seq, buf.message) == (seq, message)
        assert buf.message is message
        message = None
    buf.release()
    fresh = [pool.acquire(), pool.acquire()]
    assert [{name: getattr(buf, name) for name in METADATA} for buf in fresh] == [blank, blank]
    assert blank == {
        "frames": FRAMES, "time": 0.0, "time_source": None, "position": 0, "gap": 0, "status": 0, "tag": 0,
    }  # fmt: skip
    assert [(buf.seq, buf.message) for buf in fresh] == [(None, None)] * 2


@pytest.mark.parametrize("source", [None, "monotonic", "stream", "device"])
def test_time_sources(source: str | None) -> None:
    buf = small_pool(1).acquire()
    buf.time_source = source
    assert buf.time_source == source


def test_tag_of_send_replaces_the_blocks_own() -> None:
    """``tag=None`` keeps the tag that the owner has set, any other replaces it, 0 too."""
    pool = small_pool(4)
    sender, receiver = pool.link()
    bufs = [pool.acquire() for _ in range(4)]
    for buf in bufs:
        buf.tag = 3
    sender.send(bufs[0])
    sender.send(bufs[1], tag=0)
    sender.send_many([(bufs[2], 2**63 - 1), (bufs[3], None, "message")])
    got = [(buf.tag, buf.message) for buf in receiver.drain()]
    assert got == [(3, None), (0, None), (2**63 - 1, None), (3, "message")]


def test_samples_are_in_c_order_and_aligned() -> None:
    pool = pong.BufferPool(3, 5, 3, "float64")
    for buf in [pool.acquire() for _ in range(3)]:
        assert buf.samples.shape == (5, 3)
        assert buf.samples.flags.c_contiguous
        assert buf.samples.flags.writeable
        assert not buf.samples.flags.owndata
        assert buf.samples.ctypes.data % 64 == 0


def test_copy_is_independent() -> None:
    """A copy keeps nothing alive and is not changed by what happens to the buffer."""
    pool = small_pool(1)
    buf = filled(pool)
    buf.frames = 6
    kept = buf.copy()
    buf.samples[:] = 0
    buf.release()
    assert where(pool) == (1, 0, 0, 0)
    np.testing.assert_array_equal(kept, VALUES[:6])
    assert kept.flags.owndata


def test_repr_says_what_is_in_hand() -> None:
    pool = small_pool(1)
    buf = pool.acquire()
    assert repr(buf) == f"<pong.Buffer slot 0: {FRAMES} frames, {CHANNELS} channels, float32>"
    buf.frames = 1
    assert "1 frames" in repr(buf)
    buf.release()
    assert repr(buf) == "<pong.Buffer detached>"


def test_with_releases_unless_sent_or_released_inside() -> None:
    pool = small_pool(1)
    sender, receiver = pool.link()
    with pool.acquire() as buf:
        assert not buf.detached
    assert buf.detached
    with pool.acquire() as buf:
        buf.release()
    with pool.acquire() as buf:
        sender.send(buf)
    with receiver.recv_nowait() as got:
        # The handle that was sent is not the one whose block is released at the end.
        with pytest.raises(pong.DetachedError), buf:
            pass
        assert not got.detached
    assert where(pool) == (1, 0, 0, 0)
    with pytest.raises(ZeroDivisionError), pool.acquire() as buf:
        raise ZeroDivisionError
    assert buf.detached
    assert where(pool) == (1, 0, 0, 0)


def test_with_and_a_view_pins() -> None:
    """The end of ``with`` is a release: it does not mind views."""
    pool = small_pool(1)
    with filled(pool) as buf:
        view = buf.samples[1:]
    assert where(pool) == (0, 0, 0, 1)
    np.testing.assert_array_equal(view, VALUES[1:])
    del view
    assert where(pool) == (1, 0, 0, 0)


OBJECTS: dict[str, Callable[[], Any]] = {
    "Buffer": lambda: small_pool(1).acquire(),
    "BufferPool": lambda: small_pool(1),
    "Sender": lambda: small_pool(1).link()[0],
    "Receiver": lambda: small_pool(1).link()[1],
}


@pytest.mark.parametrize(
    "duplicate",
    [*(lambda x, p=p: pickle.dumps(x, p) for p in range(pickle.HIGHEST_PROTOCOL + 1)), copy.copy, copy.deepcopy],
    ids=[*(f"pickle {p}" for p in range(pickle.HIGHEST_PROTOCOL + 1)), "copy", "deepcopy"],
)
@pytest.mark.parametrize("kind", OBJECTS)
def test_pickle_and_copy_are_refused(kind: str, duplicate: Callable) -> None:
    with pytest.raises(TypeError, match=f"a {kind} .*: it cannot be copied or pickled"):
        duplicate(OBJECTS[kind]())


@pytest.mark.parametrize("kind", ["Buffer", "Sender", "Receiver"])
def test_handles_are_not_made_directly(kind: str) -> None:
    source = {"Buffer": r"BufferPool\.acquire\(\) or Receiver\.recv"}.get(kind, r"BufferPool\.link")
    with pytest.raises(TypeError, match=f"a {kind} comes from {source}"):
        getattr(pong, kind)()


@pytest.mark.parametrize("kind", ["Buffer", "Sender", "Receiver"])
def test_handle_made_without_init_owns_nothing(kind: str) -> None:
    """``__new__`` alone gives what a detached or closed object is; nothing crashes."""
    made = getattr(pong, kind).__new__(getattr(pong, kind))
    if kind == "Buffer":
        assert (made.detached, len(made), made.nbytes, repr(made)) == (True, 0, 0, "<pong.Buffer detached>")
        with pytest.raises(pong.DetachedError):
            made.release()
        with pytest.raises(pong.DetachedError):
            _ = made.samples
        sender, receiver = small_pool(1).link()
        with pytest.raises(pong.DetachedError):
            sender.send(made)
        assert not receiver.poll()
    else:
        assert made.closed
        assert repr(made) == f"<pong.{kind} closed>"
        made.close()
        with pytest.raises(pong.ClosedError):
            made.send(small_pool(1).acquire()) if kind == "Sender" else made.recv_nowait()
        with pytest.raises(pong.ClosedError):
            made.send_many([]) if kind == "Sender" else made.drain()
