/* Ordered atomics with the order in the name.
 *
 * Cython cannot say memory orders, so these few wrappers do. No function here has a branch; a plain
 * load or store is `relaxed`. Sizes: u32 and u64. Source of the names: C11 7.17.3.
 */
#ifndef PONG_ATOMIC_H
#define PONG_ATOMIC_H

#include <stdint.h>

#if defined(_MSC_VER)

#include <intrin.h>
/* Interlocked operations are sequentially consistent, which is at least what each name promises. */
#define PONG_ATOMICS(T, S, X, SUFFIX)                                                               \
    static inline T load_relaxed_##S(const volatile T *p) { return *p; }                            \
    static inline T load_acquire_##S(const volatile T *p) { return (T)_InterlockedOr##SUFFIX((volatile X *)p, 0); } \
    static inline T load_seq_cst_##S(const volatile T *p) { return (T)_InterlockedOr##SUFFIX((volatile X *)p, 0); } \
    static inline void store_relaxed_##S(volatile T *p, T v) { *p = v; }                            \
    static inline void store_release_##S(volatile T *p, T v) { _InterlockedExchange##SUFFIX((volatile X *)p, (X)v); } \
    static inline void store_seq_cst_##S(volatile T *p, T v) { _InterlockedExchange##SUFFIX((volatile X *)p, (X)v); } \
    static inline T fetch_sub_seq_cst_##S(volatile T *p, T v) { return (T)_InterlockedExchangeAdd##SUFFIX((volatile X *)p, -(X)v); } \
    static inline T fetch_add_relaxed_##S(volatile T *p, T v) { return (T)_InterlockedExchangeAdd##SUFFIX((volatile X *)p, (X)v); } \
    static inline T fetch_or_seq_cst_##S(volatile T *p, T v) { return (T)_InterlockedOr##SUFFIX((volatile X *)p, (X)v); } \
    static inline T fetch_and_acq_rel_##S(volatile T *p, T v) { return (T)_InterlockedAnd##SUFFIX((volatile X *)p, (X)v); } \
    static inline int cas_acq_rel_##S(volatile T *p, T old, T v) { return (T)_InterlockedCompareExchange##SUFFIX((volatile X *)p, (X)v, (X)old) == old; } \
    static inline int cas_seq_cst_##S(volatile T *p, T old, T v) { return (T)_InterlockedCompareExchange##SUFFIX((volatile X *)p, (X)v, (X)old) == old; }
PONG_ATOMICS(uint32_t, u32, long, )
PONG_ATOMICS(uint64_t, u64, __int64, 64)

static inline int ctz_u64(uint64_t v) { unsigned long i; _BitScanForward64(&i, v); return (int)i; }
static inline int clz_u64(uint64_t v) { unsigned long i; _BitScanReverse64(&i, v); return 63 - (int)i; }
static inline int popcount_u64(uint64_t v) { return (int)__popcnt64(v); }

#else

#define PONG_ATOMICS(T, S)                                                                          \
    static inline T load_relaxed_##S(const T *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }   \
    static inline T load_acquire_##S(const T *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }   \
    static inline T load_seq_cst_##S(const T *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }   \
    static inline void store_relaxed_##S(T *p, T v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }   \
    static inline void store_release_##S(T *p, T v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }   \
    static inline void store_seq_cst_##S(T *p, T v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }   \
    static inline T fetch_sub_seq_cst_##S(T *p, T v) { return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST); } \
    static inline T fetch_add_relaxed_##S(T *p, T v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); } \
    static inline T fetch_or_seq_cst_##S(T *p, T v) { return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST); } \
    static inline T fetch_and_acq_rel_##S(T *p, T v) { return __atomic_fetch_and(p, v, __ATOMIC_ACQ_REL); } \
    static inline int cas_acq_rel_##S(T *p, T old, T v) { return __atomic_compare_exchange_n(p, &old, v, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); } \
    static inline int cas_seq_cst_##S(T *p, T old, T v) { return __atomic_compare_exchange_n(p, &old, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); }
PONG_ATOMICS(uint32_t, u32)
PONG_ATOMICS(uint64_t, u64)

/* Bit scans; the argument of the first two is never 0. */
static inline int ctz_u64(uint64_t v) { return __builtin_ctzll(v); }
static inline int clz_u64(uint64_t v) { return __builtin_clzll(v); }
static inline int popcount_u64(uint64_t v) { return __builtin_popcountll(v); }

#endif
#endif
