/* moodycamel::ReaderWriterQueue, one for each way, with room for all blocks: try_enqueue never allocates. */
#include <readerwriterqueue/readerwriterqueue.h>

#include "blocks.hpp"
#include "driver.hpp"

struct ReaderWriter {
    using Buffer = unsigned char *;
    Blocks blocks;
    moodycamel::ReaderWriterQueue<Buffer> there, home;

    ReaderWriter(uint32_t slots, size_t bytes) : blocks(slots, bytes), there(slots), home(slots) {
        for (uint32_t i = 0; i < slots; i++)
            home.try_enqueue(blocks[i]);
    }
    bool acquire(Buffer &buffer) { return home.try_dequeue(buffer); }
    bool send(Buffer &buffer) { return there.try_enqueue(buffer); }
    bool recv(Buffer &buffer) { return there.try_dequeue(buffer); }
    bool release(Buffer &buffer) { return home.try_enqueue(buffer); }
    unsigned char *samples(const Buffer &buffer) { return buffer; }
};

PONG_BENCH_CONTENDER(ReaderWriter)
