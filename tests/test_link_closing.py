"""Closing the ends of a link, and opening it again."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from observe import descriptors

import pong


@pytest.fixture
def pool():
    return pong.BufferPool(6, 4, dtype="int32", on_empty="raise", max_links=3)


def send_values(pool: pong.BufferPool, sender: pong.Sender, *values: int) -> None:
    """Send one buffer for each value."""
    for value in values:
        buf = pool.acquire()
        buf.write(np.full(4, value, "int32"))
        sender.send(buf, tag=value)


def receive_values(receiver: pong.Receiver) -> list[int]:
    """Receive what is there; the tag and the samples say the same."""
    values = []
    for buf in receiver.drain():
        with buf:
            assert set(buf.samples[:, 0].tolist()) == {buf.tag}
            values.append(buf.tag)
    return values


def test_closing_is_idempotent_and_told(pool):
    sender, receiver = pool.link()
    for end in (sender, receiver):
        assert not end.closed
        for _ in range(3):
            end.close()
            assert end.closed
    with pool.link()[0] as sender:
        assert not sender.closed
    assert sender.closed
    with pool.link()[1] as receiver:
        assert not receiver.closed
    assert receiver.closed
    pool.close()
    pool.close()
    sender.close()
    receiver.close()


def test_a_closed_receiver_sends_its_queue_home_and_refuses(pool):
    """The sender keeps its buffer with all that belongs to it, and can send it elsewhere (I3)."""
    sender, receiver = pool.link()
    send_values(pool, sender, 1, 2, 3)
    buf = pool.acquire()
    buf.write(np.arange(4, dtype="int32"))
    buf.frames, buf.tag, buf.gap = 3, 4, 5
    samples = buf.samples
    assert (pool.free, pool.stats().queued) == (2, 3)
    receiver.close()
    assert (pool.free, pool.stats().queued, pool.in_use) == (5, 0, 1)
    for call in (
        lambda: sender.send(buf), lambda: sender.send(buf, tag=9, message="lost"),
        lambda: sender.send_many([buf]), lambda: sender.send_many([(buf, 9, "lost")]),
    ):
        with pytest.raises(pong.ClosedError):
            call()
        assert not buf.detached
        assert buf.samples is samples
        assert samples[:, 0].tolist() == [0, 1, 2]
        assert (buf.frames, buf.tag, buf.gap, buf.seq, buf.message) == (3, 4, 5, None, None)
    assert not sender.closed
    other, other_end = pool.link()
    del samples
    other.send(buf)
    assert other_end.recv(0).gap == 5


def test_a_closed_receiver_receives_no_more(pool):
    sender, receiver = pool.link()
    send_values(pool, sender, 1)
    receiver.close()
    for call in (receiver.recv, lambda: receiver.recv(0), receiver.recv_nowait, receiver.drain, receiver.poll,
                 lambda: receiver.poll(None), receiver.fileno):
        with pytest.raises(pong.ClosedError):
            call()
    assert list(receiver) == []
    assert pool.free == 6


def test_buffers_in_hand_outlive_their_link(pool):
    sender, receiver = pool.link()
    send_values(pool, sender, 1, 2)
    held = receiver.recv()
    sender.close()
    receiver.close()
    del sender, receiver
    assert (held.tag, held.samples[:, 0].tolist()) == (1, [1] * 4)
    sender, receiver = pool.link()
    sender.send(held)
    assert receiver.recv().tag == 1
    assert pool.free == 6


@pytest.mark.parametrize("how", ["close", "drop", "with"])
def test_a_closed_sender_lets_the_receiver_finish(pool, how):
    """Dropping the last reference to a sender closes it."""
    sender, receiver = pool.link()
    send_values(pool, sender, 1, 2, 3)
    if how == "drop":
        del sender
    elif how == "close":
        sender.close()
    else:
        with sender:
            send_values(pool, sender, 4)
    if how != "drop":
        buf = pool.acquire()
        with pytest.raises(pong.ClosedError):
            sender.send(buf)
        assert not buf.detached
        buf.release()
    assert receiver.poll()
    assert receive_values(receiver) == [1, 2, 3, 4][:4 if how == "with" else 3]
    assert receiver.poll(), "the end is there"
    assert receiver.poll(None)
    for call in (receiver.recv, lambda: receiver.recv(0), receiver.recv_nowait, receiver.drain):
        with pytest.raises(pong.ClosedError):
            call()
    assert not receiver.closed
    assert list(receiver) == []


def test_one_of_two_references_does_not_close(pool):
    sender, receiver = pool.link()
    bound = sender.send
    del sender
    assert not receiver.poll()
    bound(pool.acquire())
    assert len(receiver.drain()) == 1
    del bound
    assert receiver.poll()


@pytest.mark.parametrize("order", [("sender", "receiver"), ("receiver", "sender")])
@pytest.mark.parametrize("drop", [True, False])
def test_both_ends_gone_send_the_queue_home(pool, order, drop):
    ends = dict(zip(("sender", "receiver"), pool.link(), strict=True))
    send_values(pool, ends["sender"], 1, 2)
    for name in order:
        if drop:
            del ends[name]
        else:
            ends[name].close()
    assert (pool.free, pool.in_use, pool.stats().links) == (6, 0, ())


def test_max_links_is_a_bound_and_closed_links_make_room(pool):
    """A link counts until both of its ends are closed or gone."""
    links = [pool.link() for _ in range(3)]
    for _ in range(2):
        with pytest.raises(RuntimeError, match="3"):
            pool.link()
    sender, receiver = links[1]
    sender.close()
    with pytest.raises(RuntimeError):
        pool.link()
    receiver.close()
    links.append(pool.link())
    with pytest.raises(RuntimeError):
        pool.link()
    del links[0], sender, receiver
    links.append(pool.link())
    assert [link.index for link in pool.stats().links] == [0, 1, 2]
    send_values(pool, links[-1][0], 5)
    send_values(pool, links[-2][0], 6)
    assert [receive_values(receiver) for _, receiver in links[-2:]] == [[6], [5]]


@pytest.mark.parametrize("count", [1, 2, 6, 65])
def test_a_link_opened_again_goes_on_where_it_was(count):
    """Positions go on, `seq` begins at 0; nothing of an earlier opening comes through."""
    pool = pong.BufferPool(count, 4, dtype="int32", on_empty="raise", max_links=1)
    for opening in range(40):
        sender, receiver = pool.link()
        assert not receiver.poll()
        number = opening % (count + 1)
        send_values(pool, sender, *range(opening, opening + number))
        if opening % 3 == 0 and number:
            with receiver.recv() as first:
                assert (first.seq, first.tag) == (0, opening)
        if opening % 3 == 1:
            seqs = [(buf.seq, buf.tag) for buf in receiver.drain()]
            assert seqs == [(i, opening + i) for i in range(number)]
        assert pool.stats().links[0].sent == number
        for end in (sender, receiver) if opening % 2 else (receiver, sender):
            end.close()
        assert (pool.free, pool.in_use) == (count, 0)


def test_old_ends_do_not_disturb_the_link_that_was_opened_in_their_place(pool):
    """Closed, used or dropped: the ends of an earlier opening reach nothing of the later one."""
    pool = pong.BufferPool(6, 4, dtype="int32", on_empty="raise", max_links=1)
    old_sender, old_receiver = pool.link()
    old_sender.close()
    old_receiver.close()
    sender, receiver = pool.link()
    send_values(pool, sender, 1)
    old_sender.close()
    old_receiver.close()
    buf = pool.acquire()
    with pytest.raises(pong.ClosedError):
        old_sender.send(buf)
    with pytest.raises(pong.ClosedError):
        old_receiver.recv_nowait()
    del old_sender, old_receiver
    gc.collect()
    send_values(pool, sender, 2)
    assert receive_values(receiver) == [1, 2]
    assert not receiver.poll()
    with pytest.raises(RuntimeError):
        pool.link()
    assert not buf.detached


def test_file_descriptors_go_with_their_link(pool):
    before = descriptors()
    for _ in range(50):
        sender, receiver = pool.link()
        assert receiver.fileno() == receiver.fileno()
        assert descriptors() == before + 1
        sender.close()
        receiver.close()
        del sender, receiver
    assert descriptors() == before


def test_a_link_outlives_its_pool_object():
    """The names of the pool are gone; buffers in hand still travel and come home."""
    pool = pong.BufferPool(2, 4, dtype="int32")
    sender, receiver = pool.link()
    buffers = [pool.acquire(), pool.acquire()]
    del pool
    for value, buf in enumerate(buffers):
        buf.write(np.full(4, value, "int32"))
        sender.send(buf, tag=value)
    assert receive_values(receiver) == [0, 1]
    del sender
    with pytest.raises(pong.ClosedError):
        receiver.recv()
