/* boost::lockfree::spsc_queue, one for each way, of a capacity that the compiler knows. */
#include <boost/lockfree/spsc_queue.hpp>

#include "blocks.hpp"
#include "driver.hpp"

struct Boost {
    using Buffer = unsigned char *;
    using Queue = boost::lockfree::spsc_queue<Buffer, boost::lockfree::capacity<1024>>;
    Blocks blocks;
    Queue there, home;

    Boost(uint32_t slots, size_t bytes) : blocks(slots, bytes) {
        for (uint32_t i = 0; i < slots; i++)
            home.push(blocks[i]);
    }
    bool acquire(Buffer &buffer) { return home.pop(buffer); }
    bool send(Buffer &buffer) { return there.push(buffer); }
    bool recv(Buffer &buffer) { return there.pop(buffer); }
    bool release(Buffer &buffer) { return home.push(buffer); }
    unsigned char *samples(const Buffer &buffer) { return buffer; }
};

PONG_BENCH_CONTENDER(Boost)
