"""What the native thread of a virtual device does: one turn is one callback.

A virtual device is a sound card made of memory. Its input comes from an array, or from blocks that a feeder sends; its
output goes into an array, or in blocks to a writer; both use the same capture and playback functions as the program's
side, and there the device waits: the sound card's own memory neither runs dry nor full, its clock stops meanwhile.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from pong.kernel.atomic cimport load_relaxed_u64, load_seq_cst_u32, store_relaxed_u64, store_seq_cst_u32
from pong.kernel.meter cimport add_rt, count_rt
from pong.kernel.opening cimport link_closed
from pong.kernel.platform cimport pong_now, pong_wait, pong_wake_all
from pong.kernel.wait cimport prepare_wait
from pong.streams.base cimport (
    ABORT, CAPTURES, INPUT_OVERFLOW, OUTPUT_UNDERFLOW, PLAYS, SLICE, STOP, capture_close_rt, capture_ready_rt,
    capture_rt, capture_skip_rt, capture_state, nothing_comes, playback_close_rt, playback_miss_rt, playback_ready_rt,
    playback_rt, playback_state, pool_closed,
)

cdef enum:
    # Parts of a device, beside those of base
    CALLS = 4                    # its input and output are a function's
    FED = 8                      # its input comes from a feeder
    WRITES = 16                  # its output goes to a writer
    # What its clock does
    PACED = 0
    UNPACED = 1                  # waits for the program instead: nothing can be lost
    STEPPED = 2                  # a test says when

cdef extern from *:
    """
    #define PONG_NEVER (UINT64_C(1) << 61) /* nanoseconds: 73 years */
    #define PONG_MOST_LATE (UINT64_C(1) << 61) /* frames */
    """
    const uint64_t NEVER "PONG_NEVER"
    const uint64_t MOST_LATE "PONG_MOST_LATE"

ctypedef struct device:
    uint32_t parts
    uint32_t clock
    capture_state capture
    playback_state playback
    playback_state feed
    capture_state writer
    const unsigned char* source  # input in memory
    uint64_t source_frames
    uint64_t heard               # frames of it that are over
    unsigned char* sink          # output in memory
    uint64_t sink_frames
    uint64_t written             # frames of it that are filled
    const unsigned char* frames  # what this callback hears
    unsigned char* input         # the sound card's own memory, for one callback
    unsigned char* output
    uint64_t input_bytes         # of one frame
    uint64_t output_bytes
    int silence
    const uint32_t* sizes        # frames of each callback, in turn
    uint32_t sizes_number
    uint32_t most                # the greatest of them
    uint64_t turns               # any thread may read it
    uint64_t xruns               # times that frames were lost; any thread may read it
    uint64_t busy                # nanoseconds that callbacks took; any thread may read it
    uint64_t prefill             # frames of silence to play before the program's
    double seconds_per_frame
    double speed
    uint64_t latency             # how late a callback may be before frames are lost, in nanoseconds
    uint64_t began               # when frame 0 was due; any thread may read it
    uint64_t position            # frames since then, lost ones among them; any thread may read it
    uint64_t lost                # frames that no function was called with; any thread may read it
    uint64_t now                 # when this callback began
    uint32_t status
    bint slept                   # it waited for its own memory: the clock has stood still
    bint hears                   # input goes on
    bint sounds                  # the program's output goes on
    bint generates               # a function's output, without an input, goes on
    uint32_t asked               # STOP or ABORT, and the word that the thread sleeps on
    uint32_t over                # the thread has ended; who waits for that sleeps on it
    bint (*call)(void* object, uint32_t frames) noexcept nogil
    void* object


cdef inline uint32_t asked(device* d) noexcept nogil:
    """Return what the device was asked to do."""
    # V1: pairs with V2. Set before the wake-up, so that the thread does not go to sleep again.
    return load_seq_cst_u32(&d.asked)


cdef inline bint is_over(device* d) noexcept nogil:
    """Tell whether the device's thread has ended."""
    # V4: pairs with V3, V5. All that the thread has done is seen.
    return load_seq_cst_u32(&d.over) != 0


cdef inline uint64_t due(device* d, uint64_t position) noexcept nogil:
    """Return when a frame is due, by the monotonic clock."""
    # What is more would not fit into 64 bits.
    return load_relaxed_u64(&d.began) + <uint64_t>min(position * d.seconds_per_frame / d.speed * 1e9, <double>NEVER)


cdef inline void end_input(device* d) noexcept nogil:
    """Send the last, short block and close the link."""
    d.hears = False
    if d.parts & CAPTURES:
        capture_close_rt(&d.capture)


cdef inline void end_output(device* d) noexcept nogil:
    """Play no more, and tell senders."""
    d.sounds = False
    if d.parts & PLAYS:
        playback_close_rt(&d.playback)


cdef inline void obey(device* d) noexcept nogil:
    """While the device waits for its output: end an input that was to stop, which the program may be waiting for."""
    if d.hears and asked(d):
        end_input(d)


cdef inline bint nobody_takes(device* d, capture_state* c, uint32_t patience) noexcept nogil:
    """Tell whether to fill no more blocks."""
    return asked(d) >= patience or link_closed(c.a, c.link) or pool_closed(c.a)


cdef inline bint await_room(device* d, capture_state* c, uint32_t patience) noexcept nogil:
    """Wait until there is a block to fill; False: nobody takes it, or the device was asked to end."""
    cdef uint32_t seen
    while not nobody_takes(d, c, patience):
        if capture_ready_rt(c):
            return True
        seen = prepare_wait(&c.a.control.event)
        if not nobody_takes(d, c, patience) and not capture_ready_rt(c):
            d.slept = True
            pong_wait(&c.a.control.event, seen, pong_now() + SLICE, c.a.header.shared)
        if patience > STOP:
            obey(d)
    return False


cdef inline bint await_sound(device* d, playback_state* p, uint32_t patience) noexcept nogil:
    """Wait until there is a block to play; False: there will be none, or the device was asked to end."""
    cdef uint32_t* event = &p.a.links[p.link].control.event
    cdef uint32_t seen
    cdef bint last
    while asked(d) < patience:
        if playback_ready_rt(p):
            return True
        seen = prepare_wait(event)
        # The end is looked at before the ring: what was sent before it is not missed.
        last = asked(d) >= patience or nothing_comes(p)
        if playback_ready_rt(p):
            return True
        if last:
            return False
        d.slept = True
        pong_wait(event, seen, pong_now() + SLICE, p.a.header.shared)
        if patience > STOP:
            obey(d)
    return False


cdef inline uint32_t hear(device* d, uint32_t number) noexcept nogil:
    """Get the next frames of the input; fewer than ``number`` only at its end."""
    cdef uint32_t done = 0
    if d.parts & FED:
        while done < number and await_sound(d, &d.feed, STOP):
            done += playback_rt(&d.feed, d.input + done * d.input_bytes, number - done)
        d.frames = d.input
        return done
    done = <uint32_t>min(number, d.source_frames - d.heard)
    d.frames = d.source + d.heard * d.input_bytes
    d.heard += done
    if d.parts & CALLS:
        # A function always gets the same memory, as from a sound card.
        memcpy(d.input, d.frames, done * d.input_bytes)
        d.frames = d.input
    return done


cdef inline bint await_turn(device* d, uint32_t number) noexcept nogil:
    """Wait until a callback of ``number`` frames is due; False: asked to stop meanwhile."""
    cdef uint64_t deadline, now = pong_now()
    cdef uint32_t before = asked(d)
    d.now = now
    if d.clock != PACED:
        return True
    if d.slept and now > due(d, d.position + number):
        store_relaxed_u64(&d.began, load_relaxed_u64(&d.began) + now - due(d, d.position + number))
    d.slept = False
    deadline = due(d, d.position + number)
    while now < deadline and asked(d) == before:
        pong_wait(&d.asked, before, deadline, False)
        now = pong_now()
    d.now = now
    return asked(d) == before


cdef inline uint64_t frames_late(device* d, uint32_t number) noexcept nogil:
    """Return how many frames were lost because this callback came too late for the device's memory."""
    cdef uint64_t deadline
    if d.clock != PACED:
        return 0
    deadline = due(d, d.position + number) + d.latency
    if d.now <= deadline:
        return 0
    return <uint64_t>min((d.now - deadline) * 1e-9 * d.speed / d.seconds_per_frame, <double>MOST_LATE)


cdef inline bint deliver(device* d, capture_state* c, const unsigned char* frames, uint32_t number, bint wait,
                         uint32_t patience) noexcept nogil:
    """Capture one callback's frames; False: nobody takes them any more."""
    cdef double time = c.position * d.seconds_per_frame
    cdef uint32_t done = 0, part
    if not wait:
        return capture_rt(c, frames, number, time, d.seconds_per_frame, d.status)
    # A callback may fill several blocks: hand over no more at a time than there is room for.
    while done < number:
        if not await_room(d, c, patience):
            return False
        part = min(number - done, c.a.header.blocksize - c.filled)
        if not capture_rt(
            c, frames + done * c.a.header.frame_bytes, part, time + done * d.seconds_per_frame, d.seconds_per_frame,
            d.status,
        ):
            return False
        done += part
    return True


cdef inline uint32_t sound(device* d, uint32_t number) noexcept nogil:
    """Get the next frames of the output; fewer than ``number`` only at its end."""
    cdef uint32_t done = <uint32_t>min(number, d.prefill)
    cdef bint last
    memset(d.output, d.silence, done * d.output_bytes)
    d.prefill -= done
    if d.clock == UNPACED:
        while done < number and await_sound(d, &d.playback, ABORT):
            done += playback_rt(&d.playback, d.output + done * d.output_bytes, number - done)
        last = True
    else:
        # The end is looked at before the ring, as in await_sound.
        last = nothing_comes(&d.playback)
        done += playback_rt(&d.playback, d.output + done * d.output_bytes, number - done)
    if done == number:
        return done
    if last:
        end_output(d)
        return done
    playback_miss_rt(&d.playback, d.output + done * d.output_bytes, number - done)
    d.status |= OUTPUT_UNDERFLOW
    return number


cdef inline uint32_t room(device* d, uint32_t number) noexcept nogil:
    """Return how many of these frames the output's array has room for."""
    return number if d.sink == NULL else <uint32_t>min(<uint64_t>number, d.sink_frames - d.written)


cdef inline bint emit(device* d, uint32_t number) noexcept nogil:
    """Put one callback's output where it goes; False: there is no more room, for these frames or for the next."""
    cdef uint32_t part
    if d.parts & WRITES:
        return deliver(d, &d.writer, d.output, number, True, ABORT)
    if d.sink == NULL:
        return True
    part = room(d, number)
    memcpy(d.sink + d.written * d.output_bytes, d.output, part * d.output_bytes)
    # Who reads it has waited for the end of the thread.
    store_relaxed_u64(&d.written, d.written + part)
    return part == number and d.written < d.sink_frames


cdef inline void lose(device* d, uint64_t number) noexcept nogil:
    """Lose frames: the device's memory held no more, and it has played silence meanwhile."""
    cdef uint64_t lost = 0, unheard = 0
    cdef uint32_t part, got
    cdef bint going = True
    count_rt(&d.xruns)
    if not d.hears and d.sink == NULL and not d.parts & WRITES:
        # Silence that goes nowhere needs not be played.
        if d.parts & PLAYS:
            add_rt(&d.playback.underflow, number)
        d.status |= OUTPUT_UNDERFLOW
        lost = number
    while going and lost < number and not asked(d):
        part = <uint32_t>min(number - lost, d.most)
        if d.hears:
            # What was not there cannot be lost.
            got = hear(d, part)
            going = d.hears = got == part
            part = got
            unheard += got
            d.status |= INPUT_OVERFLOW
        else:
            part = room(d, part)
        if d.output != NULL and (d.sounds or d.parts & CALLS):
            memset(d.output, d.silence, part * d.output_bytes)
            if d.parts & PLAYS:
                playback_miss_rt(&d.playback, d.output, part)
            d.status |= OUTPUT_UNDERFLOW
            going = emit(d, part) and going
        lost += part
    if d.parts & CAPTURES:
        capture_skip_rt(&d.capture, unheard)
    add_rt(&d.lost, lost)
    add_rt(&d.position, lost)


cdef inline bint turn(device* d) noexcept nogil:
    """Do one callback; False: it was the last."""
    cdef uint32_t number = d.sizes[d.turns % d.sizes_number]
    cdef uint32_t got
    cdef bint hearing = d.hears, heard = False
    cdef uint64_t late
    if hearing:
        # The last callback of the input is as short as what is left.
        got = 0 if asked(d) else hear(d, number)
        heard = got > 0
        d.hears = got == number
        number = got if heard else number
    if not heard and not d.sounds and (asked(d) or not d.generates):
        return False
    if not heard:
        # And that of the output as short as what there is room for.
        number = room(d, number)
        if not number:
            return False
    if not await_turn(d, number):
        # Asked to stop meanwhile: only what has been sent is still played.
        if not d.sounds:
            return False
        heard = d.hears = False
        number = room(d, number)
    if asked(d) >= ABORT:
        return False
    count_rt(&d.turns)
    late = frames_late(d, number)
    if heard and d.parts & CAPTURES:
        if not deliver(d, &d.capture, d.frames, number, d.clock == UNPACED, STOP):
            d.hears = False
        d.status = 0
    if hearing and not d.hears:
        # Before the output: the program may be about to play what was heard last.
        end_input(d)
    if d.parts & CALLS:
        if d.output != NULL:
            memset(d.output, d.silence, number * d.output_bytes)
        if not d.call(d.object, number) or d.output != NULL and not emit(d, number):
            d.hears = d.generates = False
        d.status = 0
    elif d.sounds:
        got = sound(d, number)
        number = number if heard else got
        if not emit(d, got):
            end_output(d)
    add_rt(&d.position, number)
    if d.clock == PACED:
        add_rt(&d.busy, pong_now() - d.now)
    # After the last frame there is nothing to lose.
    if late and (d.hears or d.sounds or d.generates):
        lose(d, late)
    if hearing and not d.hears:
        end_input(d)
    return d.hears or d.sounds or d.generates


cdef inline void finish(device* d) noexcept nogil:
    """Close what the program still waits for, and give every block back."""
    end_input(d)
    end_output(d)
    if d.parts & FED:
        playback_close_rt(&d.feed)
    if d.parts & WRITES:
        capture_close_rt(&d.writer)
    # V3: pairs with V4, V6. Whoever sees it sees all that the thread has done.
    store_seq_cst_u32(&d.over, 1)
    pong_wake_all(&d.over, False)
