"""The loops whose instructions `check_instructions.py` counts; runs under callgrind.

    python ci/instruction_loops.py FOLDER COUNT

FOLDER holds the native loops of the benchmarks, built. Each loop runs three times, COUNT, COUNT and twice COUNT cycles
long, and each time ends with a call of getppid, by which callgrind tells them apart. The first time is for warming up;
what is not part of a cycle is the same in the other two, and cancels out.
"""

import gc
import os
import sys
from itertools import repeat

import numpy as np

import pong
from pong.streams.native import NativeDevice
from pong.streams.portaudio import callback_address

SLOTS = 16
FRAMES = 1024


class Native:
    """Acquire, send, receive and release, in C."""

    def __init__(self, loops):
        self.loops = loops
        self.pool = pong.BufferPool(SLOTS, FRAMES, on_empty="raise")
        self.sender, self.receiver = self.pool.link()

    def run(self, cycles):
        self.loops.cycle(self.pool, self.sender, cycles)


class Python(Native):
    """The same in Python, with a block that is written."""

    def run(self, cycles):
        pool, sender, receiver = self.pool, self.sender, self.receiver
        block = np.ones(FRAMES, "float32")
        for _ in repeat(None, cycles):
            buf = pool.acquire()
            buf.write(block)
            sender.send(buf)
            received = receiver.recv()
            received.release()


class NoLibrary(NativeDevice):
    """A device that nobody calls back for but the loop."""

    def begin(self):
        pass


class Capture(Native):
    """PortAudio's callback, called by a loop; what it sends is received and released in C."""

    def __init__(self, loops):
        super().__init__(loops)
        self.device = NoLibrary(48000, capture=self.sender, stall_timeout=1000)
        self.heard = np.ones(FRAMES, "float32")

    def run(self, cycles):
        assert cycles % SLOTS == 0, "whole rounds only"
        self.loops.callbacks(
            callback_address(), self.device.address(), self.heard, self.receiver, cycles // SLOTS
        )


# In the order in which the check expects them.
LOOPS = Native, Python, Capture


def main(folder, cycles):
    """Run all loops."""
    sys.path.insert(0, folder)
    import _bench

    gc.disable()
    for make in LOOPS:
        loop = make(_bench)
        for times in (1, 1, 2):
            loop.run(times * cycles)
            os.getppid()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
