"""A plain-Python model of a pool, its buffers, aliases and links, as DESIGN sections 3 and 5 describe them.

The oracle of `test_model`: sets, deques and lists, nothing of pong. Where pong raises, the model raises `Refused` with
the name of the exception, and has changed nothing.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field


class Refused(Exception):
    """What pong must raise here: the name of its exception is the only argument."""


@dataclass(eq=False)
class Block:
    """What a slot holds from one acquire to the next: one value for each frame, None where it is undefined."""

    slot: int
    data: list[int | None]
    frames: int
    seq: int | None = None
    tag: int = 0
    message: int | None = None


@dataclass(eq=False)
class Lease:
    """The aliases that came from one handle; once detached they pin the slot until the last one goes (rule 2)."""

    slot: int
    aliases: set[Alias] = field(default_factory=set)
    detached: bool = False


@dataclass(eq=False)
class Alias:
    """Frames ``start`` to ``stop`` of a block, kept by somebody; a counted one forbids sending (rule 1)."""

    lease: Lease
    block: Block
    start: int
    stop: int
    counted: bool


@dataclass(eq=False)
class Handle:
    """A buffer: the owner of a block, or of nothing."""

    block: Block | None
    limit: int
    lease: Lease

    @property
    def owned(self) -> Block:
        if self.block is None:
            raise Refused("DetachedError")
        return self.block


@dataclass(eq=False)
class Link:
    """A queue with two ends."""

    index: int
    opening: int
    queue: deque[Block] = field(default_factory=deque)
    sender_open: bool = True
    receiver_open: bool = True


class Model:
    """A pool of ``count`` slots and ``overflow`` more, with at most ``max_links`` open links."""

    def __init__(self, count: int, overflow: int, max_links: int, blocksize: int) -> None:
        self.count, self.overflow, self.max_links, self.blocksize = count, overflow, max_links, blocksize
        self.home = set(range(count + overflow))      # in nobody's hands and in no ring
        self.pins: dict[int, set[Lease]] = {slot: set() for slot in self.home}
        self.blocks: set[Block] = set()               # owned or queued
        self.links: list[Link] = []                   # with an end that is still open
        self.openings = 0
        self.closed = False
        self.episode = False
        self.counts: Counter[object] = Counter()
        self.baseline: Counter[object] = Counter()

    # What is where.

    def free(self) -> set[int]:
        """Slots that can be handed out, overflow slots among them."""
        return {slot for slot in self.home if not self.pins[slot]}

    def census(self) -> dict[str, int]:
        """Return the figures that `PoolStats` has too."""
        queued = sum(len(link.queue) for link in self.links)
        pinned = len(self.home) - len(self.free())
        owned = len(self.blocks) - queued
        return {
            "free": sum(slot < self.count for slot in self.free()),
            "owned": owned,
            "queued": queued,
            "pinned": pinned,
            "in_use": owned + queued + pinned,
            "overflow_in_use": self.overflow - sum(slot >= self.count for slot in self.free()),
        }

    def messages(self) -> set[int]:
        """Messages that are still on their way or belong to an owned buffer; every other one must be gone."""
        return {block.message for block in self.blocks if block.message is not None}

    def since_reset(self, *key: object) -> int:
        """Return a counter, from the last reset on."""
        return self.counts[key] - self.baseline[key]

    def look(self, reset: bool = False) -> None:
        """Do what `BufferPool.stats` does besides telling figures."""
        self.end_episode()
        if reset:
            self.baseline = self.counts.copy()

    # The pool.

    def end_episode(self) -> None:
        if all(slot in self.free() for slot in range(self.count, self.count + self.overflow)):
            self.episode = False

    def acquire(self, warning_raises: bool = False) -> tuple[Handle, bool]:
        """Take the lowest free slot; return its handle and whether a warning belongs to it."""
        if self.closed:
            raise Refused("ClosedError")
        self.end_episode()
        if not self.free():
            self.counts["exhausted",] += 1
            raise Refused("PoolExhausted")
        slot = min(self.free())
        warns = slot >= self.count and not self.episode
        if warns and warning_raises:
            raise Refused("PoolExhaustedWarning")
        self.home.remove(slot)
        self.counts["acquired",] += 1
        if slot >= self.count:
            self.episode = True
            self.counts["overflowed",] += 1
        block = Block(slot, [None] * self.blocksize, self.blocksize)
        self.blocks.add(block)
        return Handle(block, block.frames, Lease(slot)), warns

    # A buffer.

    def write(self, handle: Handle, value: int, frames: int) -> None:
        block = handle.owned
        if frames > handle.limit:
            raise Refused("ValueError")
        block.data[:frames] = [value] * frames
        self.set_frames(handle, frames)

    def set_frames(self, handle: Handle, frames: int) -> None:
        block = handle.owned
        if frames > handle.limit:
            raise Refused("ValueError")
        block.frames = frames
        if block.seq is not None:
            handle.limit = frames  # who received it may only lower it

    def alias(self, handle: Handle, start: int, stop: int, counted: bool) -> Alias:
        alias = Alias(handle.lease, handle.owned, start, stop, counted)
        handle.lease.aliases.add(alias)
        return alias

    def drop_alias(self, alias: Alias) -> None:
        alias.lease.aliases.remove(alias)
        if not alias.lease.aliases:
            self.pins[alias.lease.slot].discard(alias.lease)

    def detach(self, handle: Handle) -> Block:
        """The handle gives its block away; aliases that live pin the slot (I5)."""
        block = handle.owned
        handle.block = None
        handle.lease.detached = True
        if handle.lease.aliases:
            self.pins[block.slot].add(handle.lease)
        return block

    def go_home(self, block: Block) -> None:
        self.blocks.remove(block)
        self.home.add(block.slot)

    def release(self, handle: Handle) -> None:
        self.go_home(self.detach(handle))

    def drop_handle(self, handle: Handle) -> None:
        if handle.block is not None:
            self.release(handle)

    # A link.

    def open(self) -> Link:
        if self.closed:
            raise Refused("ClosedError")
        idle = sorted(set(range(self.max_links)) - {link.index for link in self.links})
        if not idle:
            raise Refused("RuntimeError")
        self.openings += 1
        link = Link(idle[0], self.openings)
        self.links.append(link)
        return link

    def send(self, link: Link, items: list[tuple[Handle, int | None, int | None]]) -> None:
        """Send several buffers with tag and message: all or none."""
        if self.closed or not (link.sender_open and link.receiver_open):
            raise Refused("ClosedError")
        named: list[Handle] = []
        for handle, _, _ in items:
            _ = handle.owned
            if any(alias.counted for alias in handle.lease.aliases):
                raise Refused("BufferError")
            if handle in named:
                raise Refused("ValueError")
            named.append(handle)
        for handle, tag, message in items:
            block = self.detach(handle)
            block.seq = self.counts["sent", link.opening]
            block.tag = block.tag if tag is None else tag
            block.message = message
            link.queue.append(block)
            self.counts["sent", link.opening] += 1

    def over(self, link: Link) -> bool:
        """Tell whether nothing more can come but for what is queued."""
        return self.closed or not link.sender_open

    def readable(self, link: Link) -> bool:
        if not link.receiver_open:
            raise Refused("ClosedError")
        return bool(link.queue) or self.over(link)

    def recv(self, link: Link) -> Handle:
        """Receive without waiting."""
        if not link.receiver_open or (self.over(link) and not link.queue):
            raise Refused("ClosedError")
        if not link.queue:
            raise Refused("Empty")
        block = link.queue.popleft()
        self.counts["received", link.opening] += 1
        return Handle(block, block.frames, Lease(block.slot))

    def drain(self, link: Link, most: int | None) -> list[Handle]:
        if not self.readable(link):
            return []
        number = len(link.queue) if most is None else min(most, len(link.queue))
        if not number:
            raise Refused("ClosedError")
        return [self.recv(link) for _ in range(number)]

    def close_sender(self, link: Link) -> None:
        link.sender_open = False
        self.end(link)

    def close_receiver(self, link: Link) -> None:
        link.receiver_open = False
        while link.queue:
            self.go_home(link.queue.popleft())
        self.end(link)

    def end(self, link: Link) -> None:
        if link in self.links and not (link.sender_open or link.receiver_open):
            self.links.remove(link)
