"""pong against its plain-Python model: thousands of random operations, compared after each one."""

from __future__ import annotations

import gc
import warnings
import weakref

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from model import Model, Refused
from observe import address

import pong

BLOCKSIZE = 8
ANY = st.integers(0, 10_000)   # an index into a list whose length is not known yet
FEW = st.lists(ANY, max_size=6)
SOME = st.lists(ANY, min_size=1, max_size=4)
FRAMES = st.integers(0, BLOCKSIZE + 1)


def deep(array):
    """Return an array in another shape, which is a view whether or not frames are in one piece."""
    return array.reshape(1, *array.shape)


# How an alias is taken from a buffer, and whether it is counted ("Detaching, exactly", rule 1).
ALIASES = {
    "samples": (lambda buf, start, stop: buf.samples, False),
    "memoryview of samples": (lambda buf, start, stop: memoryview(buf.samples), False),
    "slice": (lambda buf, start, stop: buf.samples[start:stop], True),
    "deep view": (lambda buf, start, stop: deep(buf.samples[start:stop]), True),
    "memoryview": (lambda buf, start, stop: memoryview(buf), True),
    "asarray": (lambda buf, start, stop: np.asarray(buf), True),
}
RANGED = ("slice", "deep view")


def is_open(link):
    return link.sender_open and link.receiver_open


def is_full(link):
    return link.receiver_open and link.queue


class Message:
    """An object that can be referred to weakly."""


class Machine(RuleBasedStateMachine):
    """Does everything twice, to a pool and to its model."""

    sizes = (1, 130)
    operations = 0

    @initialize(count=ANY, overflow=st.integers(0, 70), links=st.integers(1, 3), channels=st.integers(1, 2),
                start=st.sampled_from([0, 2**32 - 3, 2**48 - 3, 2**64 - 3]), timestamps=st.booleans(),
                order=st.sampled_from("CF"))
    def begin(self, count, overflow, links, channels, start, timestamps, order):
        least, most = self.sizes
        count = least + count % (most - least + 1)
        policy = {"on_empty": "allocate", "overflow": overflow} if overflow else {"on_empty": "raise"}
        kind = type("Pool", (pong.BufferPool,), {"_first_position": start})
        self.pool = kind(
            count, BLOCKSIZE, channels, "int32", order=order, max_links=links, timestamps=timestamps, **policy
        )
        self.model = Model(count, overflow, links, BLOCKSIZE)
        self.buffers = []   # (Buffer, model.Handle), detached ones too
        self.aliases = []   # (object, kind, model.Alias)
        self.links = []     # [Sender or None, Receiver or None, model.Link]
        self.places = {}    # address by slot
        self.messages = weakref.WeakValueDictionary()
        self.values = 0
        self.agreed = True
        for _ in range(links):
            self.open_link()
        self.acquire(3, False, False, 0)

    # Helpers.

    def both(self, modelled, real):
        """Do one thing to the model and to pong; return both results, or None if both refuse in the same way."""
        self.agreed = False
        refused = expected = result = None
        try:
            expected = modelled()
        except Refused as error:
            refused = error.args[0]
        try:
            result = real()
        except Exception as error:
            if type(error).__name__ != refused:
                raise
            return None
        assert refused is None, f"{refused} was not raised"
        return result, expected

    def pick(self, items, index):
        return items[index % len(items)]

    def pick_buffer(self, index):
        """Return one that owns its block, if there is one, or seldom any."""
        owned = [pair for pair in self.buffers if pair[1].block]
        return self.pick(owned if owned and index % 8 else self.buffers, index // 8)

    def pick_link(self, index, useful):
        """Return the ends and the model of a useful link, if there is one, or seldom of any."""
        chosen = [ends for ends in self.links if useful(ends[2])]
        return self.pick(chosen if chosen and index % 8 else self.links, index // 8)

    def new_value(self):
        self.values += 1
        return self.values

    def new_message(self, wanted):
        """Return a message and its number in the model, or None twice."""
        if not wanted:
            return None, None
        message, number = Message(), self.new_value()
        self.messages[number] = message
        return message, number

    def same(self, array, values):
        """Compare samples with what the model knows of them; undefined ones can be anything."""
        array = np.asarray(array).reshape(len(values), self.pool.channels)
        for frame, value in zip(array.tolist(), values, strict=True):
            assert value is None or frame == [value] * self.pool.channels

    def adopt(self, buf, handle, look):
        """Take a new buffer in: right metadata, and if looked at right place and samples."""
        block = handle.block
        assert (buf.frames, buf.seq, buf.tag) == (block.frames, block.seq, block.tag)
        assert buf.message is (None if block.message is None else self.messages[block.message])
        if look:
            place = address(buf.samples)
            assert self.places.setdefault(block.slot, place) == place
            assert len(set(self.places.values())) == len(self.places)
            self.same(buf.samples, block.data[:block.frames])
        self.buffers.append((buf, handle))

    # The pool.

    @rule(number=st.sampled_from([1, 1, 1, 3, 60, 200]), look=st.booleans(), raises=st.booleans(),
          timeout=st.sampled_from([0, 0, 0.0002, None]))
    def acquire(self, number, look, raises, timeout):
        for _ in range(number):
            if timeout is None and not any(slot < self.model.count for slot in self.model.free()):
                timeout = 0  # it would wait for ever
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("error" if raises else "always")
                got = self.both(lambda: self.model.acquire(raises), lambda: self.pool.acquire(timeout))  # noqa: B023
            if got is None:
                break
            buf, (handle, warns) = got
            assert [w.category for w in caught] == [pong.PoolExhaustedWarning] * warns
            self.adopt(buf, handle, look)

    @rule(reset=st.booleans())
    def stats(self, reset):
        self.pool.stats(reset=reset)
        self.model.look(reset)

    # Buffers.

    @precondition(lambda self: self.buffers)
    @rule(which=ANY, frames=FRAMES, order=st.sampled_from("CF"))
    def write(self, which, frames, order):
        buf, handle = self.pick_buffer(which)
        value = self.new_value()
        array = np.full((frames, self.pool.channels), value, "int32", order)
        self.both(lambda: self.model.write(handle, value, frames), lambda: buf.write(array))

    @precondition(lambda self: self.buffers)
    @rule(which=ANY, frames=FRAMES)
    def set_frames(self, which, frames):
        buf, handle = self.pick_buffer(which)
        self.both(lambda: self.model.set_frames(handle, frames), lambda: setattr(buf, "frames", frames))

    @precondition(lambda self: self.buffers and len(self.aliases) < 25)
    @rule(which=ANY, kind=st.sampled_from(sorted(ALIASES)), start=FRAMES, stop=FRAMES)
    def keep_alias(self, which, kind, start, stop):
        buf, handle = self.pick_buffer(which)
        take, counted = ALIASES[kind]
        frames = handle.block.frames if handle.block else 0
        start, stop = (min(start, frames), min(stop, frames)) if kind in RANGED else (0, frames)
        stop = max(start, stop)
        got = self.both(
            lambda: self.model.alias(handle, start, stop, counted), lambda: take(buf, start, stop)
        )
        if got:
            self.aliases.append((got[0], kind, got[1]))

    @precondition(lambda self: self.aliases)
    @rule(which=SOME)
    def drop_aliases(self, which):
        for index in which:
            if self.aliases:
                _, _, alias = self.aliases.pop(index % len(self.aliases))
                self.model.drop_alias(alias)

    @precondition(lambda self: self.buffers)
    @rule(which=FEW)
    def release(self, which):
        for index in which:
            buf, handle = self.pick_buffer(index)
            self.both(lambda: self.model.release(handle), buf.release)  # noqa: B023

    @precondition(lambda self: self.buffers)
    @rule(which=FEW)
    def drop_handles(self, which):
        for index in which:
            if self.buffers:
                _, handle = self.buffers.pop(index % len(self.buffers))
                self.model.drop_handle(handle)

    @precondition(lambda self: len(self.buffers) > 12)
    @rule(keep=st.integers(0, 12))
    def release_most(self, keep):
        for buf, handle in self.buffers[keep:]:
            self.both(lambda: self.model.release(handle), buf.release)  # noqa: B023

    # Links.

    @precondition(lambda self: len(self.model.links) < self.model.max_links or self.values % 8 == 0)
    @rule()
    def open_link(self):
        got = self.both(self.model.open, self.pool.link)
        if got:
            (sender, receiver), link = got
            self.links.append([sender, receiver, link])

    @precondition(lambda self: self.links and self.buffers)
    @rule(on=ANY, which=SOME, tag=st.none() | st.integers(-2**63, 2**63 - 1), message=st.booleans())
    def send(self, on, which, tag, message):
        for index in which:
            self.send_one(*self.pick_link(on, is_open), *self.pick_buffer(index), tag, message)

    def send_one(self, sender, receiver, link, buf, handle, tag, message):
        message, number = self.new_message(message)
        if sender:
            self.both(
                lambda: self.model.send(link, [(handle, tag, number)]),
                lambda: sender.send(buf, tag=tag, message=message),
            )

    @precondition(lambda self: self.links and self.buffers)
    @rule(on=ANY, first=ANY, number=st.integers(0, 5), spoil=ANY, message=st.booleans())
    def send_many(self, on, first, number, spoil, message):
        """Send neighbours in the list of buffers; seldom one more, twice or detached, or from a failing generator."""
        sender, _, link = self.pick_link(on, is_open)
        if sender is None:
            return
        owned = [pair for pair in self.buffers if pair[1].block]
        chosen = [self.pick(owned, first + i) for i in range(min(number, len(owned)))]
        if spoil % 4 == 0 or not chosen:
            chosen.append(self.pick_buffer(spoil // 4))
        fails = spoil % 5 == 0
        message, number = self.new_message(message)

        def items():
            yield chosen[0][0], None, message
            for place, (buf, _) in enumerate(chosen[1:]):
                yield (buf, place) if place % 2 else buf
            if fails:
                raise ArithmeticError

        def modelled():
            if fails and link.sender_open:
                raise Refused("ArithmeticError")
            tags = [place if place % 2 else None for place in range(len(chosen) - 1)]
            plain = [(handle, tag, None) for (_, handle), tag in zip(chosen[1:], tags, strict=True)]
            self.model.send(link, [(chosen[0][1], None, number), *plain])

        self.both(modelled, lambda: sender.send_many(items()))

    @precondition(lambda self: self.links)
    @rule(on=ANY, number=st.integers(1, 4), how=st.sampled_from(["recv", "recv_nowait", "poll"]), look=st.booleans())
    def recv(self, on, number, how, look):
        _, receiver, link = self.pick_link(on, is_full)
        for _ in range(number if receiver else 0):
            endless = link.queue or self.model.over(link) or not link.receiver_open
            calls = {
                "recv": lambda: receiver.recv(None if endless else 0.0002),  # noqa: B023
                "recv_nowait": receiver.recv_nowait,
                "poll": lambda: receiver.recv(None if receiver.poll() else 0),
            }
            got = self.both(lambda: self.model.recv(link), calls[how])
            if got is None:
                break
            self.adopt(*got, look)

    @precondition(lambda self: self.links)
    @rule(on=ANY, most=st.none() | st.integers(1, 8), look=st.booleans())
    def drain(self, on, most, look):
        _, receiver, link = self.pick_link(on, is_full)
        if receiver is None:
            return
        got = self.both(lambda: self.model.drain(link, most), lambda: receiver.drain(most))
        for buf, handle in zip(*got, strict=True) if got else ():
            self.adopt(buf, handle, look)

    @precondition(lambda self: self.links)
    @rule(on=ANY, timeout=st.sampled_from([0, 0.0002]))
    def poll(self, on, timeout):
        _, receiver, link = self.pick(self.links, on)
        if receiver is not None:
            got = self.both(lambda: self.model.readable(link), lambda: receiver.poll(timeout))
            assert got is None or got[0] is got[1]

    @precondition(lambda self: self.links and self.values % 3 == 0)
    @rule(on=ANY, sender=st.booleans(), drop=st.booleans())
    def close_end(self, on, sender, drop):
        ends = self.pick(self.links, on)
        place = 0 if sender else 1
        if ends[place] is None:
            return
        (self.model.close_sender if sender else self.model.close_receiver)(ends[2])
        if drop:
            ends[place] = None
        else:
            ends[place].close()
            assert ends[place].closed
        if ends[2] not in self.model.links:
            # Its place may be opened again; the ends that were kept must not disturb that.
            closed = [ends for ends in self.links if ends[2] not in self.model.links]
            if len(closed) > 3:
                self.links.remove(closed[0])

    # The comparison.

    @invariant()
    def agree(self):
        """I3, and every figure, alias, handle and message as the model has it (I2, I5)."""
        self.agreed = False
        type(self).operations += 1
        self.forget_detached()
        stats, model = self.pool.stats(), self.model
        model.look()
        assert {name: getattr(stats, name) for name in model.census()} == model.census()
        assert stats.free + stats.owned + stats.queued + stats.pinned == stats.count + stats.overflow_in_use
        assert (self.pool.free, self.pool.in_use) == (stats.free, stats.in_use)
        for name in ("acquired", "overflowed", "exhausted"):
            assert getattr(stats, name) == model.since_reset(name)
        links = sorted(model.links, key=lambda link: link.index)
        assert [(link.index, link.queued) for link in stats.links] == [(link.index, len(link.queue)) for link in links]
        for told, link in zip(stats.links, links, strict=True):
            assert told.sent == model.since_reset("sent", link.opening)
            if link.receiver_open:
                assert told.received == model.since_reset("received", link.opening)
        for alias in self.aliases:
            self.agree_alias(*alias)
        for buf, handle in self.buffers:
            assert (bool(buf), buf.detached) == (handle.block is not None, handle.block is None)
            assert len(buf) == (handle.block.frames if handle.block else 0)
        assert set(self.messages) == model.messages()
        self.agreed = True

    def agree_alias(self, alias, kind, modelled):
        """An alias sees its own block, whatever has become of the buffer (I5); `samples` is detached (I2)."""
        data = modelled.block.data
        if kind != "samples":
            self.same(alias, data[modelled.start:modelled.stop])
        elif modelled.lease.detached:
            assert len(alias) == 0
        else:
            self.same(alias, data[:modelled.block.frames])

    def forget_detached(self):
        """Keep three detached handles, to be used wrongly."""
        detached = [pair for pair in self.buffers if pair[1].block is None]
        for pair in detached[3:]:
            self.buffers.remove(pair)

    def teardown(self):
        """Close the pool: queued buffers come in order, nothing is lost, and all slots come home."""
        if not getattr(self, "agreed", False):
            return
        self.pool.close()
        self.model.closed = True
        self.both(self.model.acquire, self.pool.acquire)
        for sender, receiver, link in self.links:
            self.finish(sender, receiver, link)
        self.agree()
        self.links.clear()
        self.buffers.clear()
        assert self.pool.stats().pinned == len({alias.lease.slot for _, _, alias in self.aliases})
        self.aliases.clear()
        assert (self.pool.free, self.pool.in_use) == (self.model.count, 0)
        assert not self.messages

    def finish(self, sender, receiver, link):
        """Try to send after the pool was closed; receive what is queued, then the end."""
        if sender and self.buffers:
            buf, handle = self.buffers[0]
            self.both(lambda: self.model.send(link, [(handle, None, None)]), lambda: sender.send(buf))
        while receiver and (got := self.both(lambda: self.model.recv(link), receiver.recv_nowait)):
            self.adopt(*got, True)


# Shrinking a failure may take five minutes.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("sizes", [(1, 2), (3, 20), (58, 70), (120, 130)], ids=lambda sizes: f"{sizes[0]}-{sizes[1]}")
def test_pool_behaves_as_its_model(sizes):
    """I3 after each of thousands of operations, I2 and I5 through every alias that is kept."""
    gc.collect()
    machine = type("Machine", (Machine,), {"sizes": sizes, "operations": 0})
    run_state_machine_as_test(machine, settings=settings(
        max_examples=60, stateful_step_count=70, deadline=None, database=None, print_blob=True,
        suppress_health_check=list(HealthCheck),
    ))
    assert machine.operations > 1000
