"""`send_many`: all or none, and visible to the receiver all at once."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from observe import Call, address

import pong
from pong import BufferPool

SIZE = 5


class Message:
    """An object that can be referred to weakly."""


@pytest.fixture
def pool():
    return BufferPool(2 * SIZE, 4, dtype="int32", on_empty="raise")


def batch(pool: BufferPool, number: int = SIZE, first: int = 0) -> list[pong.Buffer]:
    """Return buffers filled with consecutive values."""
    buffers = [pool.acquire() for _ in range(number)]
    for value, buf in enumerate(buffers, first):
        buf.write(np.full(4, value, "int32"))
        buf.tag = 100 + value
    return buffers


def assert_untouched(pool: BufferPool, buffers, receiver) -> None:
    """Nothing was sent, and every buffer is as `batch` made it."""
    assert not receiver.poll()
    assert pool.stats().queued == 0
    for value, buf in enumerate(buffers):
        assert not buf.detached
        assert (buf.tag, buf.seq, buf.message, buf.frames) == (100 + value, None, None, 4)
        assert buf.samples[:, 0].tolist() == [value] * 4


def test_order_tags_messages_and_seq(pool):
    sender, receiver = pool.link()
    sender.send(pool.acquire())
    buffers = batch(pool)
    message = Message()
    assert sender.send_many(
        [buffers[0], (buffers[1],), (buffers[2], 7), (buffers[3], None, message), (buffers[4], 9, "text")]
    ) is None
    assert all(buf.detached for buf in buffers)
    sender.send(pool.acquire())
    got = receiver.drain()
    assert [buf.seq for buf in got] == list(range(7))
    assert [buf.tag for buf in got[1:6]] == [100, 101, 7, 103, 9]
    assert [buf.message for buf in got[1:6]] == [None, None, None, message, "text"]
    assert [buf.samples[0, 0] for buf in got[1:6]] == list(range(SIZE))
    assert pool.stats().links[0].sent == 7


@pytest.mark.parametrize("kind", [list, tuple, iter, lambda items: (item for item in items), dict.fromkeys])
def test_any_iterable_of_any_length(pool, kind):
    sender, receiver = pool.link()
    for number in (0, 1, 2 * SIZE):
        sender.send_many(kind(batch(pool, number)))
        got = receiver.drain()
        assert [buf.samples[0, 0] for buf in got] == list(range(number))
        del got
    assert pool.free == 2 * SIZE


def test_all_of_a_batch_is_visible_at_once(pool):
    """A receiver that sees the first of a batch sees the last one too, whenever it looks."""
    sender, receiver = pool.link()
    rounds = 3000

    def consume():
        got = 0
        while got < rounds:
            first = receiver.recv()
            rest = receiver.drain()
            # Whole batches only, but for the next ones that may have come meanwhile.
            assert (1 + len(rest)) % SIZE == 0, "part of a batch was visible"
            got += (1 + len(rest)) // SIZE
            for seq, buf in enumerate([first, *rest], first.seq):
                assert buf.seq == seq
                buf.release()
            del first, rest, buf

    call = Call(consume)
    for _ in range(rounds):
        sender.send_many([pool.acquire(30) for _ in range(SIZE)])
    call.outcome()
    assert pool.free == 2 * SIZE


def refuse(place: int, spoil, pool, sender, receiver, error) -> None:
    """Send a batch that is spoilt at one place: it is refused as a whole, and goes through once mended."""
    buffers = batch(pool)
    message = Message()
    alive = weakref.ref(message)
    items = [(buf, 55, message) if i % 2 else buf for i, buf in enumerate(buffers)]
    spoilt, undo = spoil(buffers, items, place)
    with pytest.raises(error):
        sender.send_many(spoilt)
    spoilt = None
    undo()
    assert_untouched(pool, buffers, receiver)
    items = message = None
    assert alive() is None, "a refused message is kept"
    sender.send_many(buffers)
    assert len(receiver.drain()) == SIZE


@pytest.mark.parametrize("place", range(SIZE))
def test_a_view_alive_at_any_place(pool, place):
    sender, receiver = pool.link()

    def spoil(buffers, items, place):
        views = [buffers[place].samples[1:]]
        return items, views.clear

    refuse(place, spoil, pool, sender, receiver, BufferError)


@pytest.mark.parametrize("place", range(SIZE + 1))
def test_a_generator_that_raises_at_any_place(pool, place):
    sender, receiver = pool.link()

    def spoil(buffers, items, place):
        def generate():
            yield from items[:place]
            raise ArithmeticError
        return generate(), lambda: None

    refuse(place, spoil, pool, sender, receiver, ArithmeticError)


@pytest.mark.parametrize("first", range(SIZE))
@pytest.mark.parametrize("second", range(SIZE + 1))
def test_a_buffer_named_twice(pool, first, second):
    sender, receiver = pool.link()

    def spoil(buffers, items, place):
        return [*items[:second], buffers[first], *items[second:]], lambda: None

    refuse(first, spoil, pool, sender, receiver, ValueError)


@pytest.mark.parametrize("place", range(SIZE + 1))
def test_a_detached_buffer_at_any_place(pool, place):
    sender, receiver = pool.link()
    gone = pool.acquire()
    gone.release()

    def spoil(buffers, items, place):
        return [*items[:place], (gone, 1, "message"), *items[place:]], lambda: None

    refuse(place, spoil, pool, sender, receiver, pong.DetachedError)


@pytest.mark.parametrize("place", range(SIZE + 1))
def test_a_buffer_of_another_pool_at_any_place(pool, place):
    sender, receiver = pool.link()
    foreign = BufferPool(1, 4, dtype="int32").acquire()

    def spoil(buffers, items, place):
        return [*items[:place], foreign, *items[place:]], lambda: None

    refuse(place, spoil, pool, sender, receiver, ValueError)
    assert not foreign.detached


@pytest.mark.parametrize("place", [0, 2, SIZE])
@pytest.mark.parametrize("item", [None, 1, "text", (), (1, 2), object()], ids=repr)
def test_what_is_no_buffer_at_any_place(pool, place, item):
    sender, receiver = pool.link()

    def spoil(buffers, items, place):
        return [*items[:place], item, *items[place:]], lambda: None

    refuse(place, spoil, pool, sender, receiver, TypeError)


@pytest.mark.parametrize("error", [TypeError, ValueError])
def test_a_bad_tag_or_too_many_parts(pool, error):
    sender, receiver = pool.link()

    def spoil(buffers, items, place):
        bad = (buffers[place], 1.5) if error is TypeError else (buffers[place], 2**63)
        return [*items[:place], bad, *items[place + 1:]], lambda: None

    refuse(3, spoil, pool, sender, receiver, error)
    with pytest.raises(TypeError):
        sender.send_many([(pool.acquire(), 1, None, None)])


def test_an_iterable_that_sends_a_member_itself(pool):
    """The members are looked at when the iterable has ended, not before."""
    sender, receiver = pool.link()
    buffers = batch(pool)

    def treacherous():
        yield from buffers
        sender.send(buffers[2])

    with pytest.raises(pong.DetachedError):
        sender.send_many(treacherous())
    with receiver.recv(0) as got:
        assert got.samples[0, 0] == 2
    assert not receiver.poll()
    assert [buf.detached for buf in buffers] == [False, False, True, False, False]


def test_no_iterable(pool):
    sender, receiver = pool.link()
    buf = pool.acquire()
    for wrong in (None, 1):
        with pytest.raises(TypeError):
            sender.send_many(wrong)
    assert not buf.detached
    assert not receiver.poll()


@pytest.mark.parametrize("closed", ["sender", "receiver", "pool"])
def test_a_closed_link_refuses_even_nothing(pool, closed):
    sender, receiver = pool.link()
    buffers = batch(pool)
    {"sender": sender, "receiver": receiver, "pool": pool}[closed].close()
    for items in (buffers, []):
        with pytest.raises(pong.ClosedError):
            sender.send_many(items)
    assert not any(buf.detached for buf in buffers)
    assert pool.in_use == SIZE


def test_kept_samples_stay_detached_and_pin_their_slots(pool):
    """I2, I5: as with `send`, a reference to `samples` itself does not forbid the transfer."""
    sender, receiver = pool.link()
    buffers = batch(pool)
    kept = [buf.samples for buf in buffers[:2]]
    places = [address(samples) for samples in kept]
    sender.send_many(buffers)
    assert [len(samples) for samples in kept] == [0, 0]
    for buf in receiver.drain():
        buf.release()
    del buf
    assert (pool.stats().pinned, pool.free) == (2, 2 * SIZE - 2)
    kept.pop(0)
    assert (pool.stats().pinned, pool.free) == (1, 2 * SIZE - 1)
    assert address(pool.acquire().samples) == places[0]
