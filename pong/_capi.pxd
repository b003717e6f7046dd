"""The C functions of include/pong.h, typed; for others by way of `cimport pong`."""
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef extern from "pong.h":
    enum:
        PONG_API_VERSION
        PONG_OK
        PONG_EMPTY
        PONG_CLOSED
        PONG_STALE
        PONG_INVALID
        PONG_TIME_NOT_SET
        PONG_TIME_MONOTONIC
        PONG_TIME_STREAM
        PONG_TIME_DEVICE

    ctypedef struct pong_end:
        pass

    ctypedef struct pong_block:
        uint64_t seq
        uint64_t position
        uint64_t gap
        double time
        double samplerate
        int64_t tag
        uint32_t frames
        uint32_t channels
        uint32_t status
        uint32_t time_source
        uint64_t plane

    ctypedef void (*pong_process)(
        void* samples, uint32_t frames, uint32_t channels, const pong_block* block, void* user
    ) noexcept nogil

    ctypedef struct pong_format:
        uint32_t count
        uint32_t blocksize
        uint32_t channels
        uint32_t itemsize
        double samplerate
        char* dtype
        uint64_t plane

    ctypedef struct pong_buffer:
        void* samples
        pong_block block
        const void* pool
        uint64_t word
        uint32_t slot
        uint32_t limit

    ctypedef struct pong_api:
        uint32_t version
        uint32_t size
        pong_end* (*open_sender)(PyObject* sender, int acquires) except NULL
        pong_end* (*open_receiver)(PyObject* receiver) except NULL
        void (*close)(pong_end* end) noexcept
        int (*acquire_rt)(pong_end* sender, pong_buffer* buffer) noexcept nogil
        int (*send_rt)(pong_end* sender, pong_buffer* buffer) noexcept nogil
        int (*recv_rt)(pong_end* receiver, pong_buffer* buffer) noexcept nogil
        int (*release_rt)(pong_end* end, pong_buffer* buffer) noexcept nogil
        int (*finish_rt)(pong_end* end) noexcept nogil
        int (*is_closed_rt)(pong_end* end) noexcept nogil
        const pong_format* (*format_rt)(pong_end* end) noexcept nogil
        int (*wait)(pong_end* end, double seconds) noexcept nogil

    const pong_api* pong_import() except NULL
