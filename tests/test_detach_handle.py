"""A detached handle: what it answers, what it refuses, and that it never comes back to life."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from aliases import CHANNELS, FRAMES, VALUES, filled, small_pool

import pong

SETTERS = {
    "frames": 1,
    "time": 1.0,
    "time_source": "device",
    "position": 1,
    "gap": 1,
    "status": 1,
    "tag": 1,
}
REFUSED: dict[str, Callable[[pong.Buffer], Any]] = {
    **{f"get {name}": lambda buf, name=name: getattr(buf, name) for name in ("samples", "seq", "message", *SETTERS)},
    **{f"set {name}": lambda buf, name=name, value=value: setattr(buf, name, value) for name, value in SETTERS.items()},
    "write": lambda buf: buf.write(VALUES),
    "write nonsense": lambda buf: buf.write(object()),
    "copy": lambda buf: buf.copy(),
    "release": lambda buf: buf.release(),
    "with": lambda buf: buf.__enter__(),
    "memoryview": memoryview,
    "bytes": bytes,
    "bytearray": bytearray,
    "asarray": np.asarray,
    "asarray of a dtype": lambda buf: np.asarray(buf, "float64"),
    "array": np.array,
    "array of objects": lambda buf: np.array(buf, dtype=object),
    "array of buffers": lambda buf: np.stack([buf, buf]),
    "frombuffer": np.frombuffer,
    "add": lambda buf: VALUES + buf,
    "add from the left": lambda buf: buf + VALUES,
    "compare": lambda buf: buf == VALUES,
    "in place": lambda buf: VALUES.copy().__iadd__(buf),
    "as index": lambda buf: VALUES[buf],
    "assign": lambda buf: VALUES.copy().__setitem__(slice(None), buf),
    "sum": np.sum,
    "write to another": lambda buf: small_pool(1).acquire().write(buf),
}


@pytest.mark.parametrize("sent", [False, True], ids=["release", "send"])
@pytest.mark.parametrize("use", REFUSED.values(), ids=REFUSED)
def test_detached_handle_refuses(use: Callable, sent: bool) -> None:
    """I2: everything that could reach the samples or the header raises DetachedError; the new owner notices nothing."""
    pool = small_pool(1)
    (sender, receiver), buf = pool.link(), filled(pool)
    if sent:
        sender.send(buf, tag=7, message="message")
    else:
        buf.release()
        sender.send(filled(pool), tag=7, message="message")
    for _ in range(2):
        with pytest.raises(pong.DetachedError, match="the buffer is detached"):
            use(buf)
    got = receiver.recv_nowait()
    with pytest.raises(pong.DetachedError, match="the buffer is detached"):
        use(buf)
    assert (len(got), got.tag, got.message, got.seq, got.time, got.position) == (FRAMES, 7, "message", 0, 0.0, 0)
    np.testing.assert_array_equal(got.samples, VALUES)


@pytest.mark.parametrize("viewed", [False, True], ids=["untouched", "viewed"])
@pytest.mark.parametrize("how", ["release", "send", "send_many", "with"])
def test_detached_handle_answers(how: str, viewed: bool) -> None:
    """I2: what a detached handle still says, and it never comes back to life, whatever happens to the slot."""
    pool = small_pool(1)
    (sender, receiver), buf = pool.link(), pool.acquire()
    if viewed:
        buf.samples[:] = VALUES
    assert (buf.detached, buf.nbytes, len(buf), bool(buf)) == (False, FRAMES * CHANNELS * 4, FRAMES, True)
    if how == "release":
        buf.release()
    elif how == "send":
        sender.send(buf)
    elif how == "send_many":
        sender.send_many([buf])
    else:
        with buf:
            pass
    for step in range(4):
        assert (buf.detached, buf.nbytes, len(buf), bool(buf)) == (True, 0, 0, False)
        assert repr(buf) == "<pong.Buffer detached>"
        for refused in (buf.release, partial(sender.send, buf), partial(sender.send_many, [buf])):
            with pytest.raises(pong.DetachedError, match="sent or released"):
                refused()
        if step == 0:
            new = receiver.recv_nowait() if "send" in how else pool.acquire()
        elif step == 1:
            new.release()
        elif step == 2:
            new = filled(pool)
    np.testing.assert_array_equal(new.samples, VALUES)


@pytest.mark.parametrize("how", ["release", "send", "send_many"])
def test_detached_handle_lets_its_message_go(how: str) -> None:
    """A received buffer that is passed on or released keeps nothing of its message alive."""

    class Message:
        pass

    pool = small_pool(1)
    sender, receiver = pool.link()
    message = Message()
    reference = weakref.ref(message)
    sender.send(filled(pool), message=message)
    del message
    got = receiver.recv_nowait()
    assert got.message is reference()
    if how == "release":
        got.release()
    elif how == "send":
        sender.send(got)
    else:
        sender.send_many([got])
    gc.collect()
    assert reference() is None
