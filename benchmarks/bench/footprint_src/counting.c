/* Stands in front of the C library's allocator (LD_PRELOAD) and counts what is asked of it: how often, and how much.
 * What is given back is not counted. The process reads the counts itself, by `asked`.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t number, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static uint64_t times, bytes;

static size_t ask(size_t size) {
    __atomic_fetch_add(&times, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&bytes, size, __ATOMIC_RELAXED);
    return size;
}

void asked(uint64_t counts[2]) {
    counts[0] = __atomic_load_n(&times, __ATOMIC_RELAXED);
    counts[1] = __atomic_load_n(&bytes, __ATOMIC_RELAXED);
}

void *malloc(size_t size) { return __libc_malloc(ask(size)); }
void *calloc(size_t number, size_t size) { ask(number * size); return __libc_calloc(number, size); }
void *realloc(void *old, size_t size) { return __libc_realloc(old, ask(size)); }
void *memalign(size_t alignment, size_t size) { return __libc_memalign(alignment, ask(size)); }
void *aligned_alloc(size_t alignment, size_t size) { return __libc_memalign(alignment, ask(size)); }

int posix_memalign(void **block, size_t alignment, size_t size) {
    void *got = __libc_memalign(alignment, ask(size));
    if (got == NULL)
        return ENOMEM;
    *block = got;
    return 0;
}
