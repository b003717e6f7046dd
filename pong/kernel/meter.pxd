"""Counters and histograms with one writer each, readable at any time and from any process."""
from libc.stdint cimport uint32_t, uint64_t

from pong.kernel.atomic cimport clz_u64, load_relaxed_u64, store_relaxed_u64
from pong.kernel.layout cimport PONG_BUCKETS, pong_histogram


cdef inline void add_rt(uint64_t* counter, uint64_t number) noexcept nogil:
    """Add to a counter. Its only writer needs no atomic addition; a reader sees the old value or the new one."""
    store_relaxed_u64(counter, load_relaxed_u64(counter) + number)


cdef inline void count_rt(uint64_t* counter) noexcept nogil:
    """Add one to a counter."""
    add_rt(counter, 1)


cdef inline uint32_t bucket_of_rt(uint64_t value) noexcept nogil:
    """Return the bucket of a value: eight for each power of two, the last one open-ended."""
    cdef uint32_t exponent, bucket
    if value < 8:
        return <uint32_t>value
    exponent = 63 - clz_u64(value)
    bucket = (exponent - 2) * 8 + <uint32_t>(value >> (exponent - 3) & 7)
    return bucket if bucket < PONG_BUCKETS else PONG_BUCKETS - 1


cdef inline uint64_t bucket_floor(uint32_t bucket) noexcept nogil:
    """Return the smallest value that falls into a bucket."""
    if bucket < 8:
        return bucket
    return <uint64_t>(8 + bucket % 8) << (bucket // 8 - 1)


cdef inline void record_rt(pong_histogram* h, uint64_t value) noexcept nogil:
    """Count one duration, in nanoseconds."""
    count_rt(&h.bucket[bucket_of_rt(value)])
    add_rt(&h.sum, value)
    if value > load_relaxed_u64(&h.max):
        store_relaxed_u64(&h.max, value)
    count_rt(&h.count)
