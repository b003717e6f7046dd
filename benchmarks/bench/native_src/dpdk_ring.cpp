/* DPDK's rte_ring and rte_mempool, by their functions for one producer and one consumer, without huge pages.
 *
 * With PONG_BENCH_ANY 1 any thread may give an object back to the mempool, as with pong.
 * Small pools cannot have the mempool's cache per core, which keeps objects back from the other core.
 */
#include <rte_eal.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include <stdexcept>
#include <string>
#include <thread>

#include "blocks.hpp"
#include "driver.hpp"

/* Once in a process. On a thread of its own, for the environment layer binds its caller to a core. */
static bool begin() {
    static const bool begun = [] {
        int answer = -1;
        std::thread([&answer] {
            char words[][24] = {"pong-bench", "--no-huge", "--no-shconf", "--no-pci", "--no-telemetry",
                                "--log-level=critical", "-m", "128", "--lcores", "0@" PONG_BENCH_CORE};
            char *arguments[sizeof words / sizeof *words];
            int number = 0;
            for (auto &word : words)
                arguments[number++] = word;
            answer = rte_eal_init(number, arguments);
        }).join();
        return answer >= 0;
    }();
    return begun;
}

static const unsigned GIVE_BACK = PONG_BENCH_ANY ? 0 : RTE_MEMPOOL_F_SP_PUT;

struct Dpdk {
    using Buffer = void *;
    rte_ring *ring = nullptr;
    rte_mempool *pool = nullptr;

    Dpdk(uint32_t slots, size_t bytes) {
        static unsigned number = 0;
        std::string name = "pong" + std::to_string(number++);
        if (begin()) {
            ring = rte_ring_create(name.c_str(), power_of_two(slots + 1), SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
            pool = rte_mempool_create(name.c_str(), slots, unsigned(bytes), 0, 0, nullptr, nullptr, nullptr, nullptr,
                                      SOCKET_ID_ANY, GIVE_BACK | RTE_MEMPOOL_F_SC_GET);
        }
        if (!ring || !pool) {
            close();
            throw std::runtime_error("no ring, or no pool");
        }
    }
    Dpdk(const Dpdk &) = delete;
    ~Dpdk() { close(); }
    void close() {
        rte_mempool_free(pool);
        rte_ring_free(ring);
    }

    bool acquire(Buffer &buffer) { return rte_mempool_get(pool, &buffer) == 0; }
    bool send(Buffer &buffer) { return rte_ring_sp_enqueue(ring, buffer) == 0; }
    bool recv(Buffer &buffer) { return rte_ring_sc_dequeue(ring, &buffer) == 0; }
    bool release(Buffer &buffer) { return rte_mempool_put(pool, buffer), true; }
    unsigned char *samples(const Buffer &buffer) { return static_cast<unsigned char *>(buffer); }
};

PONG_BENCH_CONTENDER(Dpdk)
