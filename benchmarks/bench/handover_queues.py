"""pong, and the rivals that Python itself brings: queues with copies, and arrays that are used again."""

from collections import deque
from queue import Queue, SimpleQueue

import numpy as np

from .handover_race import IN_FLIGHT, Handover, poll

__all__ = [
    "CopyQueue", "CopySimpleQueue", "Pong", "PongPolling", "PongTimed", "RecycledDeque", "RecycledMemoryview",
    "RecycledQueue", "token_queue",
]  # fmt: skip


class Pong(Handover):
    """A pool and a link."""

    name = "pong"
    timestamps = False

    def __init__(self, in_flight=IN_FLIGHT, frames=1024, channels=1):
        import pong

        self.pool = pong.BufferPool(in_flight, frames, channels, on_empty="raise", timestamps=self.timestamps)
        self.sender, self.receiver = self.pool.link()

    def same(self, blocks, see):
        acquire, send, recv = self.pool.acquire, self.sender.send, self.receiver.recv
        for block in blocks:
            buf = acquire()
            buf.write(block)
            send(buf)
            received = recv()
            if see:
                see(received.samples)
            received.release()

    def produce(self, blocks):
        acquire, send = self.pool.acquire, self.sender.send
        for block in blocks:
            buf = acquire(None)
            buf.write(block)
            send(buf)

    def consume(self, number, see):
        recv = self.receiver.recv
        for _ in range(number):
            received = recv()
            if see:
                see(received.samples)
            received.release()

    def close(self):
        self.pool.close()


class PongTimed(Pong):
    """With a time stamp at each move, and histograms."""

    name = "pong, time stamps"
    timestamps = True


class PongPolling(Pong):
    """Looks again and again, as the rivals do that cannot wait."""

    name = "pong, polling"
    note = "polls"

    def produce(self, blocks):
        pool, acquire, send = self.pool, self.pool.acquire, self.sender.send
        for block in blocks:
            if not pool.free:
                poll(lambda: pool.free)
            buf = acquire()
            buf.write(block)
            send(buf)

    def consume(self, number, see):
        recv, there = self.receiver.recv, self.receiver.poll
        for _ in range(number):
            if not there():
                poll(there)
            received = recv()
            if see:
                see(received.samples)
            received.release()


def token_queue(number):
    """Return a queue that bounds what is in flight: who sends takes a token out, who has received puts it back."""
    tokens = SimpleQueue()
    for _ in range(number):
        tokens.put(None)
    return tokens


class CopySimpleQueue(Handover):
    """`queue.SimpleQueue`, a copy for each block."""

    name = "SimpleQueue + copy"
    queue_class = SimpleQueue

    def __init__(self, in_flight=IN_FLIGHT, frames=1024, channels=1):
        self.queue, self.tokens = self.queue_class(), token_queue(in_flight)

    def same(self, blocks, see):
        put, get = self.queue.put, self.queue.get
        for block in blocks:
            put(block.copy())
            received = get()
            if see:
                see(received)

    def produce(self, blocks):
        put, take = self.queue.put, self.tokens.get
        for block in blocks:
            take()
            put(block.copy())

    def consume(self, number, see):
        get, give = self.queue.get, self.tokens.put
        for _ in range(number):
            received = get()
            if see:
                see(received)
            give(None)


class CopyQueue(CopySimpleQueue):
    """`queue.Queue`, a copy for each block."""

    name = "Queue + copy"
    queue_class = Queue


class RecycledDeque(Handover):
    """Two deques, of arrays that are free and arrays that are full. The last one freed, a hot one, comes first."""

    name = "deque of recycled arrays"
    note = "polls for blocks of another thread"
    protects = False

    def __init__(self, in_flight=IN_FLIGHT, frames=1024, channels=1):
        self.free = deque(np.zeros((frames, channels), "float32") for _ in range(in_flight))
        self.ready = deque()

    def same(self, blocks, see):
        take, give, put, get = self.free.pop, self.free.append, self.ready.append, self.ready.popleft
        for block in blocks:
            array = take()
            array[...] = block
            put(array)
            received = get()
            if see:
                see(received)
            give(received)

    def produce(self, blocks):
        free, take, put = self.free, self.free.pop, self.ready.append
        for block in blocks:
            if not free:
                poll(free.__len__)
            array = take()
            array[...] = block
            put(array)

    def consume(self, number, see):
        ready, give, get = self.ready, self.free.append, self.ready.popleft
        for _ in range(number):
            if not ready:
                poll(ready.__len__)
            received = get()
            if see:
                see(received)
            give(received)


class RecycledQueue(Handover):
    """As with deques, but who finds nothing waits for it."""

    name = "SimpleQueue of recycled arrays"
    protects = False

    def __init__(self, in_flight=IN_FLIGHT, frames=1024, channels=1):
        self.free, self.ready = SimpleQueue(), SimpleQueue()
        for _ in range(in_flight):
            self.free.put(np.zeros((frames, channels), "float32"))

    def same(self, blocks, see):
        take, give, put, get = self.free.get, self.free.put, self.ready.put, self.ready.get
        for block in blocks:
            array = take()
            array[...] = block
            put(array)
            received = get()
            if see:
                see(received)
            give(received)

    def produce(self, blocks):
        take, put = self.free.get, self.ready.put
        for block in blocks:
            array = take()
            array[...] = block
            put(array)

    def consume(self, number, see):
        give, get = self.free.put, self.ready.get
        for _ in range(number):
            received = get()
            if see:
                see(received)
            give(received)


class RecycledMemoryview(Handover):
    """Memory that is used again, a memoryview of it for each block: released, it refuses to be read."""

    name = "memoryview recycling"
    note = "the receiver gets a memoryview, which refuses once released, a slice of it does not; polls"
    protects = False
    look = staticmethod(lambda view: (view[0], view[-1]))

    @staticmethod
    def prepare(block):
        return block.reshape(-1)

    def __init__(self, in_flight=IN_FLIGHT, frames=1024, channels=1):
        size = frames * channels * 4
        self.free = deque(memoryview(bytearray(size)).cast("f") for _ in range(in_flight))
        self.ready = deque()

    def same(self, blocks, see):
        take, give, put, get = self.free.pop, self.free.append, self.ready.append, self.ready.popleft
        for block in blocks:
            memory = take()
            view = memory[:]
            view[:] = block
            put((memory, view))
            home, received = get()
            if see:
                see(received)
            received.release()
            give(home)

    def produce(self, blocks):
        free, take, put = self.free, self.free.pop, self.ready.append
        for block in blocks:
            if not free:
                poll(free.__len__)
            memory = take()
            view = memory[:]
            view[:] = block
            put((memory, view))

    def consume(self, number, see):
        ready, give, get = self.ready, self.free.append, self.ready.popleft
        for _ in range(number):
            if not ready:
                poll(ready.__len__)
            home, received = get()
            if see:
                see(received)
            received.release()
            give(home)
