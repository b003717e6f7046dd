"""The operating system's few services (see platform.h). Times are nanoseconds of the monotonic clock."""
from libc.stdint cimport uint32_t, uint64_t


cdef extern from "<errno.h>" nogil:
    enum:
        EINTR
        ETIMEDOUT


cdef extern from "pong/kernel/platform.h" nogil:
    ctypedef struct pong_thread:
        pass
    ctypedef struct pong_thread_start_t:
        void (*run)(void*) noexcept nogil
        void* argument

    uint64_t pong_now() noexcept
    int pong_wait(uint32_t* word, uint32_t seen, uint64_t deadline, int shared) noexcept
    void pong_wake_all(uint32_t* word, int shared) noexcept
    void pong_sleep_until(uint64_t deadline) noexcept
    size_t pong_page_size() noexcept
    void* pong_map(size_t size) noexcept
    void pong_unmap(void* base, size_t size) noexcept
    int pong_lock(void* base, size_t size) noexcept
    int pong_give_back(void* base, size_t size) noexcept
    int pong_event_open(int* read_fd, int* write_fd) noexcept
    void pong_event_signal(int fd) noexcept
    void pong_event_clear(int fd) noexcept
    void pong_event_close(int read_fd, int write_fd) noexcept
    int pong_thread_start(pong_thread* thread, pong_thread_start_t* start) noexcept
    void pong_thread_join(pong_thread thread) noexcept
    void pong_thread_hurry() noexcept
