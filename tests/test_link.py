"""Sending and receiving: what travels, in which order, through one link and through several."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from observe import Call, address

import pong


class Message:
    """An object that can be referred to weakly."""


def filled(pool: pong.BufferPool, value: int) -> pong.Buffer:
    """Return a buffer whose samples all have one value."""
    buf = pool.acquire()
    buf.write(np.full((pool.blocksize, pool.channels), value, pool.dtype))
    return buf


def values(buffers) -> list[int]:
    """Return the value of each buffer of `filled`."""
    return [int(buf.samples[0, 0]) for buf in buffers]


@pytest.fixture
def pool():
    return pong.BufferPool(8, 4, dtype="int32", on_empty="raise")


def test_send_detaches_and_the_receiver_gets_the_same_memory(pool):
    """I1, I2: the block changes hands, the sender's handle and its samples reach nothing."""
    sender, receiver = pool.link()
    buf = filled(pool, 7)
    samples, where = buf.samples, address(buf.samples)
    sender.send(buf)
    assert (buf.detached, bool(buf), len(buf), buf.nbytes) == (True, False, 0, 0)
    assert (len(samples), samples.shape) == (0, (0, 1))
    for use in (lambda: buf.samples, buf.release, lambda: sender.send(buf), lambda: buf.frames, buf.copy):
        with pytest.raises(pong.DetachedError):
            use()
    got = receiver.recv()
    assert got is not buf
    assert address(got.samples) == where
    assert values([got]) == [7]
    assert buf.detached
    assert len(samples) == 0


def test_everything_that_belongs_to_the_block_travels_through_every_stage(pool):
    """A buffer goes through three links; `seq` is each sender's own count."""
    links = [pool.link() for _ in range(3)]
    links[1][0].send(pool.acquire())
    links[1][1].recv().release()
    buf = filled(pool, 3)
    where = address(buf.samples)
    buf.frames, buf.time, buf.time_source, buf.position = 3, 0.25, "monotonic", 2**63
    buf.gap, buf.status, buf.tag = 2**40, 2**32 - 1, -(2**63)
    for number, (sender, receiver) in enumerate(links):
        sender.send(buf)
        buf = receiver.recv()
        assert buf.seq == (1 if number == 1 else 0)
        assert (buf.frames, buf.time, buf.time_source, buf.position) == (3, 0.25, "monotonic", 2**63)
        assert (buf.gap, buf.status, buf.tag) == (2**40, 2**32 - 1, -(2**63))
        assert (address(buf.samples), values([buf]), buf.samples.shape) == (where, [3], (3, 1))
    links[0][0].send(buf)
    assert links[0][1].recv().seq == 1


def test_send_sets_a_tag_and_otherwise_leaves_it(pool):
    sender, receiver = pool.link()
    first, second, third = (pool.acquire() for _ in range(3))
    first.tag = second.tag = 5
    sender.send(first)
    sender.send(second, tag=0)
    sender.send(third, tag=2**63 - 1)
    assert [buf.tag for buf in receiver.drain()] == [5, 0, 2**63 - 1]


def test_a_receiver_may_lower_frames_and_not_raise_them(pool):
    sender, receiver = pool.link()
    buf = filled(pool, 1)
    buf.frames = 3
    sender.send(buf)
    got = receiver.recv()
    with pytest.raises(ValueError, match="frames"):
        got.frames = 4
    with pytest.raises(ValueError, match="3"):
        got.write(np.zeros(4, "int32"))
    assert (got.frames, values([got])) == (3, [1])
    got.frames = 2
    assert got.samples.shape == (2, 1)
    with pytest.raises(ValueError, match="frames"):
        got.frames = 3
    assert got.write(np.zeros(1, "int32")) == 1
    with pytest.raises(ValueError, match="at most 1"):
        got.write(np.zeros(2, "int32"))


def test_order_and_seq_without_holes(pool):
    """Whatever is refused in between, seq counts what was sent; stats count the same."""
    sender, receiver = pool.link()
    other = pong.BufferPool(1, 4, dtype="int32")
    expected = []
    got = []
    for number in range(500):
        buf = filled(pool, number)
        if number % 3 == 0:
            view = buf.samples[:]
            with pytest.raises(BufferError):
                sender.send(buf)
            del view
            with pytest.raises(ValueError, match="another pool"):
                sender.send(other.acquire())
        sender.send(buf)
        expected.append(number)
        if number % 5 == 4:
            for buf in receiver.drain(3 if number % 2 else None):
                with buf:
                    got.append((buf.seq, values([buf])[0]))
    for buf in receiver.drain():
        got.append((buf.seq, values([buf])[0]))
        buf.release()
    assert got == [(number, number) for number in expected]
    link = pool.stats().links[0]
    assert (link.sent, link.received, link.queued) == (500, 500, 0)


def test_a_message_is_the_very_object(pool):
    sender, receiver = pool.link()
    for message in (Message(), None, 0, "", [1], pool):
        sender.send(pool.acquire(), message=message)
        with receiver.recv() as got:
            assert got.message is message


@pytest.mark.parametrize("end", ["release", "drop", "send", "send_many", "with"])
def test_a_message_goes_with_its_buffer(pool, end):
    """The link keeps it; after it was received the handle does, and no longer than it owns the block."""
    sender, receiver = pool.link()
    message = Message()
    alive = weakref.ref(message)
    sender.send(pool.acquire(), message=message)
    del message
    gc.collect()
    assert alive() is not None
    got = receiver.recv()
    assert got.message is alive()
    if end == "release":
        got.release()
    elif end == "drop":
        del got
    elif end == "send":
        sender.send(got)
    elif end == "send_many":
        sender.send_many([got])
    else:
        with got:
            pass
    assert alive() is None


@pytest.mark.parametrize("end", ["close receiver", "drop both ends", "close both ends", "drop receiver"])
def test_a_message_goes_when_its_buffer_is_discarded(pool, end):
    sender, receiver = pool.link()
    message = Message()
    alive = weakref.ref(message)
    sender.send_many([(pool.acquire(), 1, message), pool.acquire()])
    sender.send(pool.acquire(), message=message)
    del message
    assert alive() is not None
    if end == "close receiver":
        receiver.close()
    elif end == "drop receiver":
        del receiver
    elif end == "close both ends":
        sender.close()
        assert alive() is not None, "it can still be received"
        receiver.close()
    else:
        del sender, receiver
    assert alive() is None
    assert (pool.free, pool.in_use) == (8, 0)


def test_a_refused_message_is_not_kept(pool):
    sender, receiver = pool.link()
    buf = pool.acquire()
    view = buf.samples[:]
    message = Message()
    alive = weakref.ref(message)
    with pytest.raises(BufferError):
        sender.send(buf, tag=3, message=message)
    receiver.close()
    del view
    with pytest.raises(pong.ClosedError):
        sender.send(buf, tag=3, message=message)
    del message
    assert alive() is None
    assert (buf.tag, buf.message, buf.detached) == (0, None, False)


def test_forwarding_keeps_the_message_out_of_the_next_link(pool):
    (first, middle), (last, end) = pool.link(), pool.link()
    first.send(pool.acquire(), message="for the middle")
    got = middle.recv()
    last.send(got)
    assert end.recv().message is None
    first.send(pool.acquire(), message=1)
    last.send(middle.recv(), message=2)
    assert end.recv().message == 2


def test_iteration_ends_when_the_sender_has_closed_and_all_is_received(pool):
    sender, receiver = pool.link()
    for number in range(5):
        sender.send(filled(pool, number))
    sender.close()
    seen = []
    for buf in receiver:
        with buf:
            seen += values([buf])
    assert seen == [0, 1, 2, 3, 4]
    assert pool.free == 8
    assert list(receiver) == []
    assert iter(receiver) is receiver
    with pytest.raises(pong.ClosedError):
        receiver.recv()


def test_with_gives_the_slot_back_before_the_next_buffer_is_awaited(pool):
    """Without it the loop variable owns its buffer while the loop waits: one more slot is held."""
    where = address(pool.acquire().samples)

    def consume(receiver, release):
        for buf in receiver:
            if release:
                with buf:
                    assert buf.samples.shape == (4, 1)

    for release, free in ((True, 8), (False, 7)):
        sender, receiver = pool.link()
        sender.send(filled(pool, 1))
        call = Call(consume, receiver, release)
        call.wait_asleep(where)
        assert pool.free == free
        sender.close()
        call.outcome()
        assert pool.free == 8


def test_with_in_which_the_buffer_is_sent_or_released_ends_silently(pool):
    sender, receiver = pool.link()
    with pool.acquire() as buf:
        sender.send(buf)
    with receiver.recv() as buf:
        buf.release()
    assert pool.free == 8
    with pytest.raises(ArithmeticError), pool.acquire():
        raise ArithmeticError
    assert pool.free == 8
    with pytest.raises(pong.DetachedError), buf:
        pass


def test_drain_takes_what_is_there(pool):
    sender, receiver = pool.link()
    assert receiver.drain() == []
    assert receiver.drain(3) == []
    sender.send_many([filled(pool, number) for number in range(7)])
    assert values(receiver.drain(2)) == [0, 1]
    assert values(receiver.drain(1)) == [2]
    assert values(receiver.drain(100)) == [3, 4, 5, 6]
    assert receiver.drain() == []
    sender.send(filled(pool, 7))
    sender.close()
    assert values(receiver.drain()) == [7]
    with pytest.raises(pong.ClosedError):
        receiver.drain()
    assert pool.free == 8


def test_what_was_drained_and_dropped_comes_home(pool):
    sender, receiver = pool.link()
    sender.send_many([pool.acquire() for _ in range(8)])
    kept = receiver.drain()
    assert (pool.free, pool.stats().owned) == (0, 8)
    del kept[3:]
    assert pool.free == 5


@pytest.mark.parametrize("start", [0, 2**32, 2**48, 2**64], ids=["0", "2^32", "2^48", "2^64"])
@pytest.mark.parametrize(
    ("count", "policy"),
    [(1, {"on_empty": "raise"}), (1, {}), (2, {"on_empty": "raise"}), (3, {"on_empty": "raise"}), (16, {}),
     (64, {"on_empty": "raise"}), (65, {"on_empty": "raise"})],
    ids=["1 raise", "1", "2 raise", "3 raise", "16", "64 raise", "65 raise"],
)
def test_positions_and_generations_wrap_around(start, count, policy):
    """I4, and nothing is received that was not sent, whatever positions and generations have come to."""
    bits = (count * (1 if policy else 2) - 1).bit_length()
    for before in sorted({0, 1, count, 2 << bits, (2 << bits) + 1, (1 << 16) + 1}):
        kind = type("Pool", (pong.BufferPool,), {"_first_position": (start - before) % 2**64})
        pool = kind(count, 2, dtype="int64", **policy)
        sender, receiver = pool.link()
        _idle_sender, idle = pool.link()
        assert not receiver.poll()
        number = got = 0
        for batch in [1, count, 1, (count + 1) // 2] * 6 + [count] * 4:
            buffers = [filled(pool, number + i) for i in range(batch)]
            stale = buffers[0]
            sender.send_many(buffers[:-1])
            sender.send(buffers[-1], tag=number)
            number += batch
            assert receiver.poll()
            assert not idle.poll()
            for buf in receiver.drain():
                assert (buf.seq, values([buf])) == (got, [got])
                got += 1
                buf.release()
            with pytest.raises(pong.Empty):
                receiver.recv_nowait()
            with pytest.raises(pong.DetachedError):
                stale.release()
            assert (pool.free, pool.in_use) == (count, 0)
        assert got == number
