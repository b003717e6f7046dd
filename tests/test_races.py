"""Races: one message and several receivers, one buffer and two owners to be, and closes against who sleeps or sends."""

from __future__ import annotations

import functools
import itertools
import os
import random
import sys
import threading

import pytest
from programs import MILLION, Thread, until

import pong


@pytest.fixture
def fast_switching():
    """Let threads change places as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def make_pool(count: int, **more) -> pong.BufferPool:
    return pong.BufferPool(count, 8, dtype="uint64", on_empty="raise", **more)


def check_home(pool: pong.BufferPool) -> None:
    """I3, at rest and with nothing in hand: every slot is free."""
    stats = pool.stats()
    assert (stats.free, stats.owned, stats.queued, stats.pinned) == (len(pool), 0, 0, 0)


# Several threads in one recv


def receive_all(receiver: pong.Receiver, how: str) -> list[int]:
    """Receive until the end; return the seq of each message."""
    seqs = []
    while True:
        try:
            if how == "poll":
                # True says that a message or the end was there: another thread may have been faster.
                assert receiver.poll(timeout=None)
            buf = receiver.recv_nowait() if how == "poll" else receiver.recv()
        except pong.Empty:
            continue
        except pong.ClosedError:
            return seqs
        with buf:
            assert buf.samples[0, 0] == buf.tag
            seqs.append(buf.seq)


def send_all(pool: pong.BufferPool, sender: pong.Sender, number: int) -> None:
    for i in range(number):
        buf = pool.acquire(timeout=None)
        buf.samples[0, 0] = i
        sender.send(buf, tag=i)
    sender.close()


@pytest.mark.parametrize("how", ["recv", "poll"])
@pytest.mark.parametrize("threads", [2, 3])
def test_message_goes_to_exactly_one_call(fast_switching, threads: int, how: str) -> None:
    """I1: none lost, none twice, in order for each thread, and all calls end at the close."""
    number = MILLION // 50
    with make_pool(8) as pool:
        sender, receiver = pool.link()
        receiving = [Thread(receive_all, receiver, how) for _ in range(threads)]
        send_all(pool, sender, number)
        got = [thread.join() for thread in receiving]
        assert all(seqs == sorted(seqs) for seqs in got)
        assert sorted(itertools.chain(*got)) == list(range(number))
        check_home(pool)


@pytest.mark.parametrize("threads", [2, 3])
def test_native_messages_go_to_exactly_one_call(stress, fast_switching, threads: int) -> None:
    """I1: the same against a native sender, which needs no GIL to get ahead."""
    number = MILLION // 50

    def take_all(receiver: pong.Receiver) -> list[int]:
        seqs = []
        for buf in receiver:
            seqs.append(buf.seq)
            buf.release()
        return seqs

    with make_pool(8) as pool:
        sender, receiver = pool.link()
        receiving = [Thread(take_all, receiver) for _ in range(threads)]
        sending = stress.native_sender(pool, [sender], number, closing=True)
        got = [thread.join() for thread in receiving]
        assert sending.join()["done"] == number
        assert all(seqs == sorted(seqs) for seqs in got)
        assert sorted(itertools.chain(*got)) == list(range(number))
        check_home(pool)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("closed", ["sender", "receiver", "pool"])
def test_close_ends_every_sleeping_call(stress, closed: str, threads: int) -> None:
    """One close wakes all: nobody stays behind because another one took the wake-up."""

    def sleep(receiver: pong.Receiver) -> bool:
        with pytest.raises(pong.ClosedError):
            receiver.recv()
        return True

    for _ in range(50):
        with make_pool(2) as pool:
            sender, receiver = pool.link()
            sleeping = [Thread(sleep, receiver) for _ in range(threads)]
            until(functools.partial(stress.awaited, receiver))
            {"sender": sender, "receiver": receiver, "pool": pool}[closed].close()
            assert all(thread.join() for thread in sleeping)


@pytest.mark.parametrize("threads", [2, 3])
def test_slot_goes_to_exactly_one_acquirer(fast_switching, threads: int) -> None:
    """I1: threads that sleep in `acquire` each get slots of their own, and each release finds one of them."""

    def use(pool: pong.BufferPool, mark: int) -> None:
        for _ in range(MILLION // 200):
            with pool.acquire(timeout=None) as buf:
                samples = buf.samples
                samples[:] = mark
                assert (samples == mark).all()
                del samples

    with make_pool(1) as pool:
        for thread in [Thread(use, pool, mark) for mark in range(threads)]:
            thread.join()
        check_home(pool)


# One buffer, two threads that dispose of it


@pytest.mark.parametrize("viewed", [False, True], ids=["plain", "viewed"])
@pytest.mark.parametrize(
    "moves", ["send send", "send release", "release release", "send_many send", "send_many release"]
)
def test_one_of_two_disposals_wins(fast_switching, moves: str, viewed: bool) -> None:
    """I1: of two threads that give one buffer away exactly one passes; the other gets `DetachedError`."""
    rounds = MILLION // 1_000
    barrier = threading.Barrier(3, timeout=60)
    with make_pool(2) as pool:
        (one, first), (two, second) = pool.link(), pool.link()
        sends = {
            "send": lambda end, buf: end.send(buf, message=buf.tag),
            "send_many": lambda end, buf: end.send_many([(buf, None, buf.tag)]),
            "release": lambda end, buf: buf.release(),
        }
        current: list[pong.Buffer | None] = [None]

        def dispose(move: str, sender: pong.Sender) -> list[bool]:
            wins = []
            for _ in range(rounds):
                barrier.wait()
                buf = current[0]
                try:
                    sends[move](sender, buf)
                    wins.append(True)
                except pong.DetachedError:
                    wins.append(False)
                del buf
                barrier.wait()
                # The main thread counts what has arrived, in between.
                barrier.wait()
            return wins

        def referee() -> int:
            arrived = 0
            for i in range(rounds):
                buf = pool.acquire()
                buf.tag = i
                if viewed:
                    buf.samples[:] = i
                current[0] = buf
                barrier.wait()
                barrier.wait()
                assert buf.detached
                found = first.drain() + second.drain()
                for got in found:
                    assert (got.tag, got.message) == (i, i)
                    assert not viewed or (got.samples == i).all()
                    got.release()
                arrived += len(found)
                assert pool.free == 2
                barrier.wait()
            return arrived

        move_one, move_two = moves.split()
        players = [Thread(dispose, move_one, one), Thread(dispose, move_two, two)]
        arrived = referee()
        wins_one, wins_two = (player.join() for player in players)
        assert all(a != b for a, b in zip(wins_one, wins_two, strict=True))
        assert arrived == sum(wins_one) * (move_one != "release") + sum(wins_two) * (move_two != "release")
        check_home(pool)


# Closes against who sleeps


def test_no_native_wake_up_is_lost_at_close(rounds) -> None:
    """100,000 closes of sender, receiver and pool, in turn, against native threads falling asleep."""
    number = MILLION // 10
    with make_pool(3) as pool:
        sender, _receiver = pool.link()
        held = [pool.acquire() for _ in range(3)]
        # Where the two cores are far from each other the waiter may sleep seldom: then there are more rounds.
        for _ in range(20):
            result = rounds.close_against_sleeper(pool, sender, number)
            assert result["rounds"] == number
            if result["sleeps"]:
                break
        assert result["sleeps"] > 0
        assert len(held) == 3


@pytest.mark.parametrize("closed", ["sender", "receiver", "pool", "pool, acquirer"])
def test_no_wake_up_is_lost_at_close(stress, closed: str) -> None:
    """25,000 closes of each kind against a Python thread that has said, or is about to say, that it waits."""
    turns = MILLION // 40
    given: list = [None]
    go, done = threading.Lock(), threading.Lock()
    go.acquire()
    done.acquire()

    def sleep() -> int:
        ended = 0
        for _ in range(turns):
            go.acquire()
            try:
                given[0]()
            except pong.ClosedError:
                ended += 1
            done.release()
        return ended

    sleeper = Thread(sleep)
    pool = make_pool(1)
    sender, receiver = pool.link()
    for turn in range(turns):
        if closed.startswith("pool"):
            pool = make_pool(1)
            held = pool.acquire()
        if closed != "pool, acquirer":
            sender, receiver = pool.link()
        given[0] = functools.partial(pool.acquire, None) if closed == "pool, acquirer" else receiver.recv
        go.release()
        if turn % 2:
            # With the GIL in hand, this is when the sleeper lets go of it: before it sleeps, or after.
            until(functools.partial(stress.awaited, pool if closed == "pool, acquirer" else receiver))
        {"sender": sender, "receiver": receiver}.get(closed, pool).close()
        assert done.acquire(timeout=60), "nobody woke the sleeper"
        sender.close()
        receiver.close()
    assert sleeper.join() == turns
    if closed.startswith("pool"):
        assert not held.detached
    else:
        check_home(pool)


# A receiver that closes while a sender is in the middle of a send


@pytest.mark.parametrize("drained", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_send_against_close_step_by_step(rounds, count: int, drained: bool) -> None:
    """I1, I4: either the sender has its slot back or the receiver has drained it; the stale entry delivers nothing."""
    with make_pool(count, max_links=1) as pool:
        for i in range(10):
            sender, receiver = pool.link()
            assert rounds.publish_and_retract(pool, sender, drained) is not drained
            receiver.close()
            sender.close()
            check_home(pool)
            # The link opened again, on the same ring.
            sender, receiver = pool.link()
            for j in range(count):
                sender.send(pool.acquire(), tag=i * 10 + j)
            assert [buf.tag for buf in receiver.drain()] == [i * 10 + j for j in range(count)]
            sender.close()
            receiver.close()
            check_home(pool)


@pytest.mark.parametrize("number", [1, 2, 5])
def test_batch_against_close_step_by_step(rounds, number: int) -> None:
    """I1, I3: what is published after the receiver has drained stays with nobody, and the link opens again."""
    with make_pool(5, max_links=1) as pool:
        for i in range(10):
            sender, receiver = pool.link()
            rounds.batch_into_closed(pool, sender, number)
            check_home(pool)
            (link,) = pool.stats().links
            assert (link.sent, link.received, link.queued) == (0, 0, 0)
            receiver.close()
            sender.close()
            sender, receiver = pool.link()
            sender.send_many([(pool.acquire(), i * 10 + j) for j in range(number)])
            assert [buf.tag for buf in receiver.drain()] == [i * 10 + j for j in range(number)]
            sender.close()
            receiver.close()
            check_home(pool)


@pytest.mark.parametrize("stale", [0, 1, 4])
def test_refused_batch_stays_its_owners(rounds, stale: int) -> None:
    """I1: what was claimed before the stale slot was found is the sender's again, by the words that it is given."""
    with make_pool(5) as pool:
        sender, receiver = pool.link()
        assert rounds.batch_with_stale(pool, sender, 5, stale)
        assert not receiver.poll()
        check_home(pool)


@pytest.mark.parametrize("count", [3, 5])
def test_slot_is_delivered_where_its_header_says(rounds, count: int) -> None:
    """A slot that was taken back and sent again is twice in the ring, and is received once, in its right order."""
    with make_pool(count) as pool:
        sender, _receiver = pool.link()
        for _ in range(20):
            assert rounds.resend_after_retract(pool, sender)
            check_home(pool)


@pytest.mark.parametrize("count", [1, 2, 64, 65, 130, 1024])
def test_release_against_acquire(rounds, count: int) -> None:
    """I3: every slot that came home can be acquired, however release and acquire meet in the free set."""
    number = 2 * MILLION // max(count, 20)
    with make_pool(count) as pool:
        sender, _receiver = pool.link()
        assert rounds.release_against_acquire(pool, sender, number)["rounds"] == number
        check_home(pool)
        assert pool.stats().acquired == (number + 1) * count


@pytest.mark.parametrize("count", [1, 2, 16, 100])
def test_native_sender_against_native_close(rounds, count: int) -> None:
    """I3: thousands of closes in the middle of sends; no slot and no message is lost, and the link opens again."""
    number = MILLION // 50
    with make_pool(count) as pool:
        sender, receiver = pool.link()
        result = rounds.close_against_sender(pool, sender, number)
        assert result["rounds"] == number
        check_home(pool)
        sender.send(pool.acquire(), tag=1)
        assert receiver.recv().tag == 1


def test_send_is_taken_back(rounds) -> None:
    """The race above does happen: a close between claim and publication is seen, and the sender keeps its slot."""
    with make_pool(16) as pool:
        sender, _receiver = pool.link()
        # On a single processor it would take a change of threads within a few nanoseconds.
        if len(os.sched_getaffinity(0)) > 1:
            until(lambda: rounds.close_against_sender(pool, sender, 1_000)["retracted"])
        check_home(pool)


def test_native_sender_against_receiver_close(stress) -> None:
    """I3: `Receiver.close` at a moment of its own against a native sender that never stops by itself."""
    with make_pool(5, max_links=1) as pool:
        pick = random.Random(5)
        for _ in range(MILLION // 1_000):
            sender, receiver = pool.link()
            sending = stress.native_sender(pool, [sender], 2**40)
            seqs = []
            for _ in range(pick.randrange(20)):
                with receiver.recv(timeout=60) as buf:
                    seqs.append(buf.seq)
            receiver.close()
            sent = sending.join()["done"]
            assert seqs == list(range(len(seqs)))
            assert sent >= len(seqs)
            link = pool.stats().links[0]
            assert (link.sent, link.received, link.queued) == (sent, sent, 0)
            sender.close()
            check_home(pool)
