"""A sound card whose callbacks are called by the test, in place of a library."""

import numpy as np
from native_build import load

import pong
from pong.streams.native import NativeDevice
from pong.streams.portaudio import callback_address

RATE = 48000
GO_ON, OVER = 0, 1
FOR_EVER = 1000


class Card(NativeDevice):
    """A sound card whose callbacks are the test's; `halt` may hang, as PortAudio's does where its server has gone."""

    fails = hangs = breaks = None
    takes_back = False
    begins = reads = staticmethod(lambda: None)
    halted = ()
    gave_up = False

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.opened = True
        # Built before the device starts: until the first call it would have stalled.
        self.library = load("_callbacks")

    def begin(self):
        self.begins()
        if self.fails is True:
            raise pong.StreamError("refused")
        if self.fails:
            raise self.fails

    def readings(self):
        self.reads()
        return 0.0, 0.0, 0.0

    def halt(self, at_once):
        self.halted = (*self.halted, at_once)
        if self.hangs is not None:
            self.hangs.wait()
        if self.breaks is not None:
            raise self.breaks

    def give_up(self):
        self.gave_up = True

    def take_back(self):
        self.takes_back = True

    def call(self, heard=None, sounded=None, frames=64, **more):
        return self.library.once(callback_address(), self.address(), heard, sounded, frames, **more)


def ramp(frames, channels=1, start=0):
    return np.arange(start, start + frames * channels, dtype="float32").reshape(frames, channels)


def capture(count=4, blocksize=64, **options):
    """Return a device that captures, its pool and its receiver."""
    pool = pong.BufferPool(count, blocksize, on_empty="raise")
    sender, receiver = pool.link()
    return Card(RATE, capture=sender, **{"stall_timeout": FOR_EVER} | options), pool, receiver


def playback(count=4, blocksize=64, dtype="float32", **options):
    """Return a device that plays, its pool and its sender."""
    pool = pong.BufferPool(count, blocksize, dtype=dtype, on_empty="raise")
    sender, receiver = pool.link()
    return Card(RATE, playback=receiver, **{"stall_timeout": FOR_EVER} | options), pool, sender
