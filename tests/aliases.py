"""The table of aliases: every known way to keep an object that reaches a buffer's samples.

Each row says how many counted views it makes (DESIGN, "Detaching, exactly", rule 1): arrays whose base is the hidden
root, and exports of the handle. A row of 0 cannot be told apart from `samples` itself: it does not forbid a transfer,
and rule 2 protects it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided, sliding_window_view

import pong

FRAMES, CHANNELS = 8, 2
VALUES = np.arange(1, FRAMES * CHANNELS + 1, dtype="float32").reshape(FRAMES, CHANNELS)
STEREO = np.dtype([("left", "float32"), ("right", "float32")])


def read_array(alias: Any) -> np.ndarray:
    """Copy what an alias sees; of several, the first."""
    return np.array(alias[0] if isinstance(alias, list) else alias)


@dataclass(frozen=True)
class Alias:
    """One row: how to make the alias of a buffer, how many counted views it is, how to copy what it sees.

    Of a planar pool's samples some make a copy, or nothing, because frames are not in one piece: ``order`` is "C" then.
    """

    name: str
    counted: int
    make: Callable[[pong.Buffer], Any]
    read: Callable[[Any], np.ndarray] = read_array
    order: str = "any"


def read_nditer(it: np.nditer) -> np.ndarray:
    it.reset()
    return np.array([float(item) for item in it])


def read_ndenumerate(pairs: np.ndenumerate) -> np.ndarray:
    return pairs.iter[:]


def read_tensor(tensor: Any) -> np.ndarray:
    return tensor.clone().numpy()


def from_torch(buf: pong.Buffer) -> Any:
    return pytest.importorskip("torch").from_numpy(buf.samples)


ALIASES = [
    # Arrays that NumPy gives the root as base.
    Alias("slice", 1, lambda buf: buf.samples[1:3]),
    Alias("full slice", 1, lambda buf: buf.samples[:]),
    Alias("strided slice", 1, lambda buf: buf.samples[::-2, ::-1]),
    Alias("slice of a slice", 1, lambda buf: buf.samples[1:][2:]),
    Alias("one frame", 1, lambda buf: buf.samples[3]),
    Alias("one channel", 1, lambda buf: buf.samples[:, 1]),
    Alias("newaxis", 1, lambda buf: buf.samples[None]),
    Alias("ellipsis", 1, lambda buf: buf.samples[3, 1, ...]),
    Alias("reshape", 1, lambda buf: buf.samples.reshape(-1), order="C"),
    Alias("ravel", 1, lambda buf: buf.samples.ravel(), order="C"),
    Alias("T", 1, lambda buf: buf.samples.T),
    Alias("swapaxes", 1, lambda buf: buf.samples.swapaxes(0, 1)),
    Alias("view", 1, lambda buf: buf.samples.view()),
    Alias("dtype view", 1, lambda buf: buf.samples.view("int32")),
    Alias("bytes view", 1, lambda buf: buf.samples.view("uint8"), order="C"),
    Alias("broadcast_to", 1, lambda buf: np.broadcast_to(buf.samples, (3, FRAMES, CHANNELS))),
    Alias("structured field", 1, lambda buf: buf.samples.view(STEREO)["right"], order="C"),
    Alias("diagonal", 1, lambda buf: buf.samples.diagonal()),
    Alias("array_split", 2, lambda buf: np.array_split(buf.samples, 2)),
    Alias("three slices", 3, lambda buf: [buf.samples[i : i + 2] for i in (0, 2, 4)]),
    Alias("frombuffer(samples)", 1, lambda buf: np.frombuffer(buf.samples, "float32"), order="C"),
    Alias("itviews of nditer", 1, lambda buf: np.nditer(buf.samples).itviews[0]),
    Alias("data of a masked array", 1, lambda buf: np.ma.asarray(buf.samples).data, order="C"),
    Alias("the root", 1, lambda buf: buf.samples.base),
    # Exports of the handle.
    Alias("memoryview(buf)", 1, memoryview),
    Alias("two memoryviews(buf)", 2, lambda buf: [memoryview(buf), memoryview(buf)]),
    Alias("memoryview of memoryview(buf)", 1, lambda buf: memoryview(memoryview(buf))),
    Alias("cast memoryview(buf)", 1, lambda buf: memoryview(buf).cast("B"), order="C"),
    Alias("asarray(buf)", 1, np.asarray),
    Alias("array(buf, copy=False)", 1, lambda buf: np.array(buf, copy=False)),
    Alias("slice of asarray(buf)", 1, lambda buf: np.asarray(buf)[2:]),
    Alias("frombuffer(buf)", 1, lambda buf: np.frombuffer(buf, "float32"), order="C"),
    Alias("ctypes from_buffer(buf)", 1, (ctypes.c_float * VALUES.size).from_buffer, order="C"),
    # What refers to `samples` itself.
    Alias("memoryview(samples)", 0, lambda buf: memoryview(buf.samples)),
    Alias("memoryview of memoryview(samples)", 0, lambda buf: memoryview(memoryview(buf.samples))[1:]),
    Alias("data", 0, lambda buf: buf.samples.data),
    Alias("asarray(memoryview(samples))", 0, lambda buf: np.asarray(memoryview(buf.samples))),
    Alias("from_dlpack(samples)", 0, lambda buf: np.from_dlpack(buf.samples)),
    Alias("as_strided", 0, lambda buf: as_strided(buf.samples, (2, 3), (8, 4))),
    Alias("sliding_window_view", 0, lambda buf: sliding_window_view(buf.samples, 2, axis=0)),
    Alias("masked", 0, lambda buf: np.ma.asarray(buf.samples), lambda masked: np.array(masked.data), "C"),
    Alias("memmap", 0, lambda buf: buf.samples.view(np.memmap)),
    Alias("recarray", 0, lambda buf: buf.samples.view(np.recarray)),
    Alias("slice of memmap", 0, lambda buf: buf.samples.view(np.memmap)[1:]),
    Alias("flat", 0, lambda buf: buf.samples.flat, lambda flat: flat[:]),
    Alias("ndenumerate", 0, lambda buf: np.ndenumerate(buf.samples), read_ndenumerate),
    Alias("nditer", 0, lambda buf: np.nditer(buf.samples), read_nditer),
    Alias("as_ctypes", 0, lambda buf: np.ctypeslib.as_ctypes(buf.samples), order="C"),
    Alias(
        "ctypes from_buffer(samples)", 0, lambda buf: (ctypes.c_float * VALUES.size).from_buffer(buf.samples), order="C"
    ),
    Alias("torch from_numpy", 0, from_torch, read_tensor),
]

COUNTED = [alias for alias in ALIASES if alias.counted]
UNCOUNTED = [alias for alias in ALIASES if not alias.counted]
PLANAR = [alias for alias in ALIASES if alias.order == "any"]


def rows(aliases: list[Alias]) -> pytest.MarkDecorator:
    """Parametrise a test by ``alias``, named by its row."""
    return pytest.mark.parametrize("alias", aliases, ids=lambda alias: alias.name)


def small_pool(count: int = 3, **more: Any) -> pong.BufferPool:
    """Make a pool of stereo blocks that has no overflow slots unless asked for."""
    return pong.BufferPool(count, FRAMES, CHANNELS, **({"on_empty": "raise"} | more))


def filled(pool: pong.BufferPool, values: np.ndarray | float = VALUES) -> pong.Buffer:
    """Acquire a buffer and fill it."""
    buf = pool.acquire()
    buf.samples[:] = values
    return buf


def disturb(pool: pong.BufferPool) -> int:
    """Acquire and overwrite every slot that the pool hands out, release them all; return how many they were."""
    return sum(1 for _ in [filled(pool, -7.0) for _ in until_empty(pool)])


def until_empty(pool: pong.BufferPool) -> Iterator[None]:
    """Go on as long as the pool says that a slot is free."""
    while pool.free:
        yield


def where(pool: pong.BufferPool) -> tuple[int, int, int, int]:
    """Return free, owned, queued and pinned slots; assert I3."""
    stats = pool.stats()
    assert stats.free + stats.in_use == stats.count + stats.overflow_in_use
    return stats.free, stats.owned, stats.queued, stats.pinned
