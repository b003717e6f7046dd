"""Rivals with an event loop, and rings of samples from PyPI."""

import asyncio
from importlib import import_module
from operator import length_hint

import numpy as np

from .contest import Missing
from .handover_queues import token_queue
from .handover_race import IN_FLIGHT, Handover, poll

__all__ = ["CopyAsyncio", "CopyJanus", "PaRingBuffer", "RingBuf"]


def needed(module, package):
    """Import what a contender needs, or say what to install."""
    try:
        return import_module(module)
    except ImportError as error:
        raise Missing(f"pip install {package} ({error})") from None


class CopyAsyncio(Handover):
    """`asyncio.Queue`, a copy for each block; its loop runs on the receiver's thread."""

    name = "asyncio.Queue + copy"
    note = "from another thread by call_soon_threadsafe"

    def __init__(self, in_flight=IN_FLIGHT, frames=1024, channels=1):
        self.loop, self.tokens = asyncio.new_event_loop(), token_queue(in_flight)
        self.queue = asyncio.Queue(in_flight)

    async def sending(self, blocks):
        put = self.queue.put
        for block in blocks:
            await put(block.copy())

    async def receiving(self, number, see, give=None):
        get = self.queue.get
        for _ in range(number):
            received = await get()
            if see:
                see(received)
            if give:
                give(None)

    def same(self, blocks, see):
        async def both():
            await asyncio.gather(self.sending(blocks), self.receiving(length_hint(blocks), see))

        self.loop.run_until_complete(both())

    def produce(self, blocks):
        call, put, take = self.loop.call_soon_threadsafe, self.queue.put_nowait, self.tokens.get
        for block in blocks:
            take()
            call(put, block.copy())

    def consume(self, number, see):
        self.loop.run_until_complete(self.receiving(number, see, self.tokens.put))

    def fill(self, blocks):
        self.loop.run_until_complete(self.sending(blocks))

    def close(self):
        self.loop.close()


class CopyJanus(CopyAsyncio):
    """A queue of janus: one side for threads, one for a loop; a copy for each block."""

    name = "janus + copy"
    note = ""

    def __init__(self, in_flight=IN_FLIGHT, frames=1024, channels=1):
        janus = needed("janus", "janus")
        super().__init__(in_flight)

        async def make():
            return janus.Queue(in_flight)

        self.both = self.loop.run_until_complete(make())
        self.queue = self.both.async_q

    def produce(self, blocks):
        put, take = self.both.sync_q.put, self.tokens.get
        for block in blocks:
            take()
            put(block.copy())

    def close(self):
        self.both.close()
        self.loop.run_until_complete(self.both.wait_closed())
        super().close()


class RingBuf(Handover):
    """ringbuf: boost's `spsc_queue` of bytes; what is popped is new memory."""

    name = "ringbuf"
    note = "copies in and out; the receiver gets a Cython memoryview; polls"
    look = staticmethod(lambda view: (view[0], view[-1]))

    @staticmethod
    def prepare(block):
        return block.reshape(-1)

    def __init__(self, in_flight=IN_FLIGHT, frames=1024, channels=1):
        module = needed("ringbuf", "ringbuf, which needs Debian's libboost-dev and libboost-system-dev")
        self.size = frames * channels
        self.ring = module.RingBuffer(format="f", capacity=in_flight * self.size)

    def same(self, blocks, see):
        push, pop, size = self.ring.push, self.ring.pop, self.size
        for block in blocks:
            push(block)
            received = pop(size)
            if see:
                see(received)

    def produce(self, blocks):
        ring, push, size = self.ring, self.ring.push, self.size
        for block in blocks:
            if ring.write_available < size:
                poll(lambda: ring.write_available >= size)
            push(block)

    def consume(self, number, see):
        ring, pop, size = self.ring, self.ring.pop, self.size
        for _ in range(number):
            if ring.read_available < size:
                poll(lambda: ring.read_available >= size)
            received = pop(size)
            if see:
                see(received)


class PaRingBuffer(Handover):
    """pa_ringbuffer: PortAudio's ring buffer through cffi, as rtmixer's wheel brings it compiled."""

    name = "pa_ringbuffer"
    note = "copies in and out; not meant for two Python threads; polls"
    protects = False

    def __init__(self, in_flight=IN_FLIGHT, frames=1024, channels=1):
        wrapper, compiled = needed("pa_ringbuffer", "pa-ringbuffer"), needed("_rtmixer", "rtmixer")
        ring_class = wrapper.init(compiled.ffi, compiled.lib)
        # Its size must be a power of two.
        self.ring = ring_class(frames * channels * 4, 1 << (in_flight - 1).bit_length())
        self.array = np.zeros((frames, channels), "float32")

    def same(self, blocks, see):
        write, readinto, array = self.ring.write, self.ring.readinto, self.array
        for block in blocks:
            write(block)
            readinto(array)
            if see:
                see(array)

    def produce(self, blocks):
        ring, write = self.ring, self.ring.write
        for block in blocks:
            while not write(block):
                poll(lambda: ring.write_available)

    def consume(self, number, see):
        ring, readinto, array = self.ring, self.ring.readinto, self.array
        for _ in range(number):
            while not readinto(array):
                poll(lambda: ring.read_available)
            if see:
                see(array)
