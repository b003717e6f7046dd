/* Counts, for each thread, the calls of the C library's allocator and of its locks. Loaded with LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t number, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);

static __thread uint64_t allocations __attribute__((tls_model("initial-exec")));
static __thread uint64_t locks __attribute__((tls_model("initial-exec")));

void *malloc(size_t size) { allocations++; return __libc_malloc(size); }
void *calloc(size_t number, size_t size) { allocations++; return __libc_calloc(number, size); }
void *realloc(void *block, size_t size) { allocations++; return __libc_realloc(block, size); }
void *memalign(size_t alignment, size_t size) { allocations++; return __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { allocations++; return __libc_memalign(alignment, size); }
void free(void *block) { allocations += block != NULL; __libc_free(block); }

int posix_memalign(void **block, size_t alignment, size_t size) {
    void *found = memalign(alignment, size);
    if (found == NULL)
        return ENOMEM;
    *block = found;
    return 0;
}

#define COUNTED_LOCK(NAME, T)                                                                                          \
    int NAME(T *lock) {                                                                                                \
        static int (*next)(T *);                                                                                       \
        if (next == NULL)                                                                                              \
            next = (int (*)(T *))dlsym(RTLD_NEXT, #NAME);                                                              \
        locks++;                                                                                                       \
        return next(lock);                                                                                             \
    }
COUNTED_LOCK(pthread_mutex_lock, pthread_mutex_t)
COUNTED_LOCK(pthread_mutex_trylock, pthread_mutex_t)
COUNTED_LOCK(pthread_rwlock_rdlock, pthread_rwlock_t)
COUNTED_LOCK(pthread_rwlock_wrlock, pthread_rwlock_t)
COUNTED_LOCK(pthread_spin_lock, volatile int)

/* The calling thread's: allocations, then locks. */
void counted_calls(uint64_t *calls) {
    calls[0] = allocations;
    calls[1] = locks;
}
