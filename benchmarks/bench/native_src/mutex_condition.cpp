/* A mutex around a list of free blocks and a queue of sent ones, and a condition for each side that waits. */
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "blocks.hpp"
#include "driver.hpp"

struct Mutex {
    using Buffer = unsigned char *;
    Blocks blocks;
    std::mutex mutex;
    std::condition_variable sent, returned;
    std::vector<Buffer> free_blocks, queue;
    size_t head = 0, tail = 0;

    Mutex(uint32_t slots, size_t bytes) : blocks(slots, bytes), queue(power_of_two(slots)) {
        for (uint32_t i = slots; i--;)
            free_blocks.push_back(blocks[i]);
    }
    /* Waits, for a moment: the driver sees to it that nobody waits for ever. */
    template <class F>
    static bool wait(std::condition_variable &condition, std::unique_lock<std::mutex> &lock, F there) {
        return there() || condition.wait_for(lock, std::chrono::milliseconds(2), there);
    }
    bool acquire(Buffer &buffer) {
        std::unique_lock<std::mutex> lock(mutex);
        if (!wait(returned, lock, [this] { return !free_blocks.empty(); }))
            return false;
        buffer = free_blocks.back();
        free_blocks.pop_back();
        return true;
    }
    bool send(Buffer &buffer) {
        {
            std::lock_guard<std::mutex> lock(mutex);
            queue[tail++ & (queue.size() - 1)] = buffer;
        }
        sent.notify_one();
        return true;
    }
    bool recv(Buffer &buffer) {
        std::unique_lock<std::mutex> lock(mutex);
        if (!wait(sent, lock, [this] { return head != tail; }))
            return false;
        buffer = queue[head++ & (queue.size() - 1)];
        return true;
    }
    bool release(Buffer &buffer) {
        {
            std::lock_guard<std::mutex> lock(mutex);
            free_blocks.push_back(buffer);
        }
        returned.notify_one();
        return true;
    }
    unsigned char *samples(const Buffer &buffer) { return buffer; }
};

PONG_BENCH_CONTENDER(Mutex)
