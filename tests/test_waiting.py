"""Waiting in `recv`, `poll` and iteration, and waiting on a file descriptor with the system's own calls."""

from __future__ import annotations

import asyncio
import queue
import select
import selectors

import pytest
from observe import LONG, Call, address, wait_until

import pong


@pytest.fixture
def pool():
    return pong.BufferPool(4, 4, on_empty="raise")


@pytest.fixture
def where(pool):
    """An address inside the pool's arena: a thread that sleeps there waits for the pool or a link."""
    with pool.acquire() as buf:
        return address(buf.samples)


def tags(receiver: pong.Receiver) -> list[int]:
    """Return the tag of each buffer that is there."""
    return [buf.tag for buf in receiver.drain()]


def readable(receiver: pong.Receiver, timeout: float = 0) -> bool:
    """Ask select, poll and epoll; they agree."""
    by_select = bool(select.select([receiver], [], [], timeout)[0])
    poller = select.poll()
    poller.register(receiver, select.POLLIN)
    by_poll = bool(poller.poll(0))
    with select.epoll() as epoll:
        epoll.register(receiver, select.EPOLLIN)
        by_epoll = bool(epoll.poll(0))
    assert by_select == by_poll == by_epoll
    return by_select


# What ends a wait.

WAITS = {
    "recv": lambda receiver: receiver.recv().tag,
    "recv with a timeout": lambda receiver: receiver.recv(3600).tag,
    "poll": lambda receiver: receiver.poll(None) and receiver.recv_nowait().tag,
    "poll with a timeout": lambda receiver: receiver.poll(3600) and receiver.recv_nowait().tag,
    "next": lambda receiver: next(receiver).tag,
}


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("with_fd", [False, True])
def test_send_ends_a_wait(pool, where, wait, with_fd):
    """Also where a file descriptor watches the same link."""
    sender, receiver = pool.link()
    if with_fd:
        receiver.fileno()
    for tag in range(20):
        call = Call(WAITS[wait], receiver)
        if tag % 2:
            call.wait_asleep(where)
        sender.send(pool.acquire(), tag=tag)
        assert call.outcome() == tag
    assert pool.free == 4


@pytest.mark.parametrize("wait", WAITS)
def test_send_many_ends_a_wait(pool, where, wait):
    sender, receiver = pool.link()
    call = Call(WAITS[wait], receiver)
    call.wait_asleep(where)
    sender.send_many([(pool.acquire(), 5), (pool.acquire(), 6)])
    assert call.outcome() == 5
    assert tags(receiver) == [6]


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("close", ["sender", "drop sender", "receiver", "pool"])
def test_closing_ends_a_wait(pool, where, wait, close):
    sender, receiver = pool.link()
    call = Call(WAITS[wait], receiver)
    call.wait_asleep(where)
    if close == "drop sender":
        del sender
    else:
        {"sender": sender, "receiver": receiver, "pool": pool}[close].close()
    with pytest.raises(StopIteration if wait == "next" else pong.ClosedError):
        call.outcome()


def test_what_was_sent_before_the_end_comes_first(pool, where):
    sender, receiver = pool.link()
    call = Call(lambda: [buf.tag for buf in receiver])
    call.wait_asleep(where)
    for tag in range(3):
        sender.send(pool.acquire(3600), tag=tag)
    sender.close()
    assert call.outcome() == [0, 1, 2]


def test_every_waiting_thread_is_woken_and_each_message_goes_to_one(pool, where):
    sender, receiver = pool.link()
    calls = [Call(lambda: receiver.recv().tag) for _ in range(3)]
    for call in calls:
        call.wait_asleep(where)
    sender.send_many([(pool.acquire(), tag) for tag in range(2)])
    wait_until(lambda: sum(not call.is_alive() for call in calls) == 2)
    sender.send(pool.acquire(), tag=2)
    assert sorted(call.outcome() for call in calls) == [0, 1, 2]


def test_poll_takes_nothing(pool):
    sender, receiver = pool.link()
    assert receiver.poll() is False
    assert receiver.poll(0.001) is False
    sender.send(pool.acquire(), tag=1)
    for timeout in (0, 0.001, 3600, None):
        assert receiver.poll(timeout) is True
    assert tags(receiver) == [1]
    assert receiver.poll() is False


def test_the_time_may_be_up(pool):
    """`Empty` is both of the errors that Python programmers expect; nothing is lost by waiting in vain."""
    sender, receiver = pool.link()
    assert issubclass(pong.Empty, queue.Empty)
    assert issubclass(pong.Empty, TimeoutError)
    for call in (lambda: receiver.recv(0), lambda: receiver.recv(1e-9), lambda: receiver.recv(0.002),
                 receiver.recv_nowait):
        with pytest.raises(pong.Empty):
            call()
    assert pool.free == 4
    sender.send(pool.acquire(), tag=3)
    assert receiver.recv(0.002).tag == 3


def test_timeouts_that_expire_lose_no_message(pool):
    """Short waits against a sender that goes its own pace: every message comes, once and in order."""
    sender, receiver = pool.link()

    def send_all():
        for tag in range(2000):
            sender.send(pool.acquire(None), tag=tag)
        sender.close()

    call = Call(send_all)
    got, empty = [], 0
    while True:
        try:
            with receiver.recv(0.00002 * (len(got) % 5)) as buf:
                got.append(buf.tag)
        except pong.Empty:
            empty += 1
        except pong.ClosedError:
            break
    call.outcome()
    assert got == list(range(2000))
    assert pool.free == 4


# File descriptors.


def test_readable_while_a_message_is_there(pool):
    sender, receiver = pool.link()
    assert not readable(receiver)
    for _ in range(3):
        sender.send(pool.acquire(), tag=1)
        sender.send(pool.acquire(), tag=2)
        assert readable(receiver)
        assert receiver.recv_nowait().tag == 1
        assert readable(receiver), "one is left"
        assert receiver.recv_nowait().tag == 2
        # It may say so once too often, but not for ever.
        with pytest.raises(pong.Empty):
            receiver.recv_nowait()
        assert not readable(receiver)


@pytest.mark.parametrize("take", ["recv", "recv_nowait", "drain", "next", "poll"])
def test_every_way_to_take_arms_it_again(pool, take):
    sender, receiver = pool.link()
    receiver.fileno()
    for tag in range(5):
        assert not readable(receiver)
        sender.send(pool.acquire(), tag=tag)
        assert readable(receiver)
        if take == "poll":
            assert receiver.poll()
            assert readable(receiver)
        got = {"drain": receiver.drain, "recv": lambda: [receiver.recv()], "next": lambda: [next(receiver)]}.get(
            take, lambda: [receiver.recv_nowait()])()
        assert [buf.tag for buf in got] == [tag]
        got.clear()
        assert receiver.drain() == []


def test_a_descriptor_made_late_knows_what_is_there(pool):
    """Message or end may have come before anybody asked for the descriptor."""
    sender, receiver = pool.link()
    sender.send(pool.acquire())
    assert readable(receiver)
    sender, receiver = pool.link()
    sender.close()
    assert readable(receiver)


@pytest.mark.parametrize("close", ["sender", "drop sender", "pool"])
def test_readable_at_the_end_and_from_then_on(pool, close):
    sender, receiver = pool.link()
    assert not readable(receiver)
    sender.send(pool.acquire())
    if close == "drop sender":
        del sender
    else:
        {"sender": sender, "pool": pool}[close].close()
    assert readable(receiver)
    assert len(receiver.drain()) == 1
    for _ in range(3):
        assert readable(receiver)
        with pytest.raises(pong.ClosedError):
            receiver.recv_nowait()


def test_a_link_opened_again_has_a_descriptor_of_its_own():
    """Dropping the ends of an earlier opening does not silence the descriptor of the later one."""
    pool = pong.BufferPool(2, 4, on_empty="raise", max_links=1)
    old_sender, old_receiver = pool.link()
    old_receiver.fileno()
    old_sender.close()
    old_receiver.close()
    sender, receiver = pool.link()
    assert not readable(receiver)
    del old_sender, old_receiver
    assert not readable(receiver)
    sender.send(pool.acquire())
    assert readable(receiver)


def test_several_links_in_one_selector(pool):
    links = [pool.link() for _ in range(3)]
    with selectors.DefaultSelector() as selector:
        for number, (_, receiver) in enumerate(links):
            selector.register(receiver, selectors.EVENT_READ, number)
        assert selector.select(0) == []
        for number in (2, 0):
            links[number][0].send(pool.acquire(), tag=number)
        ready = sorted(key.data for key, _ in selector.select(0))
        assert ready == [0, 2]
        assert [tags(links[number][1]) for number in ready] == [[0], [2]]
        assert all(receiver.drain() == [] for _, receiver in links)
        assert selector.select(0) == []


@pytest.mark.parametrize("how", ["select", "poll", "epoll"])
def test_a_thread_that_selects_gets_everything(pool, how):
    """One thread sends, the other sleeps in the system's call: no wake-up is lost, the end included."""
    sender, receiver = pool.link()

    def wait():
        if how == "select":
            return select.select([receiver], [], [], LONG)[0]
        if how == "poll":
            poller = select.poll()
            poller.register(receiver, select.POLLIN)
            return poller.poll(LONG * 1000)
        with select.epoll() as epoll:
            epoll.register(receiver, select.EPOLLIN)
            return epoll.poll(LONG)

    def consume():
        got = []
        while True:
            assert wait(), "a wake-up was lost"
            try:
                with receiver.recv_nowait() as buf:
                    got.append(buf.tag)
            except pong.Empty:
                continue
            except pong.ClosedError:
                return got

    call = Call(consume)
    for tag in range(2000):
        sender.send(pool.acquire(None), tag=tag)
    sender.close()
    assert call.outcome() == list(range(2000))


def test_an_event_loop_can_watch_it(pool):
    sender, receiver = pool.link()

    async def watch():
        loop = asyncio.get_running_loop()
        got, done = [], loop.create_future()

        def ready():
            try:
                with receiver.recv_nowait() as buf:
                    got.append(buf.tag)
            except pong.Empty:
                pass
            except pong.ClosedError:
                loop.remove_reader(receiver.fileno())
                done.set_result(got)

        loop.add_reader(receiver.fileno(), ready)
        call = Call(lambda: [sender.send(pool.acquire(None), tag=tag) for tag in range(100)] and sender.close())
        result = await asyncio.wait_for(done, LONG)
        call.outcome()
        return result

    assert asyncio.run(watch()) == list(range(100))
