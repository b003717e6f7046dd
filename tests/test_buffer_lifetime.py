"""How a handle goes: on any thread, in a finalizer, in a cycle with its message; the slot always comes home."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from aliases import CHANNELS, FRAMES, VALUES, filled, small_pool, where

import pong


def on_a_thread(function: Callable, *arguments: Any) -> None:
    """Run a function on a thread of its own, to its end."""
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join()


@pytest.mark.parametrize("viewed", [False, True], ids=["untouched", "viewed"])
def test_handles_dropped_on_another_thread(viewed: bool) -> None:
    """I3: the last reference may go on any thread; the slot comes home, and the same `samples` may serve again."""
    pool = small_pool(3)
    sender, receiver = pool.link()
    for _ in range(20):
        hands = [filled(pool) if viewed else pool.acquire() for _ in range(3)]
        sender.send(hands.pop(), message=hands)
        del hands
        assert where(pool) == (0, 2, 1, 0)
        on_a_thread(receiver.recv_nowait)
        assert where(pool) == (3, 0, 0, 0)


def test_views_dropped_on_another_thread() -> None:
    """I5: a pin is taken off by whichever thread drops the last alias."""
    pool = small_pool(2)
    held = []
    for _ in range(2):
        buf = filled(pool)
        held += [buf.samples, buf.samples[1:], memoryview(buf)]
        buf.release()
    assert where(pool) == (0, 0, 0, 2)
    on_a_thread(held.clear)
    assert where(pool) == (2, 0, 0, 0)


@pytest.mark.parametrize("in_cycle", [False, True], ids=["counted", "cycle"])
@pytest.mark.parametrize("how", ["drop", "release", "send", "view"])
def test_handle_in_a_finalizer(how: str, in_cycle: bool) -> None:
    """I3: a ``__del__`` may do with its buffer what anybody may."""
    pool = small_pool(2)
    sender, receiver = pool.link()
    views = []

    class Owner:
        def __init__(self) -> None:
            self.buf = filled(pool)
            self.me = self if in_cycle else None

        def __del__(self) -> None:
            if how == "release":
                self.buf.release()
            elif how == "send":
                sender.send(self.buf, tag=1)
            elif how == "view":
                views.append(self.buf.samples[1:])

    Owner()
    gc.collect()
    if how == "send":
        got = receiver.recv_nowait()
        np.testing.assert_array_equal(got.samples, VALUES)
        got.release()
    elif how == "view":
        assert where(pool) == (1, 0, 0, 1)
        np.testing.assert_array_equal(views.pop(), VALUES[1:])
    assert where(pool) == (2, 0, 0, 0)


def test_handle_in_a_cycle_with_its_message() -> None:
    """I3: a received buffer whose message refers to it is found by the garbage collector."""
    pool = small_pool(1)
    sender, receiver = pool.link()
    message: list = []
    sender.send(filled(pool), message=message)
    message.append(receiver.recv_nowait())
    assert message[0].message is message
    del message
    assert where(pool) == (0, 1, 0, 0)
    gc.collect()
    assert where(pool) == (1, 0, 0, 0)


@pytest.mark.parametrize("ends", ["sender", "receiver", "both"])
def test_link_in_a_cycle_with_a_queued_message(ends: str) -> None:
    """I3: a message still queued that refers to the link: both are collected, and every buffer comes home."""
    pool = small_pool(3)
    sender, receiver = pool.link()
    buf, other = filled(pool), filled(pool)
    message = [buf, other, *{"sender": [sender], "receiver": [receiver], "both": [sender, receiver]}[ends]]
    sender.send(buf, message=message)
    sender.send_many([(filled(pool), None, message)])
    assert where(pool) == (0, 1, 2, 0)
    del buf, other, message, sender, receiver
    gc.collect()
    assert where(pool) == (3, 0, 0, 0)
    # The link may be opened again.
    for _ in range(20):
        pool.link()


def test_pool_in_a_cycle_with_its_messages() -> None:
    """Pool, link, buffers and messages that refer to one another go together."""

    class Pool(pong.BufferPool):
        pass

    pool = Pool(4, FRAMES, CHANNELS)
    reference = weakref.ref(pool)
    sender, receiver = pool.link()
    sender.send(filled(pool), message=[pool, sender, receiver, filled(pool).samples, filled(pool)])
    pool.mine = pool
    del pool, sender, receiver
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("close", ["receiver.close", "drop"])
def test_messages_are_dropped_when_the_pool_can_be_used(close: str) -> None:
    """The finalizer of a message that a close drops finds every slot at home, and may take one."""
    pool = small_pool(2)
    sender, receiver = pool.link()
    seen = []

    class Message:
        def __del__(self) -> None:
            seen.append(where(pool))
            filled(pool).release()

    for _ in range(2):
        sender.send(filled(pool), message=Message())
    if close == "drop":
        del receiver
    else:
        receiver.close()
    assert seen == [(2, 0, 0, 0)] * 2
    with pytest.raises(pong.ClosedError):
        sender.send(pool.acquire())
    assert where(pool) == (2, 0, 0, 0)
