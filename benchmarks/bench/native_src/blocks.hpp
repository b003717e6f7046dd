/* The memory of a rival that has no pool of its own: what an ordinary user would allocate once. */
#ifndef PONG_BENCH_BLOCKS_HPP
#define PONG_BENCH_BLOCKS_HPP

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

class Blocks {
    unsigned char *start;
    size_t stride;

public:
    const uint32_t slots;

    Blocks(uint32_t number, size_t bytes) : stride((bytes + 63) / 64 * 64), slots(number) {
        start = static_cast<unsigned char *>(std::aligned_alloc(64, stride * number));
        if (!start)
            throw std::bad_alloc();
        std::memset(start, 0, stride * number);
    }
    Blocks(const Blocks &) = delete;
    ~Blocks() { std::free(start); }

    unsigned char *operator[](uint32_t slot) const { return start + slot * stride; }
};

/* A power of two of at least `least`. */
static inline uint32_t power_of_two(uint32_t least) {
    uint32_t size = 1;
    while (size < least)
        size *= 2;
    return size;
}

#endif
