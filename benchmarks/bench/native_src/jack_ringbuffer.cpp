/* JACK's ring buffer of bytes, filled and read in place: the ring is the pool, and its read index the way home. */
#include <jack/ringbuffer.h>

#include "blocks.hpp"
#include "driver.hpp"

struct Jack {
    using Buffer = char *;
    jack_ringbuffer_t *ring;
    size_t block, spare;

    /* One byte of the ring stays empty, and its size is a power of two: twice the slots, so that all can be in it. */
    Jack(uint32_t slots, size_t bytes) : ring(jack_ringbuffer_create(2 * slots * bytes)), block(bytes) {
        if (!ring)
            throw std::bad_alloc();
        std::memset(ring->buf, 0, ring->size);
        spare = ring->size - 1 - slots * bytes;
    }
    Jack(const Jack &) = delete;
    ~Jack() { jack_ringbuffer_free(ring); }

    /* The size is a multiple of a block's, so that no block is split at the end. */
    bool acquire(Buffer &buffer) {
        jack_ringbuffer_data_t part[2];
        jack_ringbuffer_get_write_vector(ring, part);
        buffer = part[0].buf;
        return part[0].len + part[1].len >= spare + block;
    }
    bool send(Buffer &) { return jack_ringbuffer_write_advance(ring, block), true; }
    bool recv(Buffer &buffer) {
        jack_ringbuffer_data_t part[2];
        jack_ringbuffer_get_read_vector(ring, part);
        buffer = part[0].buf;
        return part[0].len >= block;
    }
    bool release(Buffer &) { return jack_ringbuffer_read_advance(ring, block), true; }
    unsigned char *samples(const Buffer &buffer) { return reinterpret_cast<unsigned char *>(buffer); }
};

PONG_BENCH_CONTENDER(Jack)
