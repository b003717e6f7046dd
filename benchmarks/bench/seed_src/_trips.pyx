# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The two native sides of the seed's design: one has the pool, fills and sends, the other checks and sends back.

Built when the benchmark runs, against the declarations of the installed package. What a side does is what pool.mjs and
main.mjs do. All functions run without the GIL from their first block to their last, and give up by themselves. Arrays
come as addresses: with typed memory views compiling takes twice as long.
"""
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from pong._link cimport Receiver, Sender
from pong._pool cimport BufferPool
from pong.kernel.arena cimport slot_samples_rt
from pong.kernel.layout cimport pong_arena, pong_slot
from pong.kernel.platform cimport ETIMEDOUT, pong_now, pong_sleep_until, pong_wait
from pong.kernel.transfer cimport SENT, acquire_rt, recv_rt, release_rt, send_rt
from pong.kernel.wait cimport prepare_wait

cdef extern from *:
    """
    #if defined(__linux__)
    #include <sched.h>
    /* Keep the calling thread on one core, and tell where it was allowed before. */
    static void seed_pin(int core, cpu_set_t *before) {
        cpu_set_t set;
        sched_getaffinity(0, sizeof *before, before);
        CPU_ZERO(&set);
        CPU_SET(core, &set);
        sched_setaffinity(0, sizeof set, &set);
    }
    static void seed_unpin(const cpu_set_t *before) { sched_setaffinity(0, sizeof *before, before); }
    #else
    typedef int cpu_set_t;
    static void seed_pin(int core, cpu_set_t *before) { (void)core; *before = 0; }
    static void seed_unpin(const cpu_set_t *before) { (void)before; }
    #endif
    """
    ctypedef struct cpu_set_t:
        pass
    void seed_pin(int core, cpu_set_t* before) nogil
    void seed_unpin(const cpu_set_t* before) nogil

# How long a side waits for the other one: only a defect reaches it.
cdef uint64_t PATIENCE = 10_000_000_000
cdef enum:
    SIZE = 1024     # samples of a block
    TURN = 65536    # blocks until the ramp begins anew
    CALLBACK = 128  # frames of an audio callback


cdef const float* due(const float* ramp, uint64_t seq) noexcept nogil:
    """Return what the block of this number must hold."""
    return ramp + seq % TURN


cdef int32_t await_slot(pong_arena* a, uint32_t link, uint64_t* word, bint polling) noexcept nogil:
    """Return the next slot of a link; -1 when none comes."""
    cdef uint32_t* event = &a.links[link].control.event
    cdef uint64_t until = 0
    cdef uint32_t seen, looks = 0
    cdef int32_t slot
    while True:
        slot = recv_rt(a, link, word)
        if slot >= 0:
            return slot
        looks += 1
        if not until and (not polling or looks & 0xffff == 0):
            until = pong_now() + PATIENCE
        if polling:
            if looks & 0xffff == 0 and pong_now() > until:
                return -1
            continue
        seen = prepare_wait(event)
        slot = recv_rt(a, link, word)
        if slot >= 0:
            return slot
        if pong_wait(event, seen, until, a.header.shared) == ETIMEDOUT:
            return -1


cdef bint transfer(pong_arena* a, uint32_t link, uint32_t slot, uint64_t word) noexcept nogil:
    """Send a slot; False if the word does not own it, as after a transfer, or if the link is closed."""
    return send_rt(a, link, slot, &word) == SENT


def serve(
    BufferPool pool, Sender there, Receiver home, size_t ramp, uint64_t flight, uint64_t trips,
    bint whole, bint polling, int core,
):
    """Fill and send blocks, so many in flight, until ``trips`` are made; return how many were still attached."""
    cdef pong_arena* a = pool.a
    cdef uint32_t out = there.link.index, back_link = home.link.index
    cdef uint64_t sent = 0, back = 0, attached = 0, word
    cdef int32_t slot
    cdef bint well = True
    cdef cpu_set_t before
    with nogil:
        if core >= 0:
            seed_pin(core, &before)
        while well and back < trips:
            if sent == trips or sent - back == flight:
                slot = await_slot(a, back_link, &word, polling)
                well = slot >= 0 and release_rt(a, slot, word)
                back += 1
            else:
                slot = acquire_rt(a, a.header.count, &word)
                if slot < 0:
                    well = False
                    break
                memcpy(slot_samples_rt(a, slot), due(<const float*>ramp, sent), SIZE * sizeof(float))
                well = transfer(a, out, slot, word)
                attached += whole and transfer(a, out, slot, word)
                sent += 1
        if core >= 0:
            seed_unpin(&before)
    assert well, f"the native pool's side came to {sent} blocks sent and {back} back of {trips}"
    return attached


def receive(
    Receiver there, Sender home, size_t ramp, uint64_t trips, bint whole, bint polling, int core,
    size_t came, size_t went,
):
    """Check and return ``trips`` blocks; return (arrived, wrong, attached, nanoseconds from first to last).

    ``came`` and ``went``, if not 0, are where the times of each block's arrival and of its return go.
    """
    cdef pong_arena* a = there.link.a
    cdef uint32_t link = there.link.index, out = home.link.index
    cdef uint64_t arrived = 0, wrong = 0, attached = 0, begin = 0, word
    cdef const float* block
    cdef const float* expected
    cdef int32_t slot
    cdef cpu_set_t before
    with nogil:
        if core >= 0:
            seed_pin(core, &before)
        while arrived < trips:
            slot = await_slot(a, link, &word, polling)
            if slot < 0:
                break
            if came:
                (<uint64_t*>came)[arrived] = pong_now()
            if arrived == 0:
                begin = pong_now()
            block = <const float*>slot_samples_rt(a, slot)
            expected = due(<const float*>ramp, arrived)
            if whole:
                wrong += memcmp(block, expected, SIZE * sizeof(float)) != 0
            else:
                wrong += block[0] != expected[0] or block[SIZE - 1] != expected[SIZE - 1]
            if went:
                (<uint64_t*>went)[arrived] = pong_now()
            if not transfer(a, out, slot, word):
                break
            attached += whole and transfer(a, out, slot, word)
            arrived += 1
        begin = pong_now() - begin
        if core >= 0:
            seed_unpin(&before)
    return arrived, wrong, attached, begin


def call_back(BufferPool pool, Sender there, size_t ramp, uint64_t blocks, double samplerate, size_t trips):
    """Send blocks that callbacks of 128 frames fill at the pace of ``samplerate``, or as fast as they can if it is 0.

    Returns
    -------
    (known, fallbacks) : int, int
        How many times from a send to the release, in nanoseconds, are in ``trips`` now, one of each block whose slot
        was used again; and how many blocks found the pool empty and were taken beside it.
    """
    cdef pong_arena* a = pool.a
    cdef uint32_t out = there.link.index
    cdef uint64_t seq = 0, filled = 0, callbacks = 0, fallbacks = 0, known = 0, word = 0, begin, until = 0
    cdef double period = CALLBACK * 1e9 / samplerate if samplerate else 0
    cdef int32_t slot = -1
    cdef float* samples
    cdef pong_slot* s
    with nogil:
        begin = pong_now()
        while seq < blocks:
            if period:
                callbacks += 1
                pong_sleep_until(begin + <uint64_t>(callbacks * period))
            if slot < 0:
                slot = acquire_rt(a, a.header.count, &word)
                if slot < 0:
                    # An overflow slot; without a pace they can run out too, and the callback comes again.
                    slot = acquire_rt(a, a.header.slots, &word)
                    fallbacks += slot >= 0
                if slot < 0:
                    until = until or pong_now() + PATIENCE
                    if pong_now() > until:
                        break
                    continue
                until = 0
                s = &a.slots[slot]
                # The slot's last trip: the header keeps it until the next send.
                if s.sent_at >= begin and s.released_at > s.sent_at:
                    (<uint64_t*>trips)[known] = s.released_at - s.sent_at
                    known += 1
            samples = <float*>slot_samples_rt(a, slot)
            memcpy(samples + filled, due(<const float*>ramp, seq) + filled, CALLBACK * sizeof(float))
            filled += CALLBACK
            if filled == SIZE:
                if send_rt(a, out, slot, &word) != SENT:
                    break
                slot = -1
                filled = 0
                seq += 1
    assert seq == blocks, f"the native callback came to {seq} of {blocks} blocks"
    return known, fallbacks
