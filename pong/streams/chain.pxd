"""What runs on a block inside a callback: native functions, one after the other, on the samples in place."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from pong._capi cimport pong_block, pong_process
from pong.kernel.arena cimport slot_samples_rt
from pong.kernel.layout cimport pong_arena, pong_slot


ctypedef struct step:
    pong_process function
    void* user

ctypedef struct chain:
    uint32_t number              # of steps; 0 is a chain that does nothing
    uint32_t channels
    step* steps


cdef inline void process_rt(
    const chain* c, const pong_arena* a, uint32_t slot, uint64_t seq, double samplerate
) noexcept nogil:
    """Run every step on a slot's valid frames, in order; the caller owns the slot (I1).

    Each step gets the metadata anew: what a step writes into the struct in spite of its const reaches no other.
    """
    cdef const pong_slot* s = &a.slots[slot]
    cdef pong_block block
    cdef uint32_t i
    for i in range(c.number):
        block.seq = seq
        block.position = s.position
        block.gap = s.gap
        block.time = s.time
        block.samplerate = samplerate
        block.tag = s.tag
        block.frames = s.frames
        block.channels = c.channels
        block.status = s.status
        block.time_source = s.time_source
        block.plane = a.header.plane
        c.steps[i].function(slot_samples_rt(a, slot), s.frames, c.channels, &block, c.steps[i].user)
