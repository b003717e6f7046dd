"""A callback that waits for the program: while a device has no clock, nothing needs to be lost.

JACK in freewheel calls as fast as its clients are ready, in no real time: there they may block, says its documentation.
"""
from libc.stdint cimport uint32_t, uint64_t

from pong.kernel.atomic cimport load_relaxed_u32
from pong.kernel.meter cimport count_rt
from pong.kernel.opening cimport link_closed
from pong.kernel.platform cimport pong_now, pong_wait
from pong.kernel.transfer cimport link_open_rt
from pong.kernel.wait cimport prepare_wait
from pong.streams.base cimport (
    SLICE, capture_ready_rt, capture_state, nothing_comes, playback_ready_rt, playback_state, pool_closed,
)
from pong.streams.callback cimport hear_rt, native_stream, sound_rt

cdef extern from *:
    """
    #define PONG_PATIENCE UINT64_C(1000000000) /* nanoseconds */
    """
    # How long one callback may wait for the program: a server has a limit of its own, of several seconds.
    const uint64_t PATIENCE "PONG_PATIENCE"


cdef inline bint goes_on(native_stream* s) noexcept nogil:
    """Tell whether to go on waiting for the program, and that this is no stall."""
    count_rt(&s.looks)
    return not load_relaxed_u32(&s.shut) and not load_relaxed_u32(&s.asked)


cdef inline void await_room(native_stream* s) noexcept nogil:
    """Wait until there is a block to fill, if the device has no clock that would go on."""
    cdef capture_state* c = &s.capture
    cdef uint64_t now = pong_now(), end = now + PATIENCE
    cdef uint32_t seen
    while not capture_ready_rt(c) and link_open_rt(c.a, &c.a.links[c.link]) and now < end and goes_on(s):
        seen = prepare_wait(&c.a.control.event)
        if not capture_ready_rt(c) and not link_closed(c.a, c.link) and not pool_closed(c.a):
            pong_wait(&c.a.control.event, seen, now + SLICE, c.a.header.shared)
        now = pong_now()


cdef inline void await_sound(native_stream* s) noexcept nogil:
    """Wait until there is a block to play, if the device has no clock that would go on."""
    cdef playback_state* p = &s.playback
    cdef uint32_t* event = &p.a.links[p.link].control.event
    cdef uint64_t now = pong_now(), end = now + PATIENCE
    cdef uint32_t seen
    while not playback_ready_rt(p) and not nothing_comes(p) and now < end and goes_on(s):
        seen = prepare_wait(event)
        if not playback_ready_rt(p) and not nothing_comes(p):
            pong_wait(event, seen, now + SLICE, p.a.header.shared)
        now = pong_now()


cdef inline void wait_and_hear(
    native_stream* s, const float* const* planes, uint32_t number, double time
) noexcept nogil:
    """As `hear_rt`, but wait for room before each part that fits into a block."""
    cdef capture_state* c = &s.capture
    cdef uint32_t done = 0, part
    while done < number and s.hears:
        await_room(s)
        part = number - done
        if capture_ready_rt(c):
            part = min(part, c.a.header.blocksize - c.filled)
        hear_rt(s, NULL, planes, done, done + part, time + done * s.seconds_per_frame)
        done += part


cdef inline void wait_and_sound(
    native_stream* s, float* const* planes, uint32_t number, double time
) noexcept nogil:
    """As `sound_rt`, but wait for each block to play."""
    cdef playback_state* p = &s.playback
    cdef uint32_t done = 0, part
    while done < number:
        part = number - done
        if s.prefill:
            part = <uint32_t>min(part, s.prefill)
        elif s.sounds:
            # What runs on a block runs as soon as it is there.
            p.time = time + done * s.seconds_per_frame
            await_sound(s)
            if playback_ready_rt(p):
                part = min(part, p.a.slots[p.slot].frames - p.done)
        sound_rt(s, NULL, planes, done, done + part, time + done * s.seconds_per_frame)
        done += part
