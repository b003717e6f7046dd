"""Processing functions in Cython, and a way to run a chain on a buffer without a stream."""
from libc.stdint cimport uint32_t, uint64_t

from pong._buffer cimport Buffer
from pong.streams.chain cimport pong_block, process_rt
from pong.streams.process cimport Chain


ctypedef float sample

cdef struct seen_call:
    pong_block block
    uint32_t frames_given
    uint32_t channels_given
    uint64_t calls

cdef struct biquad_state:
    double b0, b1, b2, a1, a2
    double* z                    # two for each channel


# `public` for ctypes and cffi, which open this module as a library; `api` for __pyx_capi__.
cdef public api void pong_test_note(
    void* samples, uint32_t frames, uint32_t channels, const pong_block* block, void* user
) noexcept nogil:
    """Keep what this was called with, and make the first and the last sample 7."""
    cdef seen_call* seen = <seen_call*>user
    seen.block = block[0]
    seen.frames_given = frames
    seen.channels_given = channels
    seen.calls += 1
    (<float*>samples)[0] = (<float*>samples)[frames * channels - 1] = 7


cdef public api void pong_test_gain(
    void* samples, uint32_t frames, uint32_t channels, const pong_block* block, void* user
) noexcept nogil:
    """Multiply by the float behind the user pointer; by 2 without one."""
    cdef float factor = (<float*>user)[0] if user else 2
    cdef uint32_t i
    for i in range(frames * channels):
        (<float*>samples)[i] *= factor


cdef api void add(
    sample* samples, unsigned int frames, uint32_t channels, const pong_block* block, const float* user
) noexcept nogil:
    """Add the float behind the user pointer; 1 without one."""
    cdef uint32_t i
    for i in range(frames * channels):
        samples[i] += user[0] if user else 1


cdef api void spoil(
    float* samples, uint32_t frames, uint32_t channels, pong_block* block, void* user
) noexcept nogil:
    """Write into the metadata, which nobody may."""
    block.seq = block.frames = 99


cdef api void biquad(
    float* samples, uint32_t frames, uint32_t channels, const pong_block* block, biquad_state* user
) noexcept nogil:
    """Filter in place, direct form II transposed; the state goes on from block to block."""
    cdef uint32_t i, j
    cdef double x, y
    cdef double* z
    for j in range(channels):
        z = user.z + 2 * j
        for i in range(frames):
            x = samples[i * channels + j]
            y = user.b0 * x + z[0]
            z[0] = user.b1 * x - user.a1 * y + z[1]
            z[1] = user.b2 * x - user.a2 * y
            samples[i * channels + j] = <float>y


cdef api int returns(float* samples, uint32_t frames, uint32_t channels, const pong_block* block, void* user) nogil:
    return 0


cdef api void takes_python(float* samples, uint32_t frames, uint32_t channels, const pong_block* block, object user):
    pass


cdef api void takes_double(
    double* samples, uint32_t frames, uint32_t channels, const pong_block* block, void* user
) noexcept nogil:
    pass


def run_chain(Chain chain, Buffer buf, uint64_t seq, double samplerate):
    """Run a chain on a buffer's slot, as a callback would."""
    assert not buf.detached
    with nogil:
        process_rt(&chain.c, buf.a, buf.slot, seq, samplerate)


def block_layout():
    """Return the size of C's pong_block, and the place and size of each member."""
    cdef pong_block b
    cdef char* start = <char*>&b
    return sizeof(pong_block), {
        "seq": (<char*>&b.seq - start, sizeof(b.seq)),
        "position": (<char*>&b.position - start, sizeof(b.position)),
        "gap": (<char*>&b.gap - start, sizeof(b.gap)),
        "time": (<char*>&b.time - start, sizeof(b.time)),
        "samplerate": (<char*>&b.samplerate - start, sizeof(b.samplerate)),
        "tag": (<char*>&b.tag - start, sizeof(b.tag)),
        "frames": (<char*>&b.frames - start, sizeof(b.frames)),
        "channels": (<char*>&b.channels - start, sizeof(b.channels)),
        "status": (<char*>&b.status - start, sizeof(b.status)),
        "time_source": (<char*>&b.time_source - start, sizeof(b.time_source)),
        "plane": (<char*>&b.plane - start, sizeof(b.plane)),
    }
