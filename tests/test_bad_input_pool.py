"""Bad input to a pool: each refused with an error that names what was wrong and what is allowed, and nothing lost."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aliases import filled, small_pool, where

import pong
from pong import _arena

LIMITS = {"count": 1024, "blocksize": 2**24, "channels": 1024, "overflow": 1024, "max_links": 1024}


class NoIndex:
    def __index__(self) -> int:
        raise ZeroDivisionError("from __index__")


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", [0, -1, -(2**63), -(10**30), 2**31, 2**32 + 1, 2**63, 2**64 + 1, 10**30, "limit + 1"])
def test_geometry_out_of_range(name: str, value: Any) -> None:
    value = LIMITS[name] + 1 if value == "limit + 1" else value
    with pytest.raises(ValueError, match=f"^{name} must be from 1 to {LIMITS[name]}, not {value}$"):
        pong.BufferPool(**{name: value})


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize(
    "value", [1.0, 1.5, math.nan, math.inf, True, False, None, "8", b"8", [8], 8j, Decimal(8), np.float32(8), np.True_]
)
def test_geometry_that_is_no_integer(name: str, value: Any) -> None:
    if name == "overflow" and value is None:
        assert pong.BufferPool(3, overflow=None).stats().overflow == 3
        return
    with pytest.raises(TypeError, match=f"^{name} must be an integer from 1 to {LIMITS[name]}, not ") as caught:
        pong.BufferPool(**{name: value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("name", LIMITS)
def test_geometry_whose_index_raises(name: str) -> None:
    with pytest.raises(ZeroDivisionError, match="from __index__"):
        pong.BufferPool(**{name: NoIndex()})


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", [1, np.int64(2), np.uint8(3)])
def test_geometry_at_its_least_and_of_numpy(name: str, value: Any) -> None:
    """The checks refuse no good integer."""
    pool = pong.BufferPool(**({"count": 2, "blocksize": 4} | {name: value}))
    assert pool.free == pool.stats().count
    with pool.acquire() as buf:
        assert buf.samples.shape == (pool.blocksize, pool.channels)


@pytest.mark.parametrize("name", [name for name in LIMITS if name != "blocksize"])
def test_geometry_at_its_limit(name: str) -> None:
    pool = pong.BufferPool(**({"count": 2, "blocksize": 1, "dtype": "uint8"} | {name: LIMITS[name]}))
    assert pool.free == pool.stats().count
    with pool.acquire() as buf:
        assert buf.samples.shape == (pool.blocksize, pool.channels)


def test_geometry_that_no_memory_holds() -> None:
    """Each number allowed, their product beyond any address space."""
    with pytest.raises(MemoryError, match=r"cannot map \d{19,} bytes for the pool"):
        pong.BufferPool(1024, 2**24, 1024, "V65536")


@pytest.mark.parametrize(
    "dtype",
    [
        "unknown", "f3", "", "float33", 12, 1.5, [1], (), len, None, object, "O", np.dtypes.StringDType(),
        [("left", object)],
    ],
    ids=repr,
)  # fmt: skip
def test_dtype_that_is_none(dtype: Any) -> None:
    text = "^dtype must be (a sample format such as 'float32' or 'int16'|plain memory)[:,] "
    with pytest.raises(TypeError, match=text):
        pong.BufferPool(2, 4, dtype=dtype)


@pytest.mark.parametrize("dtype", [(np.float32, -1), {"names": ["left"]}], ids=repr)
def test_dtype_that_numpy_finds_of_wrong_value(dtype: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^dtype must be a sample format such as 'float32' or 'int16'"):
        pong.BufferPool(2, 4, dtype=dtype)


@pytest.mark.parametrize("dtype", [">f4", ">i2", ">c8", np.dtype("int16").newbyteorder(), [("left", ">f4")]], ids=repr)
def test_dtype_of_foreign_byte_order(dtype: Any) -> None:
    with pytest.raises(ValueError, match=r"^dtype must be in native byte order, not .*; try "):
        pong.BufferPool(2, 4, dtype=dtype)


@pytest.mark.parametrize("dtype", ["S", "U", "V", [], ("f4", (2,)), ("f4", (2, 2)), "V65537"], ids=repr)
def test_dtype_of_wrong_size(dtype: Any) -> None:
    with pytest.raises(ValueError, match=r"^dtype must be one item of 1 to 65536 bytes, not "):
        pong.BufferPool(2, 4, dtype=dtype)


@pytest.mark.parametrize(("value", "error"), [
    (0, ValueError), (-1, ValueError), (math.nan, ValueError), (math.inf, ValueError), (-math.inf, ValueError),
    (10**400, ValueError),
    (True, TypeError), ("48000", TypeError), ([48000], TypeError), (48000j, TypeError), (object(), TypeError),
])  # fmt: skip
def test_samplerate(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^samplerate must be "):
        pong.BufferPool(2, 4, samplerate=value)


@pytest.mark.parametrize("value", ["", "wait", "Raise", None, 1, True, b"raise", ["raise"]])
def test_on_empty(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^on_empty must be 'allocate' or 'raise', not "):
        pong.BufferPool(2, 4, on_empty=value)


def test_overflow_without_allocation() -> None:
    with pytest.raises(ValueError, match="overflow goes with on_empty='allocate'"):
        pong.BufferPool(2, 4, on_empty="raise", overflow=1)


@pytest.mark.parametrize("more", [{"nonsense": 1}, {"Count": 1}, {"guard": True}, {"shared": True}, {"name": "x"}])
def test_unknown_parameters(more: dict) -> None:
    """What comes with issues of its own is not in the signature yet either."""
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{next(iter(more))}'"):
        pong.BufferPool(2, 4, **more)


def test_options_are_keywords() -> None:
    with pytest.raises(TypeError, match="at most 4 positional"):
        pong.BufferPool(2, 4, 1, "float32", 48000)


TIMEOUTS = [
    *((value, ValueError) for value in (math.nan, np.float32("nan"), -1, -1e-9, -(10**400), -math.inf)),
    *((value, ValueError) for value in (math.inf, 1e10, 1e300, 10**11, 10**400, np.float64(1e12))),
    *((value, TypeError) for value in (True, False, "1", b"1", [1], 1j, object(), {})),
]


@pytest.mark.parametrize(("timeout", "error"), TIMEOUTS, ids=lambda value: getattr(value, "__name__", repr(value))[:20])
@pytest.mark.parametrize("empty", [False, True], ids=["free", "empty"])
def test_timeout_of_acquire(timeout: Any, error: type[Exception], empty: bool) -> None:
    """Refused whether it would have been waited or not."""
    pool = small_pool(1, on_empty="allocate")
    held = [pool.acquire() for _ in range(empty)]
    before = pool.stats()
    with pytest.raises(error, match=r"^timeout must be None or ((from 0 to [0-9]+)|(a number of)) seconds, not "):
        pool.acquire(timeout)
    assert pool.stats() == before
    assert before.owned == len(held)


@pytest.mark.parametrize("timeout", [0, 0.0, -0.0, 1e-300, 1e-9, np.float32(0.001), np.int8(0), Decimal("0.001")])
def test_good_timeouts(timeout: Any) -> None:
    """The checks refuse no good timeout: the pool is found empty."""
    pool = small_pool(1)
    held = pool.acquire(timeout)
    with pytest.raises(pong.PoolExhausted, match=r"^no slot is free: 1 owned, 0 queued, 0 pinned$"):
        pool.acquire(timeout)
    assert not held.detached
    assert where(pool) == (0, 1, 0, 0)


def test_acquire_from_a_closed_pool() -> None:
    """A closed pool refuses, with every timeout; what is in hand stays valid."""
    pool = small_pool(2)
    buf = filled(pool)
    pool.close()
    pool.close()
    for timeout in (0, 0.001, None):
        with pytest.raises(pong.ClosedError, match="the pool is closed"):
            pool.acquire(timeout)
    with pytest.raises(pong.ClosedError, match="the pool is closed"):
        pool.link()
    assert buf.samples[0, 0] == 1.0
    assert pool.stats().owned == 1
    buf.release()
    assert where(pool) == (2, 0, 0, 0)


@pytest.mark.parametrize("number", [1, 2, 8])
def test_more_links_than_the_arena_holds(number: int) -> None:
    """A link's place is free again when both of its ends are closed, not before."""
    pool = small_pool(max_links=number)
    links = [pool.link() for _ in range(number)]
    for _ in range(2):
        with pytest.raises(RuntimeError, match=f"^all {number} links of the pool are open: .*with more max_links$"):
            pool.link()
    sender, receiver = links[-1]
    sender.close()
    with pytest.raises(RuntimeError, match=f"all {number} links"):
        pool.link()
    # The others go on working, and the one that is half closed delivers its end.
    if number > 1:
        links[0][0].send(filled(pool))
        with links[0][1].recv_nowait() as got:
            assert got.samples[0, 0] == 1.0
    with pytest.raises(pong.ClosedError):
        receiver.recv_nowait()
    receiver.close()
    sender, receiver = pool.link()
    sender.send(filled(pool))
    with receiver.recv_nowait() as got:
        assert got.seq == 0


LOCK = """
import ctypes, errno, os, resource
if os.geteuid() == 0:
    # Without CAP_IPC_LOCK the limit is for root as well.
    header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None, use_errno=True).capset(header, nothing) == 0, ctypes.get_errno()
resource.setrlimit(resource.RLIMIT_MEMLOCK, (LIMIT, LIMIT))
import pong

def mapped():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()

pong.BufferPool(16, 65536).close()
before = mapped()
for _ in range(4):
    try:
        pong.BufferPool(16, 65536, on_empty="raise", lock_memory=True)
    except OSError as error:
        assert error.errno in (errno.EPERM, errno.ENOMEM, errno.EAGAIN), error
        print(error)
# Each was 4 MiB, and none of them is left.
assert mapped() - before < 4 << 20
assert pong._arena.balance().get("arenas", 0) == 0
with pong.BufferPool(16, 65536) as pool:
    assert pool.free == 16
"""


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities and /proc are of Linux")
@pytest.mark.parametrize("limit", [0, 65536])
def test_mlock_refused(limit: int, tmp_path: Path) -> None:
    """The error names how much was to be locked, and the limit; the mapping is gone."""
    child = subprocess.run(
        [sys.executable, "-c", LOCK.replace("LIMIT, LIMIT", f"{limit}, {limit}")],
        cwd=tmp_path, env=os.environ | {"PYTHONFAULTHANDLER": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr
    lines = child.stdout.splitlines()
    assert len(lines) == 4
    for line in lines:
        assert "cannot lock 4" in line
        assert f"the limit is {limit} bytes (RLIMIT_MEMLOCK, `ulimit -l`)" in line


def test_no_pool_is_left_of_a_refusal() -> None:
    """In the debug build: what was refused has left no arena."""
    before = _arena.balance()
    for more in ({"count": 0}, {"dtype": ">f4"}, {"samplerate": -1}, {"on_empty": "no"}):
        with pytest.raises(ValueError, match="must be"):
            pong.BufferPool(**more)
    assert _arena.balance() == before
