/* liburcu's wait-free queue, one for each way; inlined, as _LGPL_SOURCE allows.
 *
 * Its stack, which would be the closer relative of a pool, does not compile as C++ when it is inlined.
 */
#define _LGPL_SOURCE
#include <urcu/wfcqueue.h>

#include "blocks.hpp"
#include "driver.hpp"

struct Urcu {
    struct alignas(128) Node : cds_wfcq_node {
        unsigned char *samples;
    };
    using Buffer = Node *;
    struct Way {
        alignas(128) __cds_wfcq_head head;
        alignas(128) cds_wfcq_tail tail;
        Way() { __cds_wfcq_init(&head, &tail); }
        bool put(Buffer buffer) {
            cds_wfcq_node_init(buffer);
            cds_wfcq_enqueue(__cds_wfcq_head_cast(&head), &tail, buffer);
            return true;
        }
        /* One thread takes, so that it needs not the lock that the library asks of several. */
        bool take(Buffer &buffer) {
            cds_wfcq_node *node = __cds_wfcq_dequeue_nonblocking(__cds_wfcq_head_cast(&head), &tail);
            buffer = static_cast<Buffer>(node);
            return node && node != CDS_WFCQ_WOULDBLOCK;
        }
    };
    Blocks blocks;
    std::vector<Node> nodes;
    Way there, home;

    Urcu(uint32_t slots, size_t bytes) : blocks(slots, bytes), nodes(slots) {
        for (uint32_t i = 0; i < slots; i++) {
            nodes[i].samples = blocks[i];
            home.put(&nodes[i]);
        }
    }
    bool acquire(Buffer &buffer) { return home.take(buffer); }
    bool send(Buffer &buffer) { return there.put(buffer); }
    bool recv(Buffer &buffer) { return there.take(buffer); }
    bool release(Buffer &buffer) { return home.put(buffer); }
    unsigned char *samples(const Buffer &buffer) { return buffer->samples; }
};

PONG_BENCH_CONTENDER(Urcu)
