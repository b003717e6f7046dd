"""The ends that native code has opened: who closes them, who waits at them, and what outlives what."""

from __future__ import annotations

import gc
import math

import pytest
from programs import Thread, run, until
from table import CLOSED, EMPTY, OK, Buffer, api, make, opened

import pong


@pytest.mark.parametrize("how", ["close", "finish"])
def test_the_native_sender_ends(how):
    """The receiver gets what is queued, then the end; finish needs no GIL and leaves the closing to close."""
    pool, sender, receiver = make()
    native = api.open_sender(sender, 1)
    buf, kept = Buffer(), Buffer()
    api.acquire_rt(native, kept)
    api.acquire_rt(native, buf)
    api.send_rt(native, buf)
    if how == "finish":
        assert api.is_closed_rt(native) == 0
        assert api.finish_rt(native) == api.finish_rt(native) == OK
        assert api.is_closed_rt(native) == 1
        assert api.acquire_rt(native, buf) == api.wait(native, 100) == CLOSED
        assert api.send_rt(native, kept) == CLOSED
        assert pool.stats().links[0].dropped == 1
    assert api.release_rt(native, kept) == OK
    if how == "close":
        api.close(native)
    assert [block.seq for block in receiver] == [0]
    if how == "finish":
        api.close(native)
    assert sender.closed
    assert pool.acquire(), "Python acquires again"


@pytest.mark.parametrize("how", ["close", "finish"])
def test_the_native_receiver_ends(how):
    pool, sender, receiver = make()
    native = api.open_receiver(receiver)
    sender.send(pool.acquire())
    if how == "finish":
        assert api.finish_rt(native) == OK
        assert api.recv_rt(native, Buffer()) == CLOSED
        assert api.wait(native, 100) == CLOSED
    else:
        api.close(native)
    with pytest.raises(pong.ClosedError, match="the receiver is closed"):
        sender.send(pool.acquire())
    if how == "finish":
        api.close(native)
    assert receiver.closed
    assert pool.free == 4


def test_python_closes_the_other_end():
    pool, sender, receiver = make()
    buf = Buffer()
    with opened(sender) as native:
        api.acquire_rt(native, buf)
        receiver.close()
        assert api.is_closed_rt(native) == 1
        assert api.send_rt(native, buf) == CLOSED
        assert buf.samples, "the buffer is still the sender's"
        assert api.release_rt(native, buf) == OK
    sender, receiver = pool.link()
    with opened(receiver) as native:
        sender.send(pool.acquire())
        sender.close()
        assert api.wait(native, 0) == OK
        assert api.recv_rt(native, buf) == OK
        assert api.release_rt(native, buf) == OK
        assert api.recv_rt(native, buf) == CLOSED
        assert api.wait(native, 100) == CLOSED
    assert pool.free == 4


def test_python_closes_the_same_end():
    """Then the native side is closed too; what is queued waits for its close."""
    pool, sender, receiver = make()
    there, here = pool.link()
    with opened(here) as native:
        there.send(pool.acquire())
        here.close()
        assert api.recv_rt(native, Buffer()) == CLOSED
        assert pool.stats().queued == 1
    assert pool.stats().queued == 0
    with opened(sender) as native:
        sender.close()
        assert api.acquire_rt(native, Buffer()) == CLOSED
    with pytest.raises(pong.ClosedError):
        receiver.recv()


def test_python_closes_the_pool():
    pool, sender, _receiver = make()
    there, here = pool.link()
    there.send(pool.acquire())
    buf = Buffer()
    with opened(sender) as send, opened(here) as recv:
        api.acquire_rt(send, buf)
        pool.close()
        assert api.is_closed_rt(send) == api.is_closed_rt(recv) == 1
        assert api.acquire_rt(send, Buffer()) == api.send_rt(send, buf) == CLOSED
        assert api.release_rt(send, buf) == OK
        assert api.recv_rt(recv, buf) == OK, "what was queued is still received"
        assert api.release_rt(recv, buf) == OK
        assert api.recv_rt(recv, buf) == api.wait(recv, 100) == CLOSED


def test_an_open_end_keeps_everything():
    """Python drops pool and both ends; the memory stays, and the link stays open, until the ends are closed."""
    pool, sender, receiver = make()
    send, recv = api.open_sender(sender, 1), api.open_receiver(receiver)
    del pool, sender, receiver
    gc.collect()
    buf = Buffer()
    for number in range(20):
        assert api.acquire_rt(send, buf) == OK
        buf.fill(bytes([number]) * 32)
        assert api.send_rt(send, buf) == OK
        assert api.recv_rt(recv, buf) == OK
        assert buf.bytes(2) == bytes([number]) * 32
        assert api.release_rt(recv, buf) == OK
    api.close(send)
    assert api.recv_rt(recv, buf) == CLOSED
    api.close(recv)


def test_a_link_is_opened_again_after_native_ends():
    pool = pong.BufferPool(2, 8, max_links=1)
    for _ in range(3):
        sender, receiver = pool.link()
        with opened(sender), opened(receiver), pytest.raises(RuntimeError, match="all 1 links"):
            pool.link()


def asleep(stress, thing):
    until(lambda: stress.awaited(thing))


@pytest.mark.parametrize("wakes", ["send", "close sender", "close receiver", "close pool"])
def test_wait_for_a_message(stress, wakes):
    pool, sender, receiver = make()
    with opened(receiver) as native:
        thread = Thread(api.wait, native, math.inf)
        asleep(stress, receiver)
        if wakes == "send":
            sender.send(pool.acquire())
        else:
            {"close sender": sender, "close receiver": receiver, "close pool": pool}[wakes].close()
        assert thread.join() == (OK if wakes == "send" else CLOSED)


@pytest.mark.parametrize("wakes", ["release", "close sender", "close receiver", "close pool", "finish"])
def test_wait_for_a_slot(stress, wakes):
    pool, sender, receiver = make(1)
    block = pool.acquire()
    with opened(sender) as native:
        thread = Thread(api.wait, native, 1e300)
        asleep(stress, pool)
        if wakes == "release":
            block.release()
        elif wakes == "finish":
            api.finish_rt(native)
        else:
            {"close sender": sender, "close receiver": receiver, "close pool": pool}[wakes].close()
        assert thread.join() == (OK if wakes == "release" else CLOSED)


def test_wait_gives_up():
    pool, sender, receiver = make(1)
    with opened(receiver) as native:
        assert api.wait(native, 0.001) == EMPTY
    sender, receiver = pool.link()
    block = pool.acquire()
    with opened(sender) as native:
        assert api.wait(native, 0.001) == EMPTY
        block.release()


def test_a_waiting_python_thread_is_told(stress):
    """Who waits for what becomes native's raises instead of waiting on."""
    pool, sender, receiver = make(1)
    block = pool.acquire()
    acquiring, receiving = Thread(pool.acquire, None), Thread(receiver.recv)
    asleep(stress, pool)
    asleep(stress, receiver)
    with opened(sender), opened(receiver):
        for thread in (acquiring, receiving):
            with pytest.raises(RuntimeError, match="native stream"):
                thread.join()
        block.release()


def test_a_forked_child_has_no_part(tmp_path):
    """Its ends are closed, its handles stale; it can close what it inherited, and the parent notices nothing."""
    program = """
    from table import CLOSED, EMPTY, OK, STALE, Buffer, api
    pool = pong.BufferPool(4, 8)
    sender, receiver = pool.link()
    there, here = pool.link()
    closed, _ = pool.link()
    send, recv = api.open_sender(sender, 1), api.open_receiver(receiver)
    held = Buffer()
    assert api.acquire_rt(send, held) == OK
    pid = os.fork()
    if pid == 0:
        try:
            buf = Buffer()
            assert api.acquire_rt(send, buf) == api.recv_rt(recv, buf) == CLOSED
            assert api.wait(send, 100) == api.wait(recv, 100) == CLOSED
            assert api.send_rt(send, held) == api.release_rt(send, held) == STALE
            assert api.is_closed_rt(send) == 1 and api.finish_rt(send) == OK
            for call in (lambda: api.open_sender(there, 0), lambda: api.open_receiver(here)):
                try:
                    call()
                except pong.ClosedError as error:
                    assert "parent" in str(error)
                else:
                    raise AssertionError("opened in the child")
            api.close(send), api.close(recv)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0) == (pid, 0)
    assert api.recv_rt(recv, Buffer()) == EMPTY
    assert api.send_rt(send, held) == OK and api.recv_rt(recv, held) == OK and api.release_rt(recv, held) == OK
    api.close(send), api.close(recv)
    print("parent is well")
    """
    assert run(tmp_path, program) == "parent is well\n"


def test_a_forgotten_end_harms_nobody(tmp_path):
    """It stays open, and the process ends by itself and in silence."""
    program = """
    from table import OK, Buffer, api
    pool = pong.BufferPool(4, 8)
    sender, receiver = pool.link()
    send = api.open_sender(sender, 1)
    assert api.acquire_rt(send, Buffer()) == OK
    print("done")
    """
    assert run(tmp_path, program) == "done\n"
