"""Ordered atomics and bit scans (see atomic.h): the order of each is in its name."""
from libc.stdint cimport uint32_t, uint64_t


cdef extern from "pong/kernel/atomic.h" nogil:
    uint32_t load_relaxed_u32(const uint32_t* p) noexcept
    uint32_t load_acquire_u32(const uint32_t* p) noexcept
    uint32_t load_seq_cst_u32(const uint32_t* p) noexcept
    void store_relaxed_u32(uint32_t* p, uint32_t v) noexcept
    void store_release_u32(uint32_t* p, uint32_t v) noexcept
    void store_seq_cst_u32(uint32_t* p, uint32_t v) noexcept
    uint32_t fetch_sub_seq_cst_u32(uint32_t* p, uint32_t v) noexcept
    uint32_t fetch_add_relaxed_u32(uint32_t* p, uint32_t v) noexcept
    uint32_t fetch_or_seq_cst_u32(uint32_t* p, uint32_t v) noexcept
    bint cas_seq_cst_u32(uint32_t* p, uint32_t old, uint32_t v) noexcept

    uint64_t load_relaxed_u64(const uint64_t* p) noexcept
    uint64_t load_acquire_u64(const uint64_t* p) noexcept
    uint64_t load_seq_cst_u64(const uint64_t* p) noexcept
    void store_relaxed_u64(uint64_t* p, uint64_t v) noexcept
    void store_release_u64(uint64_t* p, uint64_t v) noexcept
    void store_seq_cst_u64(uint64_t* p, uint64_t v) noexcept
    uint64_t fetch_or_seq_cst_u64(uint64_t* p, uint64_t v) noexcept
    uint64_t fetch_and_acq_rel_u64(uint64_t* p, uint64_t v) noexcept
    bint cas_acq_rel_u64(uint64_t* p, uint64_t old, uint64_t v) noexcept

    int ctz_u64(uint64_t v) noexcept
    int clz_u64(uint64_t v) noexcept
    int popcount_u64(uint64_t v) noexcept
