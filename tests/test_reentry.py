"""Code that runs in the middle: finalizers, warning hooks, subclasses; nothing is lost, nothing crashes."""

import copy
import gc
import resource
import threading
import warnings

import numpy as np
import pytest

import pong
from pong.streams.virtual import VirtualDevice


def test_the_collector_releases_a_member_of_send_many():
    """At whatever allocation inside send_many a collection releases a buffer, no slot is lost and none is half sent."""
    for at in range(1, 40):
        pool = pong.BufferPool(3, 4, on_empty="raise")
        sender, receiver = pool.link()
        buffers = [pool.acquire() for _ in range(3)]
        turns = []

        def collected(phase, _info, buffers=buffers, turns=turns, at=at):
            turns.append(phase)
            if len(turns) == at and buffers[1]:
                buffers[1].release()

        threshold = gc.get_threshold()
        gc.callbacks.append(collected)
        gc.set_threshold(1, 1, 1)
        try:
            sender.send_many([(buf, i, [i]) for i, buf in enumerate(buffers)])
            sent = True
        except pong.DetachedError:
            sent = False
        finally:
            gc.set_threshold(*threshold)
            gc.callbacks.remove(collected)
        got = receiver.drain()
        assert [(buf.tag, buf.message) for buf in got] == ([(0, [0]), (1, [1]), (2, [2])] if sent else [])
        del got
        for buf in buffers:
            if buf:
                buf.release()
        assert pool.in_use == 0


def test_one_warning_however_many_meet_the_empty_pool():
    pool = pong.BufferPool(1, 4, overflow=16)
    held = [pool.acquire()]
    told, barrier = [], threading.Barrier(4)

    def tell(*_args, **_options):
        told.append(True)
        held.append(pool.acquire())

    def take():
        barrier.wait()
        held.append(pool.acquire())

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = tell
        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(told) == 1
    assert pool.stats().overflow_in_use == 5


class Named(pong.BufferPool):
    def __init__(self, name, **options):
        super().__init__(**options)
        self.name = name


class Closing(pong.BufferPool):
    def __del__(self):
        self.close()


def test_a_subclass_with_its_own_arguments():
    pool = Named("mix", channels=2)
    assert (pool.name, pool.channels, len(pool)) == ("mix", 2, 16)
    with pytest.raises(RuntimeError, match="made once"):
        pool.__init__("again")


def test_a_pool_that_could_not_be_made_is_closed():
    with pytest.raises(ValueError, match="count"):
        Closing(0)
    gc.collect()
    pool = pong.BufferPool.__new__(pong.BufferPool)
    assert (pool.closed, len(pool), pool.free, pool.in_use, pool.channels, pool.dtype) == (True, 0, 0, 0, 0, None)
    assert "closed" in repr(pool)
    for call in (pool.acquire, pool.link, pool.stats):
        with pytest.raises(pong.ClosedError):
            call()
    pool.close()


def test_no_count_is_lost_between_two_resets():
    """Whatever happens between two calls of stats(reset=True) is in the later one."""
    pool = pong.BufferPool(4, 4, on_empty="raise")
    sender, receiver = pool.link()
    stop, made = threading.Event(), [0]

    def cycle():
        while not stop.is_set():
            sender.send(pool.acquire())
            receiver.recv().release()
            made[0] += 1

    thread = threading.Thread(target=cycle)
    thread.start()
    seen = 0
    while seen < 2000:
        seen += pool.stats(reset=True).acquired
    stop.set()
    thread.join()
    assert seen + pool.stats().acquired == made[0]


def test_what_is_behind_samples_cannot_be_copied():
    """A second lease would pin, and unpin, a slot that it has no part in (I5)."""
    samples = pong.BufferPool(1, 4).acquire().samples
    with pytest.raises(TypeError, match="lease"):
        copy.copy(samples.base.base)


def test_no_file_descriptor_left():
    """The error says so, and the receiver works on."""
    pool = pong.BufferPool(1, 4)
    sender, receiver = pool.link()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match="file descriptor for the receiver"):
            receiver.fileno()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    sender.send(pool.acquire())
    assert receiver.fileno() >= 0
    receiver.recv_nowait().release()


def test_a_stream_that_has_ended_has_closed_its_sender():
    pool = pong.BufferPool(2, 8, dtype="int32", on_empty="raise")
    sender, receiver = pool.link()
    before = pool.acquire()
    stream = VirtualDevice(48000, capture=sender, source=np.zeros((4, 1), "int32"))
    with pytest.raises(TypeError, match="copied or pickled"):
        copy.copy(stream)
    with stream:
        assert [len(buf) for buf in receiver] == [4]
        with pytest.raises(pong.ClosedError, match="has ended"):
            sender.send(before)
    assert not before.detached
