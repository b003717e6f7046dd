/* moodycamel::ConcurrentQueue, one for each way, with tokens, as its documentation recommends, and reserved room. */
#include <concurrentqueue/concurrentqueue.h>

#include "blocks.hpp"
#include "driver.hpp"

struct Concurrent {
    using Buffer = unsigned char *;
    using Queue = moodycamel::ConcurrentQueue<Buffer>;
    struct alignas(128) Way {
        Queue queue;
        moodycamel::ProducerToken producer;
        explicit Way(uint32_t slots) : queue(slots, 1, 0), producer(queue) {}
        bool put(Buffer buffer) { return queue.enqueue(producer, buffer); }
        bool take(Buffer &buffer) { return queue.try_dequeue_from_producer(producer, buffer); }
    };
    Blocks blocks;
    Way there, home;

    Concurrent(uint32_t slots, size_t bytes) : blocks(slots, bytes), there(slots), home(slots) {
        for (uint32_t i = 0; i < slots; i++)
            home.put(blocks[i]);
    }
    bool acquire(Buffer &buffer) { return home.take(buffer); }
    bool send(Buffer &buffer) { return there.put(buffer); }
    bool recv(Buffer &buffer) { return there.take(buffer); }
    bool release(Buffer &buffer) { return home.put(buffer); }
    unsigned char *samples(const Buffer &buffer) { return buffer; }
};

PONG_BENCH_CONTENDER(Concurrent)
