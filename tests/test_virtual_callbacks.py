"""The virtual device with a function of Python in place of links: what it is called with, how it ends."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import pong
from pong.streams.virtual import VirtualDevice

RATE = 48000
INPUT_OVERFLOW = 2


def ramp(frames, channels=1, dtype="int32"):
    """Return samples that are all different, so that any mistake of place shows."""
    return np.arange(1, frames * channels + 1, dtype=dtype).reshape(frames, channels)


def call_with(array, callback, **options):
    """Play an array through a Python callback; return the device, ended."""
    device = VirtualDevice(RATE, source=array, callback=callback, **options)
    device.start()
    assert device.wait(60)
    return device


def test_a_callback_gets_and_gives_everything():
    array, sink = ramp(1003, 2), np.zeros((1003, 2), "int32")

    def callback(indata, outdata, frames, time, status):
        assert len(indata) == len(outdata) == frames
        outdata[:] = -indata
        addresses.add(indata.ctypes.data)
        seen.append((frames, round(time[0] * RATE), status))

    seen, addresses = [], set()
    device = call_with(array, callback, sink=sink, callback_size=100)
    device.close()
    assert device.error is None
    np.testing.assert_array_equal(sink, -array)
    assert seen == [(100, at, 0) for at in range(0, 1000, 100)] + [(3, 1000, 0)]
    # As from a sound card: who keeps indata without a copy finds other sound in it.
    assert len(addresses) == 1


def test_a_callback_without_input_goes_on_until_it_is_stopped():
    def callback(indata, outdata, frames, time, status):
        assert indata is None
        outdata[:] = len(calls)
        calls.append(frames)
        if len(calls) == 5:
            device.stop()

    calls = []
    sink = np.full(100, -1, "int16")
    device = VirtualDevice(RATE, callback=callback, sink=sink, callback_size=10)
    device.start()
    assert device.wait(60)
    assert sink.tolist() == sorted(list(range(5)) * 10) + [-1] * 50


@pytest.mark.parametrize("room", [0, 10, 20, 25])
def test_a_callback_is_not_called_for_what_there_is_no_room_for(room):
    def callback(_indata, outdata, frames, *_):
        outdata[:] = 1
        calls.append(frames)

    calls = []
    sink = np.zeros(room, "int16")
    with VirtualDevice(RATE, callback=callback, sink=sink, callback_size=10) as device:
        assert device.wait(60)
        assert (device.position, device.error) == (room, None)
    assert calls == [10] * (room // 10) + [room % 10] * (room % 10 > 0)
    assert sink.all()


def test_a_callback_that_raises_ends_the_device():
    def callback(*_):
        calls.append(1)
        raise KeyError("mine")

    calls = []
    device = call_with(ramp(1000), callback)
    assert calls == [1]
    assert isinstance(device.error, KeyError)


def test_a_late_callback_loses_frames_and_is_told():
    """The customary way under load: the callback comes late, the device has lost frames, the status says so."""

    def callback(indata, outdata, frames, time, status):
        heard.append((int(indata[0, 0]), frames, status))
        if len(heard) == 1:
            # Until the device is later than its memory holds.
            while device.time < 0.5:
                pass

    heard = []
    device = VirtualDevice(1000, source=ramp(1000), callback=callback, callback_size=10, speed=1, latency=0.1)
    device.start()
    assert device.wait(60)
    frames = sum(frames for _, frames, _ in heard)
    assert frames + device.lost == 1000
    assert device.lost >= 300
    # The callback that is late gets its frames; the one after the gap is told.
    assert heard[1] == (11, 10, 0)
    assert heard[2][0] > 300
    assert heard[2][2] == INPUT_OVERFLOW


def test_python_outranks_nobody():
    """At real-time pace too, where a thread that calls no Python asks for more."""

    def callback(*_):
        found.append((os.sched_getscheduler(0), os.sched_getparam(0).sched_priority))
        device.stop()

    found = []
    device = VirtualDevice(RATE, source=ramp(10_000), callback=callback, speed=1)
    with device:
        assert device.wait(60)
    assert found == [(os.sched_getscheduler(0), os.sched_getparam(0).sched_priority)]


def test_a_callback_cannot_close_its_device():
    def callback(*_):
        with pytest.raises(RuntimeError, match="cannot close its own device"):
            device.close()
        device.stop()

    device = VirtualDevice(RATE, source=ramp(10_000), callback=callback)
    device.start()
    assert device.wait(60)
    assert device.error is None


@pytest.mark.parametrize("call", ["wait", "close", "step"])
def test_a_callback_cannot_wait_for_its_own_device(call):
    def callback(*_):
        with pytest.raises(RuntimeError, match="its own device"):
            getattr(device, call)()
        device.stop()

    device = VirtualDevice(RATE, callback=callback, output_format=(1, "int16"))
    with device:
        assert device.wait(60)
        assert device.error is None


@pytest.mark.parametrize("call", ["stop", "wait"])
def test_nor_for_its_own_stream(call):
    stream = pong.OutputStream(RATE, 64, callback=lambda *_: getattr(stream, call)())
    stream.start()
    with pytest.raises(pong.StreamError, match="its own device"):
        stream.wait(60)
    stream.close()


def test_stopping_waits_for_whoever_closes():
    """`wait` and `active` tell of the thread, not of another thread's beginning to close."""
    entered, go = threading.Event(), threading.Event()

    def callback(*_):
        entered.set()
        assert go.wait(60)

    device = VirtualDevice(RATE, callback=callback, output_format=(1, "int16"))
    device.start()
    assert entered.wait(60)
    with ThreadPoolExecutor(1) as threads:
        closing = threads.submit(device.close)
        assert not device.wait(0.05)
        assert device.active
        go.set()
        closing.result(60)
    assert device.wait(0)


def test_dropped_in_its_own_callback():
    """The last reference goes while the device's thread is in the callback: another thread ends the device."""

    def callback(*_):
        running.pop()
        dropped.set()

    dropped = threading.Event()
    device = VirtualDevice(RATE, source=ramp(10_000_000), callback=callback, speed=1)
    running = [device]
    del device
    running[0].start()
    assert dropped.wait(60)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"samplerate": 10**400}, ValueError, "samplerate must be more than 0 and finite"),
        ({"speed": 10**400}, ValueError, "speed must be 0 or more and finite"),
        ({"latency": 10**400}, ValueError, "latency must be 0 or more and finite"),
        ({"samplerate": 5e-324}, ValueError, "samplerate must be great enough"),
        ({"output_format": (1, "O")}, TypeError, "plain memory"),
        ({"output_format": (1, ">f4")}, ValueError, "native byte order"),
        ({"output_format": (0, "f4")}, ValueError, "channels must be from 1"),
        ({"prefill": 5}, ValueError, "prefill needs playback"),
    ],
)
def test_bad_input_of_a_callbacks_device(changes, error, text):
    arguments = {"samplerate": RATE, "callback": print, "output_format": (1, "int16"), **changes}
    with pytest.raises(error, match=text):
        VirtualDevice(arguments.pop("samplerate"), **arguments)
