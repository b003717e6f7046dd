/* ConcurrencyKit's ck_ring, one for each way, by its functions for one producer and one consumer. */
extern "C" {
/* The header is C, and returns `false` for a null pointer somewhere; C++ takes only a plain 0 there. */
#define false 0
#include <ck_ring.h>
#undef false
}

#include "blocks.hpp"
#include "driver.hpp"

struct Ck {
    using Buffer = void *;
    struct alignas(128) Way {
        ck_ring_t ring;
        std::vector<ck_ring_buffer_t> entries;
        /* One entry stays empty. */
        explicit Way(uint32_t slots) : entries(power_of_two(slots + 1)) {
            ck_ring_init(&ring, unsigned(entries.size()));
        }
        bool put(void *buffer) { return ck_ring_enqueue_spsc(&ring, entries.data(), buffer); }
        bool take(Buffer &buffer) { return ck_ring_dequeue_spsc(&ring, entries.data(), &buffer); }
    };
    Blocks blocks;
    Way there, home;

    Ck(uint32_t slots, size_t bytes) : blocks(slots, bytes), there(slots), home(slots) {
        for (uint32_t i = 0; i < slots; i++)
            home.put(blocks[i]);
    }
    bool acquire(Buffer &buffer) { return home.take(buffer); }
    bool send(Buffer &buffer) { return there.put(buffer); }
    bool recv(Buffer &buffer) { return there.take(buffer); }
    bool release(Buffer &buffer) { return home.put(buffer); }
    unsigned char *samples(const Buffer &buffer) { return static_cast<unsigned char *>(buffer); }
};

PONG_BENCH_CONTENDER(Ck)
