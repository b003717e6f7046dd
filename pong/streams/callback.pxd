"""What the callback of a real device does, whichever library calls it.

The device's thread is inside the callback or outside; whoever ends the stream shuts the gate first, and waits until
that thread is outside. From then on a callback, should one still come, touches nothing but the gate: the stream's
buffers can go home though the library can no longer be stopped.
"""
cimport cython
from libc.math cimport NAN, fabs, floor, isnan
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from pong.kernel.arena cimport slot_samples_rt
from pong.kernel.atomic cimport (
    fetch_or_seq_cst_u32, load_relaxed_u32, load_relaxed_u64, load_seq_cst_u32, store_relaxed_u32, store_relaxed_u64,
    store_release_u32, store_seq_cst_u32,
)
from pong.kernel.meter cimport add_rt, count_rt
from pong.kernel.platform cimport pong_now, pong_sleep_until, pong_wait, pong_wake_all
from pong.kernel.transfer cimport link_open_rt
from pong.streams.base cimport (
    CAPTURES, OUTPUT_UNDERFLOW, PLAYS, SLICE, capture_close_rt, capture_end_rt, capture_room_rt, capture_rt,
    capture_skip_rt, capture_state, capture_took_rt, nothing_comes, playback_close_rt, playback_done_rt,
    playback_played_rt, playback_ready_rt, playback_rt, playback_state,
)

# Why a stream has failed
cdef enum:
    STALLED = 1                  # no callback came for too long
    GONE = 2                     # the server or the device says that it is gone
    CHANGED = 3                  # the sample rate is not the stream's any more

cdef enum:
    LOOK_BACK = 8                # callbacks
    WAITING_FOR_OTHERS = 10      # times stall_timeout that a server may wait for its other clients in freewheel
    # How far a stream is shut
    SHUT = 1
    DONE = 2

cdef extern from *:
    """
    #define PONG_MOST_DRIFT 2e-4
    """
    # By how much the rate of a device's clock may differ from the nominal one: more than any quartz's does.
    const double MOST_DRIFT "PONG_MOST_DRIFT"

ctypedef struct native_stream:
    uint32_t inside              # the device's thread is in the callback
    uint32_t shut                # SHUT: nobody may enter any more; DONE: and everything has been given back
    uint32_t over                # the stream has ended; who waits for that sleeps on it
    uint32_t failure             # why, if it was not asked to
    uint32_t parts
    uint32_t asked               # STOP: input ends, output goes on to the end of what was sent
    bint hears                   # input goes on
    bint sounds                  # output goes on
    uint32_t waits               # the device has no clock now: wait for the program
    capture_state capture
    playback_state playback
    uint64_t input_bytes         # of one frame
    uint64_t output_bytes
    uint64_t prefill             # frames of silence to play before the program's
    double samplerate
    double seconds_per_frame
    uint64_t stall_after         # nanoseconds without a callback
    uint64_t callbacks           # any thread may read it
    uint64_t looks               # of a callback that waits for the program: signs of life; any thread may read it
    uint64_t position            # frames of callbacks, lost ones among them; any thread may read it
    uint64_t xruns               # times that the device has told of a loss; any thread may read it
    uint32_t status              # what the next block is to tell
    double expected              # the device's time at the next frame, as far as it is known
    double ahead[LOOK_BACK]      # by how many frames its clock was ahead of that, at each of the last callbacks
    uint32_t number              # frames of the last callback
    uint32_t steady              # callbacks before it that had as many, in a row
    uint64_t most                # frames of the longest callback, as far as is known; any thread may read it
    uint64_t busy                # nanoseconds spent in callbacks; any thread may read it


cdef inline bint is_over(native_stream* s) noexcept nogil:
    """Tell whether the stream has ended."""
    # N5: pairs with N6. All that has ended it is seen.
    return load_seq_cst_u32(&s.over) != 0


cdef inline void end_rt(native_stream* s) noexcept nogil:
    """Say that the stream has ended."""
    if is_over(s):
        return
    # N6: pairs with N5, V6. Before the wake-up, so that nobody goes to sleep again.
    store_seq_cst_u32(&s.over, 1)
    pong_wake_all(&s.over, False)


cdef inline bint enter_rt(native_stream* s, uint32_t number) noexcept nogil:
    """Begin a callback of so many frames; False: the gate is shut, and nothing may be touched."""
    # N1: pairs with N4. Either the gate is seen shut below, or whoever shuts it sees somebody inside.
    store_seq_cst_u32(&s.inside, 1)
    # N2: pairs with N3. See N1.
    if load_seq_cst_u32(&s.shut):
        # N9: pairs with N4. Nothing was touched.
        store_release_u32(&s.inside, 0)
        return False
    count_rt(&s.callbacks)
    if number > s.most:
        # Before a block of this callback is sent: whoever has received it is told a latency.
        store_relaxed_u64(&s.most, number)
    return True


cdef inline void leave_rt(native_stream* s) noexcept nogil:
    """End a callback."""
    if not s.hears and not s.sounds:
        end_rt(s)
    # N10: pairs with N4. What the callback did is seen by who waited for its end.
    store_release_u32(&s.inside, 0)


cdef inline void shut_down(native_stream* s, uint32_t failure, bint links=True) noexcept nogil:
    """End the stream from outside: no callback touches it any more, and every block goes home.

    ``links``: close them. Not if the stream has never begun; then only what it has in hand goes home.
    """
    # N3: pairs with N2. See N1.
    if fetch_or_seq_cst_u32(&s.shut, SHUT):
        # N13: pairs with N14. Somebody else does it, and has done it when this returns.
        while not load_seq_cst_u32(&s.shut) & DONE:
            pong_wait(&s.shut, SHUT, pong_now() + SLICE, False)
        return
    # N4: pairs with N1, N9, N10. No callback is in the middle of anything.
    while load_seq_cst_u32(&s.inside):
        pong_sleep_until(pong_now() + 50000)
    if not is_over(s):
        store_relaxed_u32(&s.failure, failure)
        settle_rt(s)
    if s.parts & CAPTURES:
        if links:
            capture_close_rt(&s.capture)
        else:
            capture_end_rt(&s.capture)
    if s.parts & PLAYS:
        if links:
            playback_close_rt(&s.playback)
        else:
            playback_done_rt(&s.playback)
    end_rt(s)
    # N14: pairs with N13. Before the wake-up, so that nobody goes to sleep again.
    store_seq_cst_u32(&s.shut, SHUT | DONE)
    pong_wake_all(&s.shut, False)


cdef inline uint64_t patience(native_stream* s) noexcept nogil:
    """Return how many nanoseconds without a callback are a stall.

    A callback comes when the device has its frames. In freewheel a server waits for each of its clients, which may
    wait for their programs.
    """
    cdef uint64_t length = <uint64_t>(load_relaxed_u64(&s.most) * s.seconds_per_frame * 1e9)
    return s.stall_after * (WAITING_FOR_OTHERS if load_relaxed_u32(&s.waits) else 1) + length


cdef inline void watch(native_stream* s) noexcept nogil:
    """Wait for the stream's end; where no callback comes for too long, bring it about."""
    cdef uint64_t seen = 0, signs, now = pong_now(), last = now
    while not is_over(s):
        pong_wait(&s.over, 0, min(now + SLICE, last + patience(s)), False)
        now = pong_now()
        signs = load_relaxed_u64(&s.callbacks) + load_relaxed_u64(&s.looks)
        if signs != seen:
            seen = signs
            last = now
        elif now - last >= patience(s):
            shut_down(s, STALLED)


cdef inline void lose_rt(native_stream* s, uint64_t frames) noexcept nogil:
    """Count frames that the device lost before this callback: not heard, and silence in place of what was sent (I6)."""
    if frames == 0:
        return
    if s.hears:
        capture_skip_rt(&s.capture, frames)
    if s.sounds:
        add_rt(&s.playback.underflow, frames)
    add_rt(&s.position, frames)


@cython.cdivision(True)
cdef inline uint64_t loss_rt(native_stream* s, double ahead) noexcept nogil:
    """Return how many frames were lost, by how many the clock is ahead; 0 where that may be nothing.

    Half a callback is the least that is told from a clock that is not exact.
    """
    cdef double whole
    if ahead < 0.49 * s.number:
        return 0
    # Most devices lose whole callbacks.
    whole = floor(ahead / s.number + 0.5) * s.number
    if s.steady >= LOOK_BACK and fabs(whole - ahead) < 0.25 * s.number:
        return <uint64_t>whole
    return <uint64_t>floor(ahead + 0.5)


cdef inline uint64_t jumped_rt(native_stream* s, double time, uint32_t number) noexcept nogil:
    """Return how many frames the device's clock says were lost before this callback.

    PortAudio's times are estimates: a callback that comes late may be given a time that is late too, but none is given
    one that is early. So what counts is the least that the clock was ahead in the last few callbacks, where it is half
    a callback at least; and where it was behind in all of them, it is the expectation that came too late. Meanwhile
    the expectation follows the clock, whose rate is never quite the nominal one.
    """
    cdef double low, high, most
    cdef uint64_t lost
    cdef uint32_t i
    if isnan(s.expected):
        s.expected = time
    s.steady = s.steady + 1 if number == s.number else 0
    s.number = number
    s.ahead[s.callbacks % LOOK_BACK] = (time - s.expected) * s.samplerate
    low = high = s.ahead[0]
    for i in range(1, LOOK_BACK):
        low = min(low, s.ahead[i])
        high = max(high, s.ahead[i])
    if fabs(low) * 1e9 > s.stall_after * s.samplerate:
        # No loss is that long, for the stream would have been taken to have stalled: the clock was set anew, as JACK's
        # under PortAudio when freewheel begins.
        s.expected = time
        memset(s.ahead, 0, sizeof(s.ahead))
        low = high = 0
    elif high < 0:
        expect_rt(s, high)
        low -= high
    most = number * MOST_DRIFT
    s.expected += (number + max(-most, min(most, low))) * s.seconds_per_frame
    lost = loss_rt(s, low)
    if lost:
        expect_rt(s, lost)
    return lost


cdef inline void expect_rt(native_stream* s, double frames) noexcept nogil:
    """Move the expectation on by so many frames."""
    cdef uint32_t i
    s.expected += frames * s.seconds_per_frame
    for i in range(LOOK_BACK):
        s.ahead[i] -= frames


cdef inline void settle_rt(native_stream* s) noexcept nogil:
    """At the end, count what the last callbacks alone tell of: half as many as `jumped_rt` wants to see (I6)."""
    cdef double low
    cdef uint32_t i
    if isnan(s.expected) or s.callbacks < LOOK_BACK:
        return
    low = s.ahead[s.callbacks % LOOK_BACK]
    for i in range(1, LOOK_BACK // 2):
        low = min(low, s.ahead[(s.callbacks - i) % LOOK_BACK])
    lose_rt(s, loss_rt(s, low))
    s.expected = NAN


cdef inline void take_planes_rt(
    float* samples, uint32_t plane, uint32_t first, const float* const* planes, uint32_t at, uint32_t number,
    uint32_t channels,
) noexcept nogil:
    """Put channels that the device delivers one by one into a block, from frame ``first`` on."""
    cdef float* frames = samples + <uint64_t>first * channels
    cdef uint32_t i, c
    if plane or channels == 1:
        for c in range(channels):
            memcpy(samples + <uint64_t>c * plane + first, planes[c] + at, number * sizeof(float))
        return
    for c in range(channels):
        for i in range(number):
            frames[<uint64_t>i * channels + c] = planes[c][at + i]


cdef inline void give_planes_rt(
    float* const* planes, uint32_t at, const float* samples, uint32_t plane, uint32_t first, uint32_t number,
    uint32_t channels,
) noexcept nogil:
    """Put a block, from frame ``first`` on, into channels that the device takes one by one."""
    cdef const float* frames = samples + <uint64_t>first * channels
    cdef uint32_t i, c
    if plane or channels == 1:
        for c in range(channels):
            memcpy(planes[c] + at, samples + <uint64_t>c * plane + first, number * sizeof(float))
        return
    for c in range(channels):
        for i in range(number):
            planes[c][at + i] = frames[<uint64_t>i * channels + c]


cdef inline bint capture_planes_rt(
    native_stream* s, const float* const* planes, uint32_t at, uint32_t number, double time
) noexcept nogil:
    """Take in what one callback delivers channel by channel, from place ``at`` on; as `capture_rt`."""
    cdef capture_state* c = &s.capture
    cdef uint32_t channels = <uint32_t>(s.input_bytes // sizeof(float))
    cdef uint32_t done = at, part
    while done < number:
        part = capture_room_rt(c, number - done, time + (done - at) * s.seconds_per_frame, s.status)
        if part == 0:
            return link_open_rt(c.a, &c.a.links[c.link])
        take_planes_rt(
            <float*>slot_samples_rt(c.a, c.slot), c.a.header.plane, c.filled, planes, done, part, channels
        )
        done += part
        if not capture_took_rt(c, part):
            return False
    return True


cdef inline uint32_t playback_planes_rt(
    native_stream* s, float* const* planes, uint32_t at, uint32_t number
) noexcept nogil:
    """Copy out up to ``number`` frames channel by channel, from place ``at`` on; as `playback_rt`."""
    cdef playback_state* p = &s.playback
    cdef uint32_t channels = <uint32_t>(s.output_bytes // sizeof(float))
    cdef uint32_t done = at, part
    while done < number:
        if not playback_ready_rt(p):
            break
        part = min(number - done, p.a.slots[p.slot].frames - p.done)
        give_planes_rt(
            planes, done, <const float*>slot_samples_rt(p.a, p.slot), p.a.header.plane, p.done, part, channels
        )
        done += part
        playback_played_rt(p, part)
    return done


cdef inline void silence_rt(
    native_stream* s, unsigned char* frames, float* const* planes, uint32_t at, uint32_t number
) noexcept nogil:
    """Write silence to the device from place ``at`` on."""
    cdef uint32_t c
    if planes == NULL:
        memset(frames + at * s.output_bytes, s.playback.silence, (number - at) * s.output_bytes)
        return
    for c in range(s.output_bytes // sizeof(float)):
        memset(planes[c] + at, 0, (number - at) * sizeof(float))


cdef inline uint32_t play_rt(
    native_stream* s, unsigned char* frames, float* const* planes, uint32_t at, uint32_t number
) noexcept nogil:
    """Copy out what has been sent, from place ``at`` on; return the place after the last frame that was there."""
    if planes != NULL:
        return playback_planes_rt(s, planes, at, number)
    return at + playback_rt(&s.playback, frames + at * s.output_bytes, number - at)


cdef inline void hear_rt(
    native_stream* s, const unsigned char* frames, const float* const* planes, uint32_t at, uint32_t number, double time
) noexcept nogil:
    """Let the program have a callback's input from place ``at`` on: frames, or channels one by one (or else NULL).

    ``time`` is that of the first of these frames.
    """
    cdef bint going
    if not s.hears:
        return
    # N8: pairs with N7. Input ends with the first callback after it was asked to.
    if load_seq_cst_u32(&s.asked):
        settle_rt(s)
        going = False
    elif planes != NULL:
        going = capture_planes_rt(s, planes, at, number, time)
    else:
        going = capture_rt(
            &s.capture, frames + at * s.input_bytes, number - at, time, s.seconds_per_frame, s.status
        )
    s.status = 0
    if not going:
        s.hears = False
        capture_close_rt(&s.capture)


cdef inline void sound_rt(
    native_stream* s, unsigned char* frames, float* const* planes, uint32_t at, uint32_t number, double time
) noexcept nogil:
    """Fill a callback's output from place ``at`` on with what has been sent, and with silence where nothing is.

    ``time`` is when the first of these frames will be played, NaN if that is not known.
    """
    cdef uint32_t done = at, part
    cdef bint last
    if s.sounds:
        part = <uint32_t>min(number - at, s.prefill)
        silence_rt(s, frames, planes, at, at + part)
        s.prefill -= part
        s.playback.time = time + part * s.seconds_per_frame
        # The end is looked at before the ring: what was sent before it is not missed.
        last = nothing_comes(&s.playback)
        done = play_rt(s, frames, planes, at + part, number)
        if done < number and last:
            s.sounds = False
            playback_close_rt(&s.playback)
        elif done < number:
            add_rt(&s.playback.underflow, number - done)
            s.status |= OUTPUT_UNDERFLOW
    silence_rt(s, frames, planes, done, number)
