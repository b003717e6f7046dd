"""What every device's callback shares: capture into the blocks of a pool, playback out of them.

The device's thread alone calls these. Capturing, it is the pool's acquiring side and the link's sender; playing, it is
the link's receiver.
"""
cimport cython
from libc.math cimport isnan
from libc.stdint cimport int32_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from pong.kernel.arena cimport slot_samples_rt
from pong.kernel.atomic cimport load_relaxed_u64, load_seq_cst_u32
from pong.kernel.layout cimport PONG_RECEIVER_CLOSED, PONG_SENDER_CLOSED, pong_arena, pong_slot
from pong.kernel.meter cimport add_rt, count_rt
from pong.kernel.opening cimport link_close, link_closed
from pong.kernel.transfer cimport SENT, acquire_rt, link_open_rt, recv_rt, release_rt, send_rt
from pong.streams.chain cimport chain, process_rt

cdef enum:
    # What a device does
    CAPTURES = 1                 # its input goes to the program, block by block
    PLAYS = 2                    # its output comes from the program, block by block
    # What it was asked to do, each stronger than the one before
    STOP = 1                     # input ends, output goes on to the end of what was sent
    ABORT = 2                    # both end
    # Bits of a block's status, as PortAudio's PaStreamCallbackFlags
    INPUT_OVERFLOW = 2
    OUTPUT_UNDERFLOW = 4

# How often a sleeper looks at what wakes nobody, in nanoseconds.
cdef enum:
    SLICE = 50000000

ctypedef struct capture_state:
    pong_arena* a
    uint32_t link
    int32_t slot                 # the block being filled; -1: none
    uint64_t word                # its owner word
    uint32_t filled              # frames in it
    uint64_t position            # frames since the stream began, lost ones among them; any thread may read it
    uint64_t lost                # frames lost since the last block that was sent: the gap of the next one
    uint64_t lost_ever           # any thread may read it
    uint64_t skipped             # those of them that the device itself lost; any thread may read it
    uint16_t time_source
    double samplerate
    const chain* steps           # what runs on each block before it is sent; NULL: nothing

ctypedef struct playback_state:
    pong_arena* a
    uint32_t link
    int32_t slot                 # the block being played; -1: none
    uint64_t word                # its owner word
    uint32_t done                # frames of it that have been played
    uint64_t underflow           # frames of silence played because nothing was there; any thread may read it
    int silence                  # the byte that silence is made of
    double time                  # when the device will play the next frame; NaN where it does not tell
    uint16_t time_source         # of that
    double samplerate
    const chain* steps           # what runs on each block before it is played; NULL: nothing


cdef inline bint pool_closed(pong_arena* a) noexcept nogil:
    # C11: pairs with C4. Set before the wake-up: who sleeps on it looks again.
    return load_seq_cst_u32(&a.control.closed) != 0


cdef inline bint nothing_comes(playback_state* p) noexcept nogil:
    """Tell whether there will be no more to play than was sent before; to be asked before looking for that."""
    return link_closed(p.a, p.link) or pool_closed(p.a)


cdef inline bint capture_ready_rt(capture_state* c) noexcept nogil:
    """Make sure that a block is there to fill; False: the pool is empty."""
    if c.slot < 0:
        # Overflow slots are not for a real-time thread: their pages may be missing.
        c.slot = acquire_rt(c.a, c.a.header.count, &c.word)
        c.filled = 0
    return c.slot >= 0


cdef inline void capture_lose_rt(capture_state* c, uint64_t frames) noexcept nogil:
    """Count frames as lost, once (I6)."""
    c.lost += frames
    add_rt(&c.lost_ever, frames)


cdef inline bint capture_send_rt(capture_state* c) noexcept nogil:
    """Send the block as far as it is filled; False: the link is closed, and its frames are lost."""
    c.a.slots[c.slot].frames = c.filled
    if c.steps != NULL:
        process_rt(c.steps, c.a, c.slot, load_relaxed_u64(&c.a.links[c.link].sender.sent), c.samplerate)
    if send_rt(c.a, c.link, c.slot, &c.word) == SENT:
        c.lost = 0
        c.slot = -1
        return True
    # The gap that this block would have reported is still to be told, and its own frames with it (I6).
    capture_lose_rt(c, c.filled)
    count_rt(&c.a.links[c.link].sender.dropped)
    release_rt(c.a, c.slot, c.word)
    c.slot = -1
    return False


cdef inline uint32_t capture_room_rt(
    capture_state* c, uint32_t number, double time, uint32_t status
) noexcept nogil:
    """Return for how many of ``number`` frames there is room in the block being filled, a new one if need be.

    With no free slot there is none: the frames are dropped, counted and told in the gap of the next block (I6).
    """
    cdef pong_slot* s
    if not capture_ready_rt(c):
        capture_lose_rt(c, number)
        add_rt(&c.position, number)
        return 0
    s = &c.a.slots[c.slot]
    if c.filled == 0:
        s.position = c.position
        s.gap = c.lost
        s.time = time
        s.time_source = c.time_source
    s.status |= status
    return min(number, c.a.header.blocksize - c.filled)


cdef inline bint capture_took_rt(capture_state* c, uint32_t number) noexcept nogil:
    """Count frames that were put into the block, and send it when it is full; False: the link is closed."""
    c.filled += number
    add_rt(&c.position, number)
    return c.filled < c.a.header.blocksize or capture_send_rt(c)


cdef inline bint capture_rt(
    capture_state* c, const unsigned char* frames, uint32_t number, double time, double seconds_per_frame,
    uint32_t status,
) noexcept nogil:
    """Take in what one callback delivers: any number of frames, into as many blocks as they fill.

    ``time`` is that of the first frame. False: the link is closed.
    """
    cdef uint64_t frame_bytes = c.a.header.frame_bytes
    cdef uint32_t done = 0, part
    while done < number:
        part = capture_room_rt(c, number - done, time + done * seconds_per_frame, status)
        if part == 0:
            return link_open_rt(c.a, &c.a.links[c.link])
        memcpy(slot_samples_rt(c.a, c.slot) + c.filled * frame_bytes, frames + done * frame_bytes, part * frame_bytes)
        done += part
        if not capture_took_rt(c, part):
            return False
    return True


cdef inline bint capture_end_rt(capture_state* c) noexcept nogil:
    """Send the last, short block, with its true number of frames, or give an empty one back."""
    if c.slot >= 0 and c.filled:
        return capture_send_rt(c)
    if c.slot >= 0:
        release_rt(c.a, c.slot, c.word)
        c.slot = -1
    return True


cdef inline void capture_close_rt(capture_state* c) noexcept nogil:
    """Send the last block and close the link: the receiver gets what there is, then the end."""
    capture_end_rt(c)
    link_close(c.a, c.link, PONG_SENDER_CLOSED)


cdef inline void capture_skip_rt(capture_state* c, uint64_t frames) noexcept nogil:
    """Tell of frames that the device itself has lost: the block being filled ends before them (I6)."""
    if c.slot >= 0 and c.filled:
        capture_send_rt(c)
    capture_lose_rt(c, frames)
    add_rt(&c.skipped, frames)
    add_rt(&c.position, frames)


cdef inline void playback_done_rt(playback_state* p) noexcept nogil:
    """Give the block in hand, if there is one, back to its pool."""
    if p.slot >= 0:
        release_rt(p.a, p.slot, p.word)
        p.slot = -1


cdef inline void playback_tell_rt(playback_state* p) noexcept nogil:
    """Run the chain on the block in hand; one without a time is given that at which the device will play it."""
    cdef pong_slot* s = &p.a.slots[p.slot]
    # I1: the device owns the block.
    if s.time_source == 0 and not isnan(p.time):
        s.time = p.time
        s.time_source = p.time_source
    process_rt(p.steps, p.a, p.slot, s.seq, p.samplerate)


cdef inline bint playback_ready_rt(playback_state* p) noexcept nogil:
    """Make sure that a block with frames to play is in hand; False: none has been sent."""
    while p.slot < 0:
        p.slot = recv_rt(p.a, p.link, &p.word)
        if p.slot < 0:
            return False
        p.done = 0
        if p.a.slots[p.slot].frames == 0:
            playback_done_rt(p)
        elif p.steps != NULL:
            playback_tell_rt(p)
    return True


@cython.cdivision(True)
cdef inline void playback_played_rt(playback_state* p, uint32_t number) noexcept nogil:
    """Count frames of the block in hand as played, and give it back after its last one."""
    p.done += number
    p.time += number / p.samplerate
    if p.done == p.a.slots[p.slot].frames:
        playback_done_rt(p)


cdef inline uint32_t playback_rt(playback_state* p, unsigned char* frames, uint32_t number) noexcept nogil:
    """Copy out up to ``number`` frames of what has been sent; return how many there were."""
    cdef uint64_t frame_bytes = p.a.header.frame_bytes
    cdef uint32_t done = 0, part
    while done < number and playback_ready_rt(p):
        part = min(number - done, p.a.slots[p.slot].frames - p.done)
        memcpy(frames + done * frame_bytes, slot_samples_rt(p.a, p.slot) + p.done * frame_bytes, part * frame_bytes)
        done += part
        playback_played_rt(p, part)
    return done


cdef inline void playback_miss_rt(playback_state* p, unsigned char* frames, uint64_t number) noexcept nogil:
    """Play silence, and count it, because nothing was there."""
    memset(frames, p.silence, number * p.a.header.frame_bytes)
    add_rt(&p.underflow, number)


cdef inline void playback_end_rt(playback_state* p) noexcept nogil:
    """Give back the block in hand and everything that was sent and is not going to be played."""
    cdef uint64_t word
    cdef int32_t slot
    playback_done_rt(p)
    while True:
        slot = recv_rt(p.a, p.link, &word)
        if slot < 0:
            return
        release_rt(p.a, slot, word)


cdef inline void playback_close_rt(playback_state* p) noexcept nogil:
    """Play no more: senders are told, and what was sent goes home."""
    link_close(p.a, p.link, PONG_RECEIVER_CLOSED)
    playback_end_rt(p)
