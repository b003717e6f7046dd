/* PortAudio's ring buffer of blocks, filled and read in place: the ring is the pool, its read index the way home.
 *
 * The code is what the wheel of rtmixer brings; PONG_BENCH_LIBRARY is that file.
 */
#include <dlfcn.h>

#include "blocks.hpp"
#include "driver.hpp"

/* As pa_ringbuffer.h declares it; no package has that header. */
typedef long ring_size;
struct PaUtilRingBuffer {
    ring_size bufferSize;
    volatile ring_size writeIndex, readIndex;
    ring_size bigMask, smallMask, elementSizeBytes;
    char *buffer;
};
typedef ring_size (*initialize_t)(PaUtilRingBuffer *, ring_size, ring_size, void *);
typedef ring_size (*regions_t)(PaUtilRingBuffer *, ring_size, void **, ring_size *, void **, ring_size *);
typedef ring_size (*advance_t)(PaUtilRingBuffer *, ring_size);

struct PortAudio {
    using Buffer = void *;
    Blocks blocks;
    PaUtilRingBuffer ring;
    regions_t to_write, to_read;
    advance_t written, read;

    template <class F> static F find(const char *name) {
        static void *library = dlopen(PONG_BENCH_LIBRARY, RTLD_NOW | RTLD_LOCAL);
        void *found = library ? dlsym(library, name) : nullptr;
        if (!found)
            throw std::bad_alloc();
        return reinterpret_cast<F>(found);
    }

    PortAudio(uint32_t slots, size_t bytes)
        : blocks(slots, bytes), to_write(find<regions_t>("PaUtil_GetRingBufferWriteRegions")),
          to_read(find<regions_t>("PaUtil_GetRingBufferReadRegions")),
          written(find<advance_t>("PaUtil_AdvanceRingBufferWriteIndex")),
          read(find<advance_t>("PaUtil_AdvanceRingBufferReadIndex")) {
        if (find<initialize_t>("PaUtil_InitializeRingBuffer")(&ring, ring_size(bytes), slots, blocks[0]))
            throw std::bad_alloc();
    }
    bool acquire(Buffer &buffer) {
        void *rest;
        ring_size first, second;
        return to_write(&ring, 1, &buffer, &first, &rest, &second) == 1;
    }
    bool send(Buffer &) { return written(&ring, 1), true; }
    bool recv(Buffer &buffer) {
        void *rest;
        ring_size first, second;
        return to_read(&ring, 1, &buffer, &first, &rest, &second) == 1;
    }
    bool release(Buffer &) { return read(&ring, 1), true; }
    unsigned char *samples(const Buffer &buffer) { return static_cast<unsigned char *>(buffer); }
};

PONG_BENCH_CONTENDER(PortAudio)
