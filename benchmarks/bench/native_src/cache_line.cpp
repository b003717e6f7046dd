/* The limit: one cache line that goes there and back, by plain stores and loads, beside one block of memory.
 *
 * Its low bit says whose turn it is. It is no hand-over of several blocks.
 */
#include "blocks.hpp"
#include "driver.hpp"

struct Line {
    struct Buffer {};
    Blocks blocks;
    alignas(128) uint64_t turn = 0;
    alignas(128) uint64_t mine = 0; /* the sender's count */
    alignas(128) uint64_t yours = 0; /* the receiver's */

    Line(uint32_t, size_t bytes) : blocks(1, bytes) {}
    bool acquire(Buffer &) { return __atomic_load_n(&turn, __ATOMIC_ACQUIRE) == mine; }
    bool send(Buffer &) {
        __atomic_store_n(&turn, mine + 1, __ATOMIC_RELEASE);
        mine += 2;
        return true;
    }
    bool recv(Buffer &) { return __atomic_load_n(&turn, __ATOMIC_ACQUIRE) == yours + 1; }
    bool release(Buffer &) {
        yours += 2;
        __atomic_store_n(&turn, yours, __ATOMIC_RELEASE);
        return true;
    }
    unsigned char *samples(const Buffer &) { return blocks[0]; }
};

PONG_BENCH_CONTENDER(Line)
