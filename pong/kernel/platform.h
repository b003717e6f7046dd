/* Everything that differs between operating systems, in one place.
 *
 * Times are nanoseconds of the system's monotonic clock. Functions that can fail return 0 or an errno
 * value; what to do about it is decided in Cython. Linux is tested; macOS and Windows are written from
 * their documentation (ulock and WaitOnAddress wait on a value as Linux's futex does).
 */
#ifndef PONG_PLATFORM_H
#define PONG_PLATFORM_H

#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#if defined(_WIN32)

#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#pragma comment(lib, "synchronization.lib")
typedef HANDLE pong_thread;
typedef struct { void (*run)(void *); void *argument; } pong_thread_start_t;

static inline uint64_t pong_now(void) {
    LARGE_INTEGER count, rate;
    QueryPerformanceCounter(&count);
    QueryPerformanceFrequency(&rate);
    return (uint64_t)(count.QuadPart / rate.QuadPart) * 1000000000u
         + (uint64_t)(count.QuadPart % rate.QuadPart) * 1000000000u / (uint64_t)rate.QuadPart;
}
static inline int pong_wait(uint32_t *word, uint32_t seen, uint64_t deadline, int shared) {
    uint64_t now = pong_now();
    (void)shared;
    DWORD ms = deadline <= now ? 0 : (DWORD)((deadline - now + 999999) / 1000000);
    return WaitOnAddress(word, &seen, sizeof seen, ms) ? 0 : ETIMEDOUT;
}
static inline void pong_wake_all(uint32_t *word, int shared) { (void)shared; WakeByAddressAll(word); }
static inline void pong_sleep_until(uint64_t deadline) {
    uint64_t now = pong_now();
    Sleep(deadline <= now ? 0 : (DWORD)((deadline - now) / 1000000));
}
static inline size_t pong_page_size(void) { SYSTEM_INFO i; GetSystemInfo(&i); return i.dwPageSize; }
static inline void *pong_map(size_t size) { return VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE); }
static inline void pong_unmap(void *base, size_t size) { (void)size; VirtualFree(base, 0, MEM_RELEASE); }
static inline int pong_lock(void *base, size_t size) { return VirtualLock(base, size) ? 0 : EPERM; }
static inline int pong_give_back(void *base, size_t size) { return VirtualAlloc(base, size, MEM_RESET, PAGE_READWRITE) ? 0 : EINVAL; }
/* A file descriptor that select() takes and native code can signal does not exist here. */
static inline int pong_event_open(int *read_fd, int *write_fd) { *read_fd = *write_fd = -1; return ENOSYS; }
static inline void pong_event_signal(int fd) { (void)fd; }
static inline void pong_event_clear(int fd) { (void)fd; }
static inline void pong_event_close(int read_fd, int write_fd) { (void)read_fd; (void)write_fd; }
static DWORD WINAPI pong_thread_main(LPVOID start) {
    pong_thread_start_t *s = (pong_thread_start_t *)start;
    s->run(s->argument);
    return 0;
}
/* `start` lives until the thread is joined. */
static inline int pong_thread_start(pong_thread *thread, pong_thread_start_t *start) {
    *thread = CreateThread(NULL, 0, pong_thread_main, start, 0, NULL);
    return *thread ? 0 : EAGAIN;
}
static inline void pong_thread_join(pong_thread thread) { WaitForSingleObject(thread, INFINITE); CloseHandle(thread); }
static inline void pong_thread_hurry(void) { SetThreadPriority(GetCurrentThread(), THREAD_PRIORITY_TIME_CRITICAL); }

#else

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
typedef pthread_t pong_thread;
typedef struct { void (*run)(void *); void *argument; } pong_thread_start_t;

static inline uint64_t pong_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static inline size_t pong_page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }
static inline void pong_unmap(void *base, size_t size) { munmap(base, size); }
static inline int pong_lock(void *base, size_t size) { return mlock(base, size) ? errno : 0; }
static inline void *pong_thread_main(void *start) {
    pong_thread_start_t *s = (pong_thread_start_t *)start;
    s->run(s->argument);
    return NULL;
}
/* `start` lives until the thread is joined. A native thread takes no signal: those are for Python's threads. */
static inline int pong_thread_start(pong_thread *thread, pong_thread_start_t *start) {
    sigset_t all, before;
    int error;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    error = pthread_create(thread, NULL, pong_thread_main, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}
static inline void pong_thread_join(pong_thread thread) { pthread_join(thread, NULL); }
/* Asks for what audio threads get, for the calling thread; refused, it runs as any other. */
static inline void pong_thread_hurry(void) {
    struct sched_param p = {0};
    p.sched_priority = sched_get_priority_min(SCHED_RR);
    pthread_setschedparam(pthread_self(), SCHED_RR, &p);
}

#if defined(__linux__)

#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/* Sleeps while *word == seen, until `deadline`. 0: woken or changed; ETIMEDOUT; EINTR after a signal. */
static inline int pong_wait(uint32_t *word, uint32_t seen, uint64_t deadline, int shared) {
    struct timespec t = {(time_t)(deadline / 1000000000u), (long)(deadline % 1000000000u)};
    long r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | (shared ? 0 : FUTEX_PRIVATE_FLAG), seen, &t, NULL,
                     FUTEX_BITSET_MATCH_ANY);
    return r == 0 || errno == EAGAIN ? 0 : errno;
}
static inline void pong_wake_all(uint32_t *word, int shared) {
    syscall(SYS_futex, word, FUTEX_WAKE | (shared ? 0 : FUTEX_PRIVATE_FLAG), INT32_MAX, NULL, NULL, 0);
}
static inline void pong_sleep_until(uint64_t deadline) {
    struct timespec t = {(time_t)(deadline / 1000000000u), (long)(deadline % 1000000000u)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}
/* The child of a fork finds zeros here, written by the kernel itself: no handler has to run (madvise(2)). */
static inline void *pong_map(size_t size) {
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int unfit = base == MAP_FAILED || madvise(base, size, MADV_WIPEONFORK);
    /* munmap of MAP_FAILED, which is no page's address, changes nothing. */
    return unfit ? (munmap(base, size), (void *)NULL) : base;
}
static inline int pong_give_back(void *base, size_t size) { return madvise(base, size, MADV_DONTNEED) ? errno : 0; }
static inline int pong_event_open(int *read_fd, int *write_fd) {
    *read_fd = *write_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return *read_fd < 0 ? errno : 0;
}
static inline void pong_event_signal(int fd) {
    uint64_t one = 1;
    ssize_t ignored = write(fd, &one, sizeof one);
    (void)ignored;
}
static inline void pong_event_clear(int fd) {
    uint64_t count;
    ssize_t ignored = read(fd, &count, sizeof count);
    (void)ignored;
}
static inline void pong_event_close(int read_fd, int write_fd) { (void)write_fd; close(read_fd); }

#else /* macOS */

extern int __ulock_wait2(uint32_t operation, void *addr, uint64_t value, uint64_t timeout_ns, uint64_t value2);
extern int __ulock_wake(uint32_t operation, void *addr, uint64_t wake_value);
#define PONG_ULOCK_COMPARE 1        /* UL_COMPARE_AND_WAIT */
#define PONG_ULOCK_COMPARE_SHARED 3 /* UL_COMPARE_AND_WAIT_SHARED */
#define PONG_ULOCK_WAKE_ALL 0x100   /* ULF_WAKE_ALL */

static inline int pong_wait(uint32_t *word, uint32_t seen, uint64_t deadline, int shared) {
    uint64_t now = pong_now();
    int r = deadline <= now ? (errno = ETIMEDOUT, -1)
          : __ulock_wait2(shared ? PONG_ULOCK_COMPARE_SHARED : PONG_ULOCK_COMPARE, word, seen, deadline - now, 0);
    return r >= 0 ? 0 : errno;
}
static inline void pong_wake_all(uint32_t *word, int shared) {
    __ulock_wake((shared ? PONG_ULOCK_COMPARE_SHARED : PONG_ULOCK_COMPARE) | PONG_ULOCK_WAKE_ALL, word, 0);
}
static inline void pong_sleep_until(uint64_t deadline) {
    uint64_t now = pong_now(), left = deadline > now ? deadline - now : 0;
    struct timespec t = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
    nanosleep(&t, NULL);
}
/* The child of a fork gets a private copy: it can reach nothing of its parent's. */
static inline void *pong_map(size_t size) {
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    return base == MAP_FAILED ? NULL : base;
}
static inline int pong_give_back(void *base, size_t size) { return madvise(base, size, MADV_FREE) ? errno : 0; }
static inline int pong_event_open(int *read_fd, int *write_fd) {
    int fds[2];
    if (pipe(fds)) return errno;
    for (int i = 0; i < 2; i++) { fcntl(fds[i], F_SETFD, FD_CLOEXEC); fcntl(fds[i], F_SETFL, O_NONBLOCK); }
    *read_fd = fds[0];
    *write_fd = fds[1];
    return 0;
}
static inline void pong_event_signal(int fd) { ssize_t ignored = write(fd, "", 1); (void)ignored; }
static inline void pong_event_clear(int fd) { char bytes[64]; while (read(fd, bytes, sizeof bytes) > 0) { } }
static inline void pong_event_close(int read_fd, int write_fd) { close(read_fd); close(write_fd); }

#endif
#endif
#endif
