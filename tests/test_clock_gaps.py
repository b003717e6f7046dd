"""Losses that only the device's clock tells, as PortAudio's: estimates of times, never early, sometimes late."""

import itertools

import pytest
from card import RATE, capture, ramp
from hypothesis import given, settings
from hypothesis import strategies as st


def times(device, receiver, ats, sizes=(64,)):
    """Call back with given times, in frames; return the gaps of the blocks, by position."""
    gaps = []
    for at, frames in zip(ats, itertools.cycle(sizes), strict=False):
        device.call(ramp(frames), frames=frames, time=1.0 + at / RATE)
        gaps += [(block.position, block.gap) for block in receiver.drain()]
    return [each for each in gaps if each[1]]


def begins(number, sizes=(64,), losses=()):
    """Return when callbacks begin, in frames; ``losses`` holds pairs (number of a callback, frames lost before it)."""
    lost = dict(losses)
    ats, at = [], 0
    for i, frames in zip(range(number), itertools.cycle(sizes), strict=False):
        at += lost.get(i, 0)
        ats.append(at)
        at += frames
    return ats


def test_a_clock_that_goes_on_evenly_tells_no_loss():
    device, _, receiver = capture()
    with device:
        assert times(device, receiver, [64 * i for i in range(200)]) == []


@pytest.mark.parametrize("late", [10, 63, 200])
def test_a_callback_that_comes_late_has_lost_nothing(late):
    """The next one is on time again."""
    device, _, receiver = capture()
    with device:
        ats = [64 * i + (late if i % 9 == 5 else 0) for i in range(200)]
        assert times(device, receiver, ats) == []
        assert device.lost == 0


@pytest.mark.parametrize("lost", [64, 128, 6400])
def test_a_clock_that_jumps_tells_the_loss(lost):
    """It is told once, to the frame, within a few callbacks."""
    device, _, receiver = capture()
    with device:
        gaps = times(device, receiver, [64 * i + (lost if i >= 50 else 0) for i in range(200)])
        assert [gap for _, gap in gaps] == [lost]
        assert 50 * 64 <= gaps[0][0] - lost < 60 * 64
        assert (device.lost, device.position) == (lost, 200 * 64 + lost)
        assert device.lost_by_device == lost


def test_a_clock_of_another_rate_tells_no_loss():
    """No quartz is right: 100 parts in a million are 2 frames in each 20,000."""
    device, _, receiver = capture()
    with device:
        assert times(device, receiver, [64 * i * 1.0001 for i in range(2000)]) == []


@pytest.mark.parametrize("jump", [1e9, -1e9, 2**32, -(2**32)])
def test_a_clock_that_was_set_anew_tells_no_loss(jump):
    """And a loss after that is told as before. JACK's clock under PortAudio is set anew when freewheel begins."""
    device, _, receiver = capture(stall_timeout=60)
    with device:
        ats = [64 * i + (jump if i >= 50 else 0) + (640 if i >= 100 else 0) for i in range(200)]
        assert [gap for _, gap in times(device, receiver, ats)] == [640]


@pytest.mark.parametrize(("sizes", "lost"), [
    ((256, 240), 256), ((256, 240), 240), ((441, 512, 470), 512), ((441, 512, 470), 1423), ((64, 1024), 1024),
    ((64, 1024), 64), ((512,), 700), ((128,), 64), ((1, 2, 3), 4800),
])
def test_callbacks_of_any_size_tell_the_loss(sizes, lost):
    """To the frame, where the clock is exact: what was lost need not be as long as what comes next."""
    device, _, receiver = capture(count=64, blocksize=64)
    ats = begins(400, sizes, [(200, lost)])
    with device:
        gaps = times(device, receiver, ats, sizes)
    assert [gap for _, gap in gaps] == [lost]
    assert (device.lost, device.position) == (lost, sum(itertools.islice(itertools.cycle(sizes), 400)) + lost)


@pytest.mark.parametrize("sizes", [(64,), (256, 240)])
@pytest.mark.parametrize("before", [4, 5, 7])
def test_a_loss_at_the_end_is_counted_at_the_end(sizes, before):
    """Where too few callbacks follow to tell it in a gap, it is in the stream's counters once that has ended (I6)."""
    device, _, receiver = capture(count=64, blocksize=64)
    with device:
        times(device, receiver, begins(100, sizes, [(100 - before, 640)]), sizes)
        told = device.lost
    assert (told, device.lost, device.lost_by_device) == (0, 640, 640)
    assert device.position == sum(itertools.islice(itertools.cycle(sizes), 100)) + 640


def test_callbacks_that_are_late_at_the_end_have_lost_nothing():
    device, _, receiver = capture()
    with device:
        times(device, receiver, [64 * i + (500 if i in (97, 98, 99) else 0) for i in range(100)])
    assert device.lost == 0


def test_a_first_callback_that_is_late_hides_no_loss():
    """What comes after it is early by its measure, which is wrong then."""
    device, _, receiver = capture()
    with device:
        ats = begins(400, losses=[(100, 640), (200, 64), (300, 128)])
        assert [gap for _, gap in times(device, receiver, [ats[0] + 4800, *ats[1:]])] == [640, 64, 128]


def test_a_clock_that_goes_back_hides_no_loss():
    """By a tenth of a second, once, as where a host sets its latency anew."""
    device, _, receiver = capture()
    with device:
        ats = begins(2000, losses=[(100, -4800), *((i, 640) for i in range(200, 2000, 200))])
        assert [gap for _, gap in times(device, receiver, ats)] == [640] * 9


@given(
    st.lists(st.integers(32, 512), min_size=1, max_size=4),
    st.lists(st.integers(1, 20), min_size=0, max_size=8),
    st.lists(st.floats(0, 0.4), min_size=1, max_size=50),
    st.floats(-1.5e-4, 1.5e-4),
)
@settings(max_examples=60, deadline=None)
def test_losses_of_whole_callbacks_are_told_however_late_some_are(sizes, callbacks, late, drift):
    """A clock of another rate, with times that are late by part of a callback, tells every loss but for that part."""
    sizes, longest = tuple(sizes), max(sizes)
    losses = [(50 * (i + 1), longest * number) for i, number in enumerate(callbacks)]
    ats = begins(50 * (len(losses) + 2), sizes, losses)
    device, _, receiver = capture(count=64, blocksize=512)
    with device:
        delays = itertools.cycle(share * min(sizes) for share in late)
        jittered = [at * (1 + drift) + delay for at, delay in zip(ats, delays, strict=False)]
        gaps = times(device, receiver, jittered, sizes)
    assert len(gaps) == len(losses)
    for (_, gap), (_, lost) in zip(gaps, losses, strict=True):
        assert abs(gap - lost) <= 0.5 * longest + 1
    assert device.lost == sum(gap for _, gap in gaps)
