/* A contender that does one thing wrong: what the check is for. FAULT says what; without it all is well. */
#include <atomic>

#include "blocks.hpp"
#include "driver.hpp"

enum { NONE, LOSES, REORDERS, TEARS, TWICE, STOPS };

struct Faulty {
    using Buffer = unsigned char *;
    struct Ring {
        Buffer entry[1024];
        alignas(128) std::atomic<uint64_t> head{0};
        alignas(128) std::atomic<uint64_t> tail{0};
        void put(Buffer buffer) {
            uint64_t at = head.load(std::memory_order_relaxed);
            entry[at & 1023] = buffer;
            head.store(at + 1, std::memory_order_release);
        }
        bool take(Buffer &buffer) {
            uint64_t at = tail.load(std::memory_order_relaxed);
            if (head.load(std::memory_order_acquire) == at)
                return false;
            buffer = entry[at & 1023];
            tail.store(at + 1, std::memory_order_release);
            return true;
        }
    };
    static constexpr uint64_t AT = 777;
    Blocks blocks;
    Ring there, home;
    Buffer kept = nullptr;
    uint64_t sent = 0, received = 0;

    Faulty(uint32_t slots, size_t bytes) : blocks(slots, bytes) {
        for (uint32_t i = 0; i < slots; i++)
            home.put(blocks[i]);
    }
    bool acquire(Buffer &buffer) { return home.take(buffer); }
    bool send(Buffer &buffer) {
        uint64_t number = sent++;
        if (FAULT == LOSES && number == AT)
            return true;
        if (FAULT == STOPS && number >= AT)
            return true;
        if (FAULT == REORDERS && number == AT) {
            kept = buffer;
            return true;
        }
        there.put(buffer);
        if (kept) {
            there.put(kept);
            kept = nullptr;
        }
        return true;
    }
    bool recv(Buffer &buffer) {
        if (!there.take(buffer))
            return false;
        if (FAULT == TEARS && received++ == AT)
            buffer[100] ^= 1;
        return true;
    }
    bool release(Buffer &buffer) {
        if (FAULT == TWICE)
            home.put(blocks[0]);
        home.put(buffer);
        return true;
    }
    unsigned char *samples(const Buffer &buffer) { return buffer; }
};

PONG_BENCH_CONTENDER(Faulty)
