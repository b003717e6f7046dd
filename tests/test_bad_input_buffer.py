"""Bad input to a buffer: each refused with an error that says what is allowed, and the buffer is as it was."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from aliases import FRAMES, VALUES, filled, small_pool, where

import pong

NAMES = ("frames", "seq", "time", "time_source", "position", "gap", "status", "tag", "message", "detached", "nbytes")


def received(n: int = FRAMES) -> pong.Buffer:
    """Return a received buffer of ``n`` frames."""
    pool = small_pool(1)
    (sender, receiver), buf = pool.link(), filled(pool)
    buf.frames = n
    sender.send(buf, tag=3)
    return receiver.recv_nowait()


@contextmanager
def unchanged(buf: pong.Buffer) -> Iterator[None]:
    """Assert that nothing about a buffer that is in hand changes."""
    samples, contents = buf.samples, buf.copy()
    before = [getattr(buf, name) for name in NAMES]
    yield
    assert [getattr(buf, name) for name in NAMES] == before
    assert buf.samples is samples
    np.testing.assert_array_equal(buf.samples, contents)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        *((value, ValueError) for value in (-1, FRAMES + 1, 2**31, 2**32, 2**63, 2**64, 10**30, -(10**30))),
        *((value, TypeError) for value in (1.0, 1.5, math.nan, True, None, "3", [3], np.float64(3), np.True_)),
    ],
)
def test_frames_out_of_range(value: Any, error: type[Exception]) -> None:
    buf = filled(small_pool(1))
    text = f"^frames must be (an integer )?from 0 to {FRAMES}, not "
    with unchanged(buf), pytest.raises(error, match=text) as caught:
        buf.frames = value
    assert str(value if error is ValueError else repr(value)) in str(caught.value)


@pytest.mark.parametrize("n", [0, 1, 5])
@pytest.mark.parametrize("more", [1, 2, FRAMES])
def test_frames_raised_by_a_receiver(n: int, more: int) -> None:
    """The sender's frames are all that a receiver has."""
    buf = received(n)
    with unchanged(buf), pytest.raises(ValueError, match=f"^frames must be from 0 to {n}, not {n + more}$"):
        buf.frames = n + more


@pytest.mark.parametrize("value", [n for n in range(FRAMES + 1) if n != 4])
def test_frames_of_samples_that_were_changed_in_place(value: int) -> None:
    """What has another shape than pong gave it cannot be shortened."""
    buf = filled(small_pool(1))
    buf.frames = 4
    samples = buf.samples
    samples.setflags(write=False)
    with unchanged(buf), pytest.raises(ValueError, match="changed in place: frames cannot be set"):
        buf.frames = value
    samples.setflags(write=True)
    buf.frames = value
    assert len(samples) == value


class NoArray:
    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise ZeroDivisionError("from __array__")


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "no dimension": (1.0, ValueError, r"array must have shape \(n, 2\), not \(\)"),
    "one dimension": (VALUES[:, 0], ValueError, r"array must have shape \(n, 2\), not \(8,\)"),
    "empty list": ([], ValueError, r"array must have shape \(n, 2\), not \(0,\)"),
    "three dimensions": (VALUES[None], ValueError, r"array must have shape \(n, 2\), not \(1, 8, 2\)"),
    "transposed": (VALUES.T, ValueError, r"array must have shape \(n, 2\), not \(2, 8\)"),
    "fewer channels": (VALUES[:, :1], ValueError, r"array must have shape \(n, 2\), not \(8, 1\)"),
    "more channels": (np.ones((4, 3)), ValueError, r"array must have shape \(n, 2\), not \(4, 3\)"),
    "no channels": (VALUES[:, :0], ValueError, r"array must have shape \(n, 2\), not \(8, 0\)"),
    "too long": (np.ones((FRAMES + 1, 2), "float32"), ValueError, "array has 9 frames, the buffer takes at most 8"),
    "too long and to be cast": (np.ones((9, 2)), ValueError, "array has 9 frames, the buffer takes at most 8"),
    "much too long": (np.broadcast_to(1.0, (2**40, 2)), ValueError, f"array has {2**40} frames"),
    "much too long, 32 bits": (np.broadcast_to(1.0, (2**32 + 1, 2)), ValueError, f"array has {2**32 + 1} frames"),
    "ragged": ([[1.0, 2.0], [3.0]], ValueError, "inhomogeneous shape"),
    "complex": (VALUES.astype("complex64"), TypeError, "cannot cast complex64 to the pool's float32 by .*'same_kind'"),
    "objects": (VALUES.astype(object), TypeError, "cannot cast object to the pool's float32 by .*'same_kind'"),
    "text": ([["1", "2"]], TypeError, "cannot cast <U1 to the pool's float32 by .*'same_kind'"),
    "bytes": (VALUES.view("V4"), TypeError, r"cannot cast \|V4 to the pool's float32 by .*'same_kind'"),
    "dates": (np.zeros((2, 2), "M8[s]"), TypeError, r"cannot cast datetime64\[s\] to the pool's float32"),
    "structured": (np.zeros((2, 2), "f4,f4"), TypeError, "cannot cast .* to the pool's float32"),
    "None": (None, ValueError, r"array must have shape \(n, 2\), not \(\)"),
    "an object": (object(), ValueError, r"array must have shape \(n, 2\), not \(\)"),
    "raises": (NoArray(), ZeroDivisionError, "from __array__"),
}


@pytest.mark.parametrize("opened", [False, True], ids=["untouched", "viewed"])
@pytest.mark.parametrize(("array", "error", "text"), WRONG.values(), ids=WRONG)
def test_write_refuses(array: Any, error: type[Exception], text: str, opened: bool) -> None:
    """Wrong shape, length or dtype: the block is as it was, to the last bit."""
    pool = small_pool(1)
    buf = filled(pool)
    if not opened:
        buf.release()
        buf = pool.acquire()
    buf.frames = 7
    with pytest.raises(error, match=text):
        buf.write(array)
    assert (buf.frames, buf.detached, where(pool)) == (7, False, (0, 1, 0, 0))
    np.testing.assert_array_equal(buf.samples, VALUES[:7])


@pytest.mark.parametrize(
    ("dtype", "given"),
    [("int16", "float32"), ("int16", "float64"), ("float32", "complex128"), ("uint8", "int8"), ("uint16", "int64"),
     ("bool", "int8"), ("V3", "int32"), ("int32", "V4"), ("V3", "V4")],
)  # fmt: skip
def test_write_refuses_another_kind(dtype: str, given: str) -> None:
    """The rule is NumPy's same_kind, exactly."""
    buf = pong.BufferPool(1, 4, 1, dtype).acquire()
    buf.write(np.zeros((2, 1), dtype))
    if np.can_cast(given, dtype, "same_kind"):
        assert buf.write(np.zeros((3, 1), given)) == 3
        return
    with unchanged(buf), pytest.raises(TypeError, match=r"cannot cast .* to the pool's .* by the rule 'same_kind'"):
        buf.write(np.zeros((3, 1), given))


@pytest.mark.parametrize("array", [np.ones((6, 2), "float32"), np.ones((6, 2)), [[1.0, 1.0]] * 6], ids=type)
def test_write_by_a_receiver_longer_than_what_it_got(array: Any) -> None:
    buf = received(5)
    with unchanged(buf), pytest.raises(ValueError, match=r"^array has 6 frames, the buffer takes at most 5$"):
        buf.write(array)


def test_write_of_an_array_that_releases_the_buffer() -> None:
    """Code that runs while the argument is looked at may send the buffer away: then nothing is written."""
    pool = small_pool(1)
    buf = filled(pool)

    class Thief:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            buf.release()
            held.append(pool.acquire())
            held[0].samples[:] = 5.0
            return VALUES

    held: list[pong.Buffer] = []
    with pytest.raises(pong.DetachedError, match="the buffer is detached"):
        buf.write(Thief())
    assert (held[0].samples == 5.0).all()
    assert where(pool) == (0, 1, 0, 0)


@pytest.mark.parametrize("n", [5, FRAMES])
@pytest.mark.parametrize("given", ["float32", "int32"])
@pytest.mark.parametrize("change", ["flags", "dtype", "shape", "strides"])
def test_write_to_samples_that_were_changed_in_place(change: str, given: str, n: int) -> None:
    """Frames that would have to change are refused; else the block holds what was written, in the pool's own format."""
    buf = filled(small_pool(1), 7.0)
    samples = buf.samples
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if change == "flags":
            samples.setflags(write=False)
        else:
            setattr(samples, change, {"dtype": "int32", "shape": (2, -1), "strides": (0, 4)}[change])
    array = VALUES[:n].astype(given)
    if n < FRAMES:
        with pytest.raises(ValueError, match="changed in place: frames cannot be set"):
            buf.write(array)
        array = np.full_like(VALUES, 7.0)
    else:
        assert buf.write(array) == n
    assert buf.frames == FRAMES
    np.testing.assert_array_equal(np.asarray(buf), array.astype("float32"))


SET: dict[str, list[tuple[Any, type[Exception], str]]] = {
    "tag": [
        *((value, TypeError, "^tag must be an integer, not ") for value in (1.0, "1", None, True, [1])),
        *((value, ValueError, "^tag must fit into 64 bits, signed, not ") for value in (2**63, -(2**63) - 1, 10**30)),
    ],
    "position": [
        *((value, TypeError, "^position must be an integer from 0 to ") for value in (1.0, "1", None, True)),
        *((value, ValueError, "^position must be from 0 to 18446744073709551615, not ") for value in (-1, 2**64)),
    ],
    "gap": [
        *((value, TypeError, "^gap must be an integer from 0 to ") for value in (1.0, "1", None, True)),
        *((value, ValueError, "^gap must be from 0 to 18446744073709551615, not ") for value in (-1, 2**64)),
    ],
    "status": [
        *((value, TypeError, "^status must be an integer from 0 to ") for value in (1.0, "1", None, True)),
        *((value, ValueError, "^status must be from 0 to 4294967295, not ") for value in (-1, 2**32)),
    ],
    "time_source": [
        (value, ValueError, "^time_source must be one of None, 'monotonic', 'stream', 'device', not ")
        for value in ("wall", "", 0, True, ["stream"], b"stream")
    ],
    "time": [(value, TypeError, "number") for value in ("1", None, [1.0], 1j)],
    "seq": [(0, AttributeError, "seq|set")],
    "message": [("x", AttributeError, "message|set")],
    "samples": [(VALUES, AttributeError, "samples|set")],
    "detached": [(True, AttributeError, "detached|set")],
    "nonsense": [(1, AttributeError, "nonsense")],
}


@pytest.mark.parametrize(("name", "value", "error", "text"), [(name, *row) for name in SET for row in SET[name]])
def test_setting_refuses(name: str, value: Any, error: type[Exception], text: str) -> None:
    buf = filled(small_pool(1))
    buf.tag, buf.position, buf.gap, buf.status, buf.time, buf.time_source = 1, 2, 3, 4, 5.0, "device"
    with unchanged(buf), pytest.raises(error, match=text):
        setattr(buf, name, value)


@pytest.mark.parametrize(
    "use",
    [lambda buf: buf.write(), lambda buf: buf.write(VALUES, 1), lambda buf: buf.release(1), lambda buf: buf.copy(1)],
)
def test_wrong_arguments(use: Callable) -> None:
    buf = filled(small_pool(1))
    with unchanged(buf), pytest.raises(TypeError, match="argument"):
        use(buf)


def test_export_that_would_need_a_copy() -> None:
    """An export in Fortran order, or of another dtype, without a copy: refused, and nothing stays counted."""
    pool = small_pool(1)
    (sender, receiver), buf = pool.link(), filled(pool)
    for more in ({"order": "F"}, {"dtype": "float64"}):
        with pytest.raises(ValueError, match="copy"):
            np.array(buf, copy=False, **more)
    sender.send(buf)
    assert receiver.poll()
