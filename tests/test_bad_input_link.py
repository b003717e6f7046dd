"""Bad input to a link: each refused with a clear error; nothing detached, nothing lost, no hole in `seq`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
from aliases import VALUES, filled, small_pool, where
from test_bad_input_pool import TIMEOUTS

import pong

MEMBERS = 3


class Bench:
    """A pool with one open link and three filled buffers in hand, of tag 9, and a buffer of another pool."""

    def __init__(self) -> None:
        self.pool, self.other_pool = small_pool(6), small_pool(2)
        self.sender, self.receiver = self.pool.link()
        self.bufs = [filled(self.pool) for _ in range(MEMBERS)]
        for buf in self.bufs:
            buf.tag = 9
        self.foreign = filled(self.other_pool)
        self.detached = self.pool.acquire()
        self.detached.release()
        self.viewed = filled(self.pool)
        self.view = self.viewed.samples[1:]

    @contextmanager
    def nothing_lost(self) -> Iterator[None]:
        """Assert that a refusal changes nothing, and that the link still delivers all buffers from seq 0 on."""
        before = where(self.pool), where(self.other_pool), [(buf.tag, buf.frames) for buf in self.bufs]
        yield
        assert (where(self.pool), where(self.other_pool), [(buf.tag, buf.frames) for buf in self.bufs]) == before
        assert not self.receiver.poll()
        assert not self.foreign.detached
        assert not self.viewed.detached
        self.sender.send_many(self.bufs)
        for seq, got in enumerate(self.receiver.drain()):
            assert (got.seq, got.tag, got.message) == (seq, 9, None)
            np.testing.assert_array_equal(got.samples, VALUES)
            del got
        assert where(self.pool) == (6 - 1, 1, 0, 0)


MEMBER_ERRORS: dict[str, tuple[Callable[[Bench], Any], type[Exception], str]] = {
    "detached": (lambda bench: bench.detached, pong.DetachedError, "the buffer is detached"),
    "of another pool": (lambda bench: bench.foreign, ValueError, "belongs to another pool: send it through "),
    "viewed": (lambda bench: bench.viewed, BufferError, "still live: 1; drop them, or keep data with buf.copy"),
}
NOT_BUFFERS: dict[str, Any] = {
    "None": None,
    "integer": 1,
    "array": VALUES,
    "bytes": b"bytes",
    "memoryview": memoryview(VALUES),
    "class": pong.Buffer,
    "text": "buf",
}


@pytest.mark.parametrize(("member", "error", "text"), MEMBER_ERRORS.values(), ids=MEMBER_ERRORS)
def test_send_refuses_buffer(member: Callable, error: type[Exception], text: str) -> None:
    bench = Bench()
    with bench.nothing_lost(), pytest.raises(error, match=text):
        bench.sender.send(member(bench), tag=1, message="message")


@pytest.mark.parametrize("value", NOT_BUFFERS.values(), ids=NOT_BUFFERS)
def test_send_refuses_what_is_no_buffer(value: Any) -> None:
    bench = Bench()
    text = r"Argument 'buf' .*(expected pong._buffer.Buffer|not be None)"
    with bench.nothing_lost(), pytest.raises(TypeError, match=text):
        bench.sender.send(value)


@pytest.mark.parametrize("of", [lambda bench: bench.sender, lambda bench: bench.receiver, lambda bench: bench.pool])
def test_send_refuses_what_else_pong_has(of: Callable) -> None:
    bench = Bench()
    with bench.nothing_lost():
        with pytest.raises(TypeError, match=r"expected pong._buffer.Buffer, got pong\._"):
            bench.sender.send(of(bench))
        with pytest.raises(TypeError, match=r"each item must be a Buffer or a tuple|not iterable"):
            bench.sender.send_many([of(bench)])


TAGS = [
    *((tag, TypeError, "^tag must be an integer, not ") for tag in (1.0, "1", b"1", True, [1], 1j, np.float64(1))),
    *((tag, ValueError, "^tag must fit into 64 bits, signed, not ") for tag in (2**63, -(2**63) - 1, 10**30)),
]


@pytest.mark.parametrize(("tag", "error", "text"), TAGS)
def test_send_refuses_tag(tag: Any, error: type[Exception], text: str) -> None:
    bench = Bench()
    with bench.nothing_lost(), pytest.raises(error, match=text):
        bench.sender.send(bench.bufs[0], tag=tag, message="message")


@pytest.mark.parametrize(("tag", "error", "text"), TAGS)
@pytest.mark.parametrize("position", range(MEMBERS))
def test_send_many_refuses_tag(tag: Any, error: type[Exception], text: str, position: int) -> None:
    bench = Bench()
    items = [(buf, 5, "message") for buf in bench.bufs]
    items[position] = (bench.bufs[position], tag)
    with bench.nothing_lost(), pytest.raises(error, match=text):
        bench.sender.send_many(items)


def test_send_takes_tag_and_message_by_keyword() -> None:
    bench = Bench()
    with bench.nothing_lost():
        for call in (
            partial(bench.sender.send, bench.bufs[0], 1),
            partial(bench.sender.send, bench.bufs[0], nonsense=1),
            partial(bench.sender.send),
            partial(bench.sender.send_many),
            partial(bench.sender.send_many, bench.bufs[:1], 1),
        ):
            with pytest.raises(TypeError, match="argument"):
                call()


@pytest.mark.parametrize(("member", "error", "text"), MEMBER_ERRORS.values(), ids=MEMBER_ERRORS)
@pytest.mark.parametrize("bare", [True, False], ids=["bare", "tuple"])
@pytest.mark.parametrize("position", range(MEMBERS + 1))
def test_send_many_refuses_member(
    member: Callable, error: type[Exception], text: str, bare: bool, position: int
) -> None:
    """A bad member at each position: all or nothing."""
    bench = Bench()
    items: list = [(buf, 5, "message") for buf in bench.bufs]
    items.insert(position, member(bench) if bare else (member(bench), 5, "message"))
    with bench.nothing_lost(), pytest.raises(error, match=text):
        bench.sender.send_many(items)


@pytest.mark.parametrize("first", range(MEMBERS))
@pytest.mark.parametrize("second", range(MEMBERS + 1))
def test_send_many_refuses_duplicate(first: int, second: int) -> None:
    bench = Bench()
    items: list = [(buf, 5, "message") for buf in bench.bufs]
    items.insert(second, bench.bufs[first])
    with bench.nothing_lost(), pytest.raises(ValueError, match="named twice"):
        bench.sender.send_many(items)


@pytest.mark.parametrize("position", range(MEMBERS + 1))
@pytest.mark.parametrize("value", [*NOT_BUFFERS.values(), (), (1,), (None, 1, 2), "four", "list"], ids=repr)
def test_send_many_refuses_item(value: Any, position: int) -> None:
    bench = Bench()
    if isinstance(value, str) and value in ("four", "list"):
        value = (bench.bufs[0], 1, "message", 4) if value == "four" else [bench.bufs[0], 1]
    items: list = list(bench.bufs)
    items.insert(position, value)
    text = r"each item must be a Buffer or a tuple \(Buffer, tag, message\), not "
    with bench.nothing_lost(), pytest.raises(TypeError, match=text):
        bench.sender.send_many(items)


@pytest.mark.parametrize("value", [None, 1, 1.5, object()])
def test_send_many_refuses_what_cannot_be_iterated(value: Any) -> None:
    bench = Bench()
    with bench.nothing_lost(), pytest.raises(TypeError, match="not iterable"):
        bench.sender.send_many(value)


def test_send_many_refuses_a_single_buffer() -> None:
    """The brackets forgotten."""
    bench = Bench()
    with bench.nothing_lost(), pytest.raises(TypeError, match="not iterable"):
        bench.sender.send_many(bench.bufs[0])


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, StopAsyncIteration, pong.ClosedError])
@pytest.mark.parametrize("position", range(MEMBERS + 1))
def test_send_many_of_a_generator_that_raises(position: int, error: type[BaseException]) -> None:
    """The error comes through, from any position, and nothing has been sent."""
    bench = Bench()

    def members() -> Iterator:
        for i, buf in enumerate(bench.bufs):
            if i == position:
                raise error("from the generator")
            yield buf, 5, "message"
        raise error("from the generator")

    with bench.nothing_lost(), pytest.raises(error, match="from the generator"):
        bench.sender.send_many(members())


def test_send_many_of_nothing() -> None:
    bench = Bench()
    with bench.nothing_lost():
        bench.sender.send_many([])
        bench.sender.send_many(iter(()))


@pytest.mark.parametrize("dispose", ["release", "send"])
def test_send_many_of_a_generator_that_disposes_of_a_member(dispose: str) -> None:
    """What the generator itself gives away is found detached in the end; the others stay in hand."""
    pool = small_pool(3)
    sender, receiver = pool.link()
    bufs = [filled(pool, float(i)) for i in range(3)]

    def members() -> Iterator:
        yield from bufs
        bufs[1].release() if dispose == "release" else sender.send(bufs[1], tag=4)

    with pytest.raises(pong.DetachedError, match="the buffer is detached"):
        sender.send_many(members())
    assert [buf.detached for buf in bufs] == [False, True, False]
    sender.send_many([bufs[0], bufs[2]])
    got = [(buf.seq, buf.tag, float(buf.samples[0, 0])) for buf in receiver.drain()]
    assert got == ([(0, 0, 0.0), (1, 0, 2.0)] if dispose == "release" else [(0, 4, 1.0), (1, 0, 0.0), (2, 0, 2.0)])


@pytest.mark.parametrize("closes", ["sender", "receiver", "pool"])
def test_send_many_of_a_generator_that_closes(closes: str) -> None:
    """Closed by its own generator: refused as after any close, the buffers stay in hand."""
    bench = Bench()

    def members() -> Iterator:
        yield from bench.bufs
        getattr(bench, closes).close()

    with pytest.raises(pong.ClosedError, match=f"the {closes} is closed"):
        bench.sender.send_many(members())
    assert [(buf.detached, buf.tag) for buf in bench.bufs] == [(False, 9)] * MEMBERS


@pytest.mark.parametrize("many", [False, True], ids=["send", "send_many"])
@pytest.mark.parametrize("closes", ["sender", "receiver", "pool"])
def test_send_after_close(closes: str, many: bool) -> None:
    """The sender keeps its buffers, whole; what was queued before goes its way."""
    bench = Bench()
    bench.sender.send(filled(bench.pool), message="queued")
    send = (
        partial(bench.sender.send_many, [(buf, 5, "message") for buf in bench.bufs])
        if many
        else partial(bench.sender.send, bench.bufs[0], tag=5, message="message")
    )
    for _ in range(2):
        getattr(bench, closes).close()
        for _ in range(2):
            with pytest.raises(pong.ClosedError, match=f"the {closes} is closed"):
                send()
    for buf in bench.bufs:
        assert (buf.detached, buf.tag) == (False, 9)
        np.testing.assert_array_equal(buf.samples, VALUES)
    queued = closes != "receiver"
    assert where(bench.pool) == (2 - queued, MEMBERS + 1, queued, 0)
    if queued:
        assert bench.receiver.recv().message == "queued"
    with pytest.raises(pong.ClosedError):
        bench.receiver.recv()
    for buf in bench.bufs:
        buf.release()
    assert where(bench.pool) == (5, 1, 0, 0)


@pytest.mark.parametrize(("timeout", "error"), TIMEOUTS, ids=lambda value: getattr(value, "__name__", repr(value))[:20])
@pytest.mark.parametrize("queued", [False, True], ids=["empty", "queued"])
@pytest.mark.parametrize("call", ["recv", "poll"])
def test_timeout_of_a_receiver(call: str, queued: bool, timeout: Any, error: type[Exception]) -> None:
    """Refused whether it would have been waited or not; the message stays where it is."""
    pool = small_pool(1)
    sender, receiver = pool.link()
    if queued:
        sender.send(filled(pool), message="message")
    before = where(pool)
    with pytest.raises(error, match=r"^timeout must be None or ((from 0 to [0-9]+)|(a number of)) seconds, not "):
        getattr(receiver, call)(timeout)
    assert where(pool) == before
    assert receiver.poll() is queued
    if queued:
        assert receiver.recv(timeout=0).message == "message"
    else:
        with pytest.raises(pong.Empty, match="no buffer came within the timeout"):
            receiver.recv(timeout=0)


@pytest.mark.parametrize(
    ("most", "error"),
    [
        *((value, ValueError) for value in (0, -1, 2**64, 10**30)),
        *((value, TypeError) for value in (1.0, True, "1", [1])),
    ],
)
def test_drain_refuses(most: Any, error: type[Exception]) -> None:
    bench = Bench()
    bench.sender.send_many(bench.bufs)
    with pytest.raises(error, match=r"^max must be (an integer )?from 1 to 18446744073709551615, not "):
        bench.receiver.drain(most)
    assert len(bench.receiver.drain(2)) == 2
    assert len(bench.receiver.drain()) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda receiver: receiver.recv(),
        lambda receiver: receiver.recv(0),
        lambda receiver: receiver.recv_nowait(),
        lambda receiver: receiver.poll(),
        lambda receiver: receiver.drain(),
        lambda receiver: receiver.fileno(),
    ],
    ids=["recv", "recv(0)", "recv_nowait", "poll", "drain", "fileno"],
)
def test_closed_receiver_refuses(call: Callable) -> None:
    bench = Bench()
    bench.sender.send_many([(buf, None, "message") for buf in bench.bufs])
    bench.receiver.close()
    assert where(bench.pool) == (5, 1, 0, 0)
    for _ in range(2):
        with pytest.raises(pong.ClosedError, match="the receiver is closed"):
            call(bench.receiver)
    assert list(bench.receiver) == []
