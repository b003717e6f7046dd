"""The work of a native callback against copying its frames: what ownership, metadata and the gate cost.

PortAudio's callback is called by a loop in place of the library, so that nothing else is measured.
"""

import numpy as np
import pytest
from measure import compare

import pong
from pong.streams.native import NativeDevice
from pong.streams.portaudio import callback_address

ROUNDS = 400
SLOTS = 16


class NoLibrary(NativeDevice):
    """A device that nobody calls back for but the benchmark."""

    def begin(self):
        pass


@pytest.fixture(params=[1, 2], ids=["mono", "stereo"])
def card(request):
    """Give an open device, its receiver, and one callback's 1024 frames."""
    with pong.BufferPool(SLOTS, 1024, request.param, on_empty="raise") as pool:
        sender, receiver = pool.link()
        heard = np.random.default_rng(0).random(1024 * request.param, dtype="float32")
        with NoLibrary(48000, capture=sender, stall_timeout=1000) as device:
            yield device, receiver, heard


def check(native, device, receiver, heard):
    """A callback delivers what it was given, whole."""
    native.callbacks(callback_address(), device.address(), heard, receiver, 1)
    assert device.callbacks % SLOTS == 0
    assert device.lost == 0
    assert device.position == 1024 * device.callbacks


def test_callback_against_memcpy(native, card, report):
    """Capturing 1024 float32 frames costs at most twice a plain memcpy of them."""
    device, receiver, heard = card
    check(native, *card)
    arguments = callback_address(), device.address(), heard, receiver, 10
    times = [(native.callbacks(*arguments), native.copies(heard, receiver, 10)) for _ in range(ROUNDS)]
    mine, theirs = zip(*times, strict=True)
    channels = len(heard) // 1024
    report(compare(f"callback / memcpy, {channels} x 1024", mine, theirs, "<= 2", cycles=10 * SLOTS))
    check(native, *card)
