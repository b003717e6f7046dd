/* pong as a contender: the four moves of the kernel, which `_pong_ends.pyx` wraps under these names. */
#ifndef PONG_BENCH_PONG_ENDS_HPP
#define PONG_BENCH_PONG_ENDS_HPP

#include "pong/kernel/layout.h"

#include "driver.hpp"

static inline int32_t ends_acquire(pong_arena *a, uint64_t *word);
static inline int ends_send(pong_arena *a, uint32_t link, int32_t slot, uint64_t *word);
static inline int32_t ends_recv(pong_arena *a, uint32_t link, uint64_t *word);
static inline int ends_release(pong_arena *a, int32_t slot, uint64_t word);
static inline unsigned char *ends_samples(pong_arena *a, int32_t slot);

/* The receiver releases to the pool. */
struct Released {
    struct Buffer {
        int32_t slot;
        uint64_t word;
    };
    pong_arena *a;
    uint32_t there;
    uint32_t home; /* no link of this contender's */

    bool acquire(Buffer &buffer) { return (buffer.slot = ends_acquire(a, &buffer.word)) >= 0; }
    bool send(Buffer &buffer) { return ends_send(a, there, buffer.slot, &buffer.word); }
    bool recv(Buffer &buffer) { return (buffer.slot = ends_recv(a, there, &buffer.word)) >= 0; }
    bool release(Buffer &buffer) { return ends_release(a, buffer.slot, buffer.word); }
    unsigned char *samples(const Buffer &buffer) { return ends_samples(a, buffer.slot); }
};

/* The receiver sends back through a second link, and the pool is only the beginning. */
struct SentBack : Released {
    bool acquire(Buffer &buffer) { return (buffer.slot = ends_recv(a, home, &buffer.word)) >= 0; }
    bool release(Buffer &buffer) { return ends_send(a, home, buffer.slot, &buffer.word); }
};

template <class C> static void add_link(Links<C> &links, pong_arena *a, uint32_t there, uint32_t home) {
    links.link.emplace_back(new C{});
    links.link.back()->a = a;
    links.link.back()->there = there;
    links.link.back()->home = home;
}

PONG_BENCH_RUN(released_run, Released)
PONG_BENCH_RUN(sent_back_run, SentBack)

#endif
