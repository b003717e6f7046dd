"""`samples` itself: kept, weakly referenced, changed in place, used again."""

from __future__ import annotations

import subprocess
import sys
import warnings
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aliases import CHANNELS, FRAMES, VALUES, disturb, filled, small_pool, where

import pong

SHAPE = (FRAMES, CHANNELS)

# References to `samples` itself: they forbid nothing, and all of them see length 0.
REFERENCES: dict[str, Callable[[np.ndarray], Any]] = {
    "variable": lambda samples: samples,
    "asarray": np.asarray,
    "tuple": lambda samples: (samples,),
    "closure": lambda samples: lambda: samples,
    "bound method": lambda samples: samples.copy,
    "iterator": iter,
    "ctypes helper": lambda samples: samples.ctypes,
    "partial": lambda samples: partial(np.sum, samples),
}


@pytest.mark.parametrize("reference", REFERENCES.values(), ids=REFERENCES)
@pytest.mark.parametrize("sent", [False, True], ids=["release", "send"])
def test_reference_to_samples_sees_length_0_and_pins(reference: Callable, sent: bool) -> None:
    """I2, I5: every reference to `samples` is neutered at once, and keeps the slot back while it lives."""
    pool = small_pool(2)
    (sender, receiver), buf = pool.link(), filled(pool)
    samples = buf.samples
    held = [reference(samples)]
    if sent:
        sender.send(buf)
        receiver.recv_nowait().release()
    else:
        buf.release()
    assert samples.shape == (0, CHANNELS)
    assert (samples.size, list(samples), samples.tobytes()) == (0, [], b"")
    del samples
    assert where(pool) == (1, 0, 0, 1)
    assert disturb(pool) == 1
    held.clear()
    assert where(pool) == (2, 0, 0, 0)


def test_samples_of_a_dropped_handle() -> None:
    """I2: dropping the last reference to a handle is a release, with `samples` of length 0."""
    pool = small_pool(1)
    samples = pool.acquire().samples
    assert samples.shape == (0, CHANNELS)
    assert where(pool) == (0, 0, 0, 1)
    del samples
    assert where(pool) == (1, 0, 0, 0)


@pytest.mark.parametrize("sent", [False, True], ids=["release", "send"])
def test_weak_reference_never_reaches_a_new_block(sent: bool) -> None:
    """I2: `samples` is not used again for the slot's next block while a weak reference could bring it back."""
    pool = small_pool(1)
    (sender, receiver), buf = pool.link(), filled(pool)
    gone: list[tuple] = []
    reference = weakref.ref(buf.samples, lambda _: gone.append(where(pool)))
    if sent:
        sender.send(buf)
        assert gone
        receiver.recv_nowait().release()
    else:
        buf.release()
    # The callback ran when the move was over; what is left of the array may still have pinned the slot.
    assert gone == [(0, 0, 1, 0) if sent else (0, 0, 0, 1)]
    assert reference() is None
    again = filled(pool)
    assert reference() is None
    assert again.samples.shape == SHAPE


def test_weak_reference_to_kept_samples_finds_length_0() -> None:
    """I2: a weak reference finds `samples` as long as somebody keeps it, neutered."""
    pool = small_pool(2)
    buf = filled(pool)
    samples = buf.samples
    reference = weakref.ref(samples)
    buf.release()
    assert disturb(pool) == 1
    assert reference() is samples
    assert len(samples) == 0


def test_weak_reference_callback_may_use_the_pool() -> None:
    """A weak-reference callback, run by a send, may acquire, send and release: the move is over by then."""
    pool = small_pool(2)
    (sender, receiver), buf = pool.link(), filled(pool, 1.0)

    def callback(_: weakref.ref) -> None:
        sender.send(filled(pool, 2.0))

    reference = weakref.ref(buf.samples, callback)
    sender.send(buf)
    assert reference() is None
    assert [got.samples[0, 0] for got in receiver.drain()] == [1.0, 2.0]


def set_quietly(samples: np.ndarray, name: str, value: Any) -> None:
    """Set an attribute in place; NumPy advises against some of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        setattr(samples, name, value)


CHANGES: dict[str, Callable[[np.ndarray], Any]] = {
    "shape to 1-D": lambda samples: set_quietly(samples, "shape", (-1,)),
    "shape to other 2-D": lambda samples: set_quietly(samples, "shape", (2, -1)),
    "shape to 4-D": lambda samples: set_quietly(samples, "shape", (1, 2, 2, -1)),
    "dtype of the same size": lambda samples: set_quietly(samples, "dtype", "int32"),
    "dtype of another size": lambda samples: set_quietly(samples, "dtype", "uint8"),
    "strides": lambda samples: set_quietly(samples, "strides", (0, 4)),
    "not writeable": lambda samples: samples.setflags(write=False),
    "__setstate__": lambda samples: samples.__setstate__((1, (3,), np.dtype("int16"), False, b"abcdef")),
    "__setstate__ to nothing": lambda samples: samples.__setstate__((1, (0, 2), np.dtype("float32"), False, b"")),
    "root not writeable": lambda samples: samples.base.setflags(write=False),
    "root shape": lambda samples: set_quietly(samples.base, "shape", (-1,)),
}


@pytest.mark.parametrize("kept", [False, True], ids=["dropped", "kept"])
@pytest.mark.parametrize("sent", [False, True], ids=["release", "send"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_samples_changed_in_place(change: Callable, sent: bool, kept: bool) -> None:
    """I2, I5: changed `samples` are neutered like any other, and the slot's next owner finds proper ones."""
    pool = small_pool(1)
    (sender, receiver), buf = pool.link(), filled(pool)
    samples = buf.samples
    change(samples)
    # Through an export, which no change of `samples` can touch.
    contents = memoryview(buf).tobytes()
    # __setstate__ gives `samples` memory of its own: they reach no slot any more.
    pinned = kept and samples.base is not None
    if not kept:
        del samples
    if sent:
        sender.send(buf)
        got = receiver.recv_nowait()
        assert (got.samples.shape, got.samples.dtype, got.samples.flags.writeable) == (SHAPE, np.dtype("float32"), True)
        assert got.samples.tobytes() == contents
        got.release()
        del got
    else:
        buf.release()
    if kept:
        assert len(samples) == 0
        assert where(pool) == (1 - pinned, 0, 0, pinned)
        del samples
    assert where(pool) == (1, 0, 0, 0)
    again = filled(pool)
    assert (again.samples.shape, again.samples.dtype, again.samples.flags.writeable) == (
        SHAPE,
        np.dtype("float32"),
        True,
    )
    assert again.samples.strides == (CHANNELS * 4, 4)
    np.testing.assert_array_equal(again.samples, VALUES)


def set_scalar(samples: np.ndarray, how: str) -> None:
    """Take every dimension from `samples` of one sample."""
    if how == "shape":
        set_quietly(samples, "shape", ())
    else:
        samples.__setstate__((1, (), np.dtype("float32"), False, b"abcd"))


@pytest.mark.parametrize("how", ["shape", "__setstate__"])
@pytest.mark.parametrize("many", [False, True], ids=["send", "send_many"])
def test_samples_without_a_dimension_forbid_send(how: str, many: bool) -> None:
    """I2: `samples` without a dimension cannot be made length 0, so the send is refused and changes nothing."""
    pool = pong.BufferPool(2, 1, 1, on_empty="raise")
    (sender, receiver), buf = pool.link(), pool.acquire()
    buf.write([[5.0]])
    set_scalar(buf.samples, how)
    with pytest.raises(BufferError, match=r"shape of the buffer's samples was set to \(\)"):
        sender.send_many([buf]) if many else sender.send(buf)
    assert not buf.detached
    assert where(pool) == (1, 1, 0, 0)
    assert not receiver.poll()
    set_quietly(buf.samples, "shape", (1, 1))
    sender.send(buf)
    with receiver.recv_nowait() as got:
        assert got.samples.tolist() == [[5.0]]


@pytest.mark.parametrize("how", ["shape", "__setstate__"])
def test_samples_without_a_dimension_allow_release(how: str) -> None:
    """I5: release never fails; what cannot be neutered goes on reading its own block, pinned."""
    pool = pong.BufferPool(2, 1, 1, on_empty="raise")
    buf = pool.acquire()
    buf.write([[5.0]])
    samples = buf.samples
    set_scalar(samples, how)
    value = float(samples)
    pinned = samples.base is not None  # not after __setstate__, which gives it memory of its own
    buf.release()
    assert where(pool) == (2 - pinned, 0, 0, pinned)
    assert disturb(pool) == 2 - pinned
    assert float(samples) == value
    del samples
    assert where(pool) == (2, 0, 0, 0)
    buf = pool.acquire()
    assert buf.samples.shape == (1, 1)


def from_torch(samples: np.ndarray) -> Any:
    return pytest.importorskip("torch").from_numpy(samples)


@pytest.mark.parametrize("sent", [False, True], ids=["release", "send"])
@pytest.mark.parametrize("keep", [memoryview, from_torch], ids=["memoryview", "torch"])
def test_six_kept_in_a_loop_hold_their_own_blocks(keep: Callable, sent: bool) -> None:
    """I5: the usual mistake, to collect views in a loop, costs slots but never mixes blocks."""
    pool = small_pool(8)
    sender, receiver = pool.link()
    kept = []
    for i in range(6):
        buf = filled(pool, float(i))
        kept.append(keep(buf.samples))
        if sent:
            sender.send(buf)
            buf = receiver.recv_nowait()
        buf.release()
    assert where(pool) == (2, 0, 0, 6)
    for _ in range(10):
        assert disturb(pool) == 2
    assert [np.unique(view.tolist()).tolist() for view in kept] == [[i] for i in range(6)]
    while kept:
        kept.pop()
        assert where(pool) == (8 - len(kept), 0, 0, len(kept))


def test_pool_of_1_cannot_serve_a_loop_that_keeps_samples() -> None:
    """DESIGN rule 2: ``x = buf.samples`` in a loop holds one slot more; the error says that it is pinned."""
    pool = small_pool(1)
    x = pool.acquire().samples
    for timeout in (0, 0.001):
        with pytest.raises(pong.PoolExhausted, match="0 owned, 0 queued, 1 pinned"):
            pool.acquire(timeout)
    del x
    x = pool.acquire().copy()
    assert x.shape == SHAPE
    assert where(pool) == (1, 0, 0, 0)


def test_pool_of_1_serves_it_from_its_overflow_slot() -> None:
    """With an overflow slot the same loop runs: one warning, and never more than two slots."""
    pool = small_pool(1, on_empty="allocate")
    sender, receiver = pool.link()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for i in range(20):
            buf = filled(pool, float(i))
            x = buf.samples
            sender.send(buf)
            with receiver.recv_nowait() as got:
                assert (got.samples == i).all()
            assert len(x) == 0
            assert pool.in_use == 1
    # Every second round takes the overflow slot: an episode each, as it is back in the pool in between.
    assert [warning.category for warning in caught] == [pong.PoolExhaustedWarning] * 10
    assert all("0 owned, 0 queued, 1 pinned" in str(warning.message) for warning in caught)
    del x
    assert where(pool) == (1, 0, 0, 0)


def test_pool_of_2_serves_a_loop_that_keeps_samples() -> None:
    """DESIGN rule 2: one slot more is enough, for ever."""
    pool = small_pool(2)
    sender, receiver = pool.link()
    for i in range(1000):
        buf = filled(pool, float(i))
        x = buf.samples
        sender.send(buf)
        with receiver.recv_nowait() as got:
            assert got.samples[FRAMES - 1, 0] == i
        assert len(x) == 0
        assert where(pool) == (1, 0, 0, 1)


def test_samples_are_used_again() -> None:
    """In the steady state no array is made: a slot's `samples` is the same object for all its owners."""
    pool = small_pool(1)
    sender, receiver = pool.link()
    buf = pool.acquire()
    assert buf.samples is buf.samples
    identity, taken = id(buf.samples), []
    for i in range(50):
        buf.samples[:] = i
        sender.send(buf)
        # Had the array been freed, one of these would have taken its place.
        taken += [np.empty(SHAPE, "float32")[:] for _ in range(20)]
        got = receiver.recv_nowait()
        assert id(got.samples) == identity
        assert (got.samples == i).all()
        got.release()
        taken += [np.empty(SHAPE, "float32")[:] for _ in range(20)]
        buf = pool.acquire()
        assert id(buf.samples) == identity


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_samples_first_seen_short(frames: int) -> None:
    """NumPy calls arrays of 0 and 1 frames C and Fortran order; `samples` first made for such a block are as any."""
    pool = small_pool(1)
    buf = pool.acquire()
    buf.frames = frames
    identity = id(buf.samples)
    buf.frames = FRAMES
    assert buf.samples.shape == SHAPE
    assert not buf.samples.flags.f_contiguous
    buf.release()
    taken = [np.empty(SHAPE, "float32")[:] for _ in range(20)]
    buf = filled(pool)
    assert id(buf.samples) == identity
    assert len(taken) == 20


def test_samples_are_used_again_at_another_length() -> None:
    """Shortened frames of one block leave no trace in the next."""
    pool = small_pool(1)
    buf = pool.acquire()
    identity = id(buf.samples)
    buf.frames = 3
    assert buf.samples.shape == (3, CHANNELS)
    buf.release()
    buf = filled(pool)
    assert id(buf.samples) == identity
    np.testing.assert_array_equal(buf.samples, VALUES)


def test_a_changed_root_never_shows_another_block(tmp_path: Path) -> None:
    """I5: whoever rewrites the hidden root itself loses the slot for good, rather than that a view sees the next owner.

    In a process of its own: the lease that is kept for good would upset the books of the debug build.
    """
    program = """
import numpy as np, pong
pool = pong.BufferPool(1, 4, on_empty="raise")
sender, receiver = pool.link()
buf = pool.acquire()
view = buf.samples[1:]
buf.samples.base.__setstate__((1, (0,), np.dtype("f4"), False, b""))
try:
    sender.send(buf)
except BufferError:
    buf.release()
    del view
    print(pool.stats().pinned, end="")
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, cwd=tmp_path)
    assert done.stdout == b"1"
