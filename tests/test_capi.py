"""The table of C functions, each one by itself: what it answers, what it changes, and what it refuses."""

from __future__ import annotations

import ctypes as c
import itertools
import math
import os

import numpy as np
import pytest
from table import EMPTY, INVALID, NEVER_SENT, OK, STALE, VERSION, Api, Block, Buffer, api, make, opened

import pong
from pong.streams.virtual import VirtualDevice


def test_the_table_says_what_it_is():
    assert (api.version, api.size) == (VERSION, c.sizeof(Api))
    assert os.listdir(pong.get_include())


def test_format():
    _, sender, receiver = make(3, 16, 5, "V3", samplerate=44100)
    _, silent, _ = make()
    with opened(sender) as native, opened(receiver) as other, opened(silent) as unknown:
        for end in (native, other):
            found = api.format_rt(end).contents
            assert (found.count, found.blocksize, found.channels, found.itemsize) == (3, 16, 5, 3)
            assert (found.samplerate, found.dtype) == (44100.0, b"|V3")
        found = api.format_rt(unknown).contents
        assert (found.samplerate, np.dtype(found.dtype.decode())) == (0, np.int16)
    assert not api.format_rt(None)


def test_a_block_comes_out_as_it_went_in():
    """Every metadata field, at the ends of its range, and every byte, from native code to Python."""
    pool, sender, receiver = make(samplerate=48000.5)
    data = np.arange(12, dtype="int16").reshape(6, 2)
    buf = Buffer()
    with opened(sender) as native:
        assert api.acquire_rt(native, buf) == OK
        got = buf.block
        assert (got.seq, got.frames, got.channels, got.samplerate) == (NEVER_SENT, 8, 2, 48000.5)
        assert (got.position, got.gap, got.time, got.tag, got.status, got.time_source) == (0,) * 6
        buf.fill(data.tobytes())
        buf.block.position, buf.block.gap, buf.block.time = 2**64 - 1, 2**64 - 2, -1.5
        buf.block.tag, buf.block.status, buf.block.time_source, buf.block.frames = -(2**63), 2**32 - 1, 3, 6
        assert api.send_rt(native, buf) == OK
        assert not buf.samples
    with receiver.recv_nowait() as block:
        np.testing.assert_array_equal(block.samples, data)
        assert (block.position, block.gap, block.time) == (2**64 - 1, 2**64 - 2, -1.5)
        assert (block.tag, block.status, block.time_source, block.frames) == (-(2**63), 2**32 - 1, "device", 6)
        assert block.seq == 0
    assert pool.free == 4


def test_a_block_comes_in_as_it_was_sent():
    pool, sender, receiver = make(samplerate=8000)
    data = np.arange(10, dtype="int16").reshape(5, 2)
    block = pool.acquire()
    block.write(data)
    block.position, block.gap, block.time, block.time_source, block.status = 7, 8, 0.25, "monotonic", 9
    buf = Buffer()
    with opened(receiver) as native:
        assert api.recv_rt(native, buf) == EMPTY
        sender.send(pool.acquire())
        sender.send(block, tag=-3)
        assert api.recv_rt(native, buf) == OK
        assert api.release_rt(native, buf) == OK
        assert api.recv_rt(native, buf) == OK
        assert buf.bytes(2) == data.tobytes()
        got = tuple(getattr(buf.block, name) for name, _ in Block._fields_)
        assert got == (1, 7, 8, 0.25, 8000.0, -3, 5, 2, 9, 1, 0)
        assert api.release_rt(native, buf) == OK
        assert not buf.samples
        assert pool.free == 4


def test_what_was_received_may_be_sent_on():
    """Through a second link of the pool, in place, while Python goes on acquiring; `frames` may only be lowered."""
    pool, sender, receiver = make()
    onward, end = pool.link()
    buf = Buffer()
    with opened(receiver) as source, opened(onward, acquires=0) as sink:
        block = pool.acquire()
        block.write(np.full((5, 2), 3, "int16"))
        sender.send(block)
        assert api.acquire_rt(sink, buf) == INVALID
        assert api.wait(sink, 0) == INVALID
        assert api.recv_rt(source, buf) == OK
        address = buf.samples
        buf.block.frames = 6
        assert api.send_rt(sink, buf) == INVALID
        assert buf.samples == address
        buf.block.frames = 4
        assert api.send_rt(sink, buf) == OK
        with end.recv_nowait() as block:
            assert block.samples.tolist() == [[3, 3]] * 4
            assert block.samples.ctypes.data == address
    assert pool.free == 4


def test_an_empty_pool():
    """No overflow slot is taken, and nothing is counted but by who loses the frames."""
    pool = pong.BufferPool(2, 8)
    sender, receiver = pool.link()
    with opened(sender) as native:
        held = [Buffer(), Buffer()]
        assert [api.acquire_rt(native, each) for each in held] == [OK, OK]
        assert api.acquire_rt(native, Buffer()) == EMPTY
        assert api.wait(native, 0) == EMPTY
        assert api.release_rt(native, held[0]) == OK
        assert api.wait(native, 0) == OK
        assert api.acquire_rt(native, held[0]) == OK
        for each in held:
            api.send_rt(native, each)
        stats = pool.stats()
        assert (stats.overflowed, stats.exhausted, stats.queued, stats.links[0].dropped) == (0, 0, 2, 0)
    assert [block.seq for block in receiver.drain()] == [0, 1]


def test_a_handle_is_used_once():
    """I1: of a handle and its copies one send or release passes; the others change nothing."""
    pool, sender, receiver = make()
    for first, second in itertools.product(("send_rt", "release_rt"), repeat=2):
        sender, receiver = pool.link()
        with opened(sender) as native:
            buf = Buffer()
            assert api.acquire_rt(native, buf) == OK
            copy = buf.copy()
            copy.block.tag = 99
            assert getattr(api, first)(native, buf) == OK
            before = pool.stats()
            assert getattr(api, second)(native, buf) == STALE
            assert getattr(api, second)(native, copy) == STALE
            assert pool.stats() == before
        for block in receiver:
            assert block.tag == 0
            block.release()
    assert pool.free == 4


@pytest.mark.parametrize(("field", "value"), [("frames", 9), ("frames", 2**32 - 1), ("time_source", 4)])
def test_metadata_out_of_range(field, value):
    pool, sender, receiver = make()
    with opened(sender) as native:
        buf = Buffer()
        api.acquire_rt(native, buf)
        good = getattr(buf.block, field)
        setattr(buf.block, field, value)
        assert api.send_rt(native, buf) == INVALID
        assert pool.stats().queued == 0
        setattr(buf.block, field, good)
        assert api.send_rt(native, buf) == OK
    assert receiver.recv_nowait().frames == 8


def test_wrong_ends_and_null():
    pool, sender, receiver = make()
    _, other, _ = make()
    buf, mine = Buffer(), Buffer()
    with opened(sender) as send, opened(receiver) as recv, opened(other) as foreign:
        assert api.acquire_rt(send, mine) == OK
        before = pool.stats()
        for call, end in [(api.acquire_rt, recv), (api.recv_rt, send)]:
            assert call(end, buf) == INVALID
        for call in (api.acquire_rt, api.send_rt, api.recv_rt, api.release_rt):
            assert call(None, mine) == INVALID
            assert call(recv if call is api.recv_rt else send, None) == INVALID
        assert api.send_rt(recv, mine) == INVALID
        assert api.send_rt(foreign, mine) == api.release_rt(foreign, mine) == INVALID
        assert api.send_rt(send, Buffer()) == api.release_rt(send, Buffer()) == STALE
        for seconds in (-1.0, -math.inf, math.nan):
            assert api.wait(send, seconds) == INVALID
        assert api.wait(None, 0) == api.finish_rt(None) == INVALID
        assert api.is_closed_rt(None) == 1
        assert pool.stats() == before
        assert api.release_rt(recv, mine) == OK
    api.close(None)


@pytest.mark.parametrize("thing", [None, 1, "sender", pong.BufferPool])
def test_opening_what_is_no_end(thing):
    for call, name in [(lambda x: api.open_sender(x, 1), "Sender"), (api.open_receiver, "Receiver")]:
        with pytest.raises(TypeError, match=rf"^{name.lower()} must be a pong\.{name}, not {type(thing).__name__}$"):
            call(thing)


def test_opening_the_wrong_end_or_null():
    _, sender, receiver = make()
    with pytest.raises(TypeError, match=r"^sender must be a pong\.Sender, not Receiver$"):
        api.open_sender(receiver, 1)
    with pytest.raises(TypeError, match=r"^receiver must be a pong\.Receiver, not Sender$"):
        api.open_receiver(sender)
    with pytest.raises(TypeError, match=r"not NULL$"):
        api.open_sender(c.py_object(), 1)
    with pytest.raises(TypeError, match=r"not NULL$"):
        api.open_receiver(c.py_object())
    for acquires in (-1, 2):
        with pytest.raises(ValueError, match=rf"^acquires must be 0 or 1, not {acquires}$"):
            api.open_sender(sender, acquires)


def test_opening_what_is_closed():
    for close, words in [
        (lambda pool, sender, receiver: sender.close(), "the sender is closed"),
        (lambda pool, sender, receiver: receiver.close(), "the receiver is closed"),
        (lambda pool, sender, receiver: pool.close(), "the pool is closed"),
    ]:
        ends = make()
        close(*ends)
        with pytest.raises(pong.ClosedError, match=words):
            api.open_sender(ends[1], 1)
    _, _sender, receiver = make()
    receiver.close()
    with pytest.raises(pong.ClosedError, match="the receiver is closed"):
        api.open_receiver(receiver)


def test_opening_twice():
    """What was refused has taken nothing: the pool and the links are as before."""
    pool, sender, receiver = make()
    second, third = pool.link()
    with opened(sender), opened(receiver):
        for acquires in (0, 1):
            with pytest.raises(RuntimeError, match="another native stream sends on this link"):
                api.open_sender(sender, acquires)
        with pytest.raises(RuntimeError, match="another native stream receives from this link"):
            api.open_receiver(receiver)
        with pytest.raises(RuntimeError, match="another native stream acquires from this pool"):
            api.open_sender(second, 1)
        with opened(second, acquires=0):
            pass
    assert third.closed is False
    assert pool.acquire()


def test_a_virtual_device_is_another_native_stream():
    heard = np.zeros(8, "float32")
    pool = pong.BufferPool(2, 8)
    links = [pool.link() for _ in range(3)]
    (sender, _), (other, _), (third, _) = links
    with VirtualDevice(48000, capture=sender, source=heard, speed=None):
        with pytest.raises(RuntimeError, match="another native stream sends"):
            api.open_sender(sender, 1)
        with pytest.raises(RuntimeError, match="another native stream acquires"):
            api.open_sender(other, 1)
    with opened(other):
        device = VirtualDevice(48000, capture=third, source=heard, speed=None)
        with pytest.raises(RuntimeError, match="another stream acquires"):
            device.start()


def test_python_may_not_be_what_native_code_is():
    pool, sender, _receiver = make()
    block = pool.acquire()
    with opened(sender):
        with pytest.raises(RuntimeError, match="native stream acquires"):
            pool.acquire()
        with pytest.raises(RuntimeError, match="native stream sends"):
            sender.send(block)
    there, here = pool.link()
    with opened(here):
        with pytest.raises(RuntimeError, match="native stream receives"):
            here.recv(timeout=0)
        with pytest.raises(TypeError, match="cannot take a message"):
            there.send(block, message="x")
        there.send(block)
    assert pool.free == 4, "what was queued went home"


def test_queued_messages_are_not_for_native_code():
    pool, sender, receiver = make()
    sender.send(pool.acquire(), message="x")
    with pytest.raises(TypeError, match="cannot receive messages"):
        api.open_receiver(receiver)
    assert receiver.recv_nowait().message == "x"
