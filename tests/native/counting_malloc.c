/* Counts the calls of the C library's allocator. Loaded with LD_PRELOAD, it stands in front of glibc and passes
 * every call on; `allocation_counts` is what the process itself reads, through ctypes.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t number, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);

enum { MALLOC, CALLOC, REALLOC, ALIGNED, FREE, COUNTERS };

static uint64_t calls[COUNTERS];

static void count(int which) { __atomic_fetch_add(&calls[which], 1, __ATOMIC_RELAXED); }

void *malloc(size_t size) { count(MALLOC); return __libc_malloc(size); }

void *calloc(size_t number, size_t size) { count(CALLOC); return __libc_calloc(number, size); }

void *realloc(void *block, size_t size) { count(REALLOC); return __libc_realloc(block, size); }

void *memalign(size_t alignment, size_t size) { count(ALIGNED); return __libc_memalign(alignment, size); }

void *aligned_alloc(size_t alignment, size_t size) { count(ALIGNED); return __libc_memalign(alignment, size); }

int posix_memalign(void **block, size_t alignment, size_t size) {
    void *found;
    count(ALIGNED);
    found = __libc_memalign(alignment, size);
    if (found == NULL)
        return ENOMEM;
    *block = found;
    return 0;
}

/* To free nothing is no use of the allocator; NumPy does it often. */
void free(void *block) {
    if (block != NULL)
        count(FREE);
    __libc_free(block);
}

/* Fills `into` with the calls so far of malloc, calloc, realloc, the aligned ones together, and free. */
void allocation_counts(uint64_t *into) {
    for (int i = 0; i < COUNTERS; i++)
        into[i] = __atomic_load_n(&calls[i], __ATOMIC_RELAXED);
}
