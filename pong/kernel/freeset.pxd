"""The free set: a bitmap that releasers set, and a private mask that the acquiring side takes from."""
from libc.stdint cimport int32_t, uint32_t, uint64_t

from pong.kernel.atomic cimport (
    ctz_u64, fetch_add_relaxed_u32, fetch_and_acq_rel_u64, fetch_or_seq_cst_u64, fetch_sub_seq_cst_u32,
    load_relaxed_u64, load_seq_cst_u32, load_seq_cst_u64, store_relaxed_u64, store_release_u64,
)
from pong.kernel.layout cimport pong_arena
from pong.kernel.wait cimport notify_pool_rt


cdef inline void freeset_put_rt(pong_arena* a, uint32_t slot) noexcept nogil:
    """Return a slot, from any thread, and wake those who wait for one. Its owner word already says free."""
    # F1: pairs with F2, F3. The acquirer that sees the bit sees everything the releaser did with the slot.
    fetch_or_seq_cst_u64(&a.returned.word[slot >> 6], <uint64_t>1 << (slot & 63))
    if a.header.slots > 64:
        # F4: pairs with F5, F6. Always set, so that a word is never left behind by a releaser that was late.
        fetch_or_seq_cst_u64(&a.returned.summary, <uint64_t>1 << (slot >> 6))
    notify_pool_rt(a)


cdef inline void freeset_merge_rt(pong_arena* a, uint32_t word) noexcept nogil:
    """Move one word of returned bits into the private mask."""
    # F2: pairs with F1. Sequentially consistent, because a waiter looks here after it has set its bit.
    cdef uint64_t bits = load_seq_cst_u64(&a.returned.word[word])
    if bits:
        # Into the mask before out of the word: a process killed in between leaves the bits in both, lost in none.
        # M1: pairs with F3. The mask holds the bits before the word loses them.
        store_release_u64(&a.acquirer.mask[word], load_relaxed_u64(&a.acquirer.mask[word]) | bits)
        store_relaxed_u64(&a.acquirer.filled, load_relaxed_u64(&a.acquirer.filled) | <uint64_t>1 << word)
        # F3: pairs with F1, M1. Bits that came since the load stay.
        fetch_and_acq_rel_u64(&a.returned.word[word], ~bits)


cdef inline void freeset_refill_rt(pong_arena* a) noexcept nogil:
    """Merge all that has been returned. It is done at each acquire, so that the hottest slot comes first."""
    cdef uint64_t words
    cdef uint32_t word
    if a.header.slots <= 64:
        freeset_merge_rt(a, 0)
        return
    # F5: pairs with F4. A word whose bit is seen here holds what its releaser set.
    words = load_seq_cst_u64(&a.returned.summary)
    if words:
        # Cleared before the words are read: a releaser that comes later sets it again.
        # F6: pairs with F4. The same, for bits that were set since the load.
        words = words | fetch_and_acq_rel_u64(&a.returned.summary, ~words) & words
        while words:
            word = ctz_u64(words)
            freeset_merge_rt(a, word)
            words &= words - 1


cdef inline int32_t freeset_find_rt(pong_arena* a, uint32_t limit) noexcept nogil:
    """Return the lowest free slot below ``limit`` that is not pinned (I5), or -1; it stays in the set."""
    cdef uint64_t words, bits
    cdef uint32_t word, slot
    freeset_refill_rt(a)
    words = load_relaxed_u64(&a.acquirer.filled)
    while words:
        word = ctz_u64(words)
        bits = load_relaxed_u64(&a.acquirer.mask[word])
        while bits:
            slot = word * 64 + ctz_u64(bits)
            if slot >= limit:
                return -1
            # P1: pairs with P2. Who unpinned the slot has finished with its memory.
            if load_seq_cst_u32(&a.slots[slot].pins) == 0:
                return <int32_t>slot
            bits &= bits - 1
        words &= words - 1
    return -1


cdef inline void freeset_remove_rt(pong_arena* a, uint32_t slot) noexcept nogil:
    """Take a slot that was found out of the mask. Its owner word has changed before."""
    cdef uint32_t word = slot >> 6
    cdef uint64_t bits = load_relaxed_u64(&a.acquirer.mask[word]) & ~(<uint64_t>1 << (slot & 63))
    store_relaxed_u64(&a.acquirer.mask[word], bits)
    if not bits:
        store_relaxed_u64(&a.acquirer.filled, load_relaxed_u64(&a.acquirer.filled) & ~(<uint64_t>1 << word))


cdef inline bint freeset_has(const pong_arena* a, uint32_t slot) noexcept nogil:
    """Tell whether a slot is in the free set, pinned or not; for the acquiring side and for statistics."""
    cdef uint64_t bit = <uint64_t>1 << (slot & 63)
    return (load_relaxed_u64(&a.acquirer.mask[slot >> 6]) | load_relaxed_u64(&a.returned.word[slot >> 6])) & bit != 0


cdef inline void slot_pin(pong_arena* a, uint32_t slot) noexcept nogil:
    """Keep a slot from being handed out (I5). Only its owner pins, before giving it away."""
    fetch_add_relaxed_u32(&a.slots[slot].pins, 1)


cdef inline void slot_unpin(pong_arena* a, uint32_t slot) noexcept nogil:
    """Undo one `slot_pin`, on any thread, and wake those who wait for a free slot."""
    # P2: pairs with P1. Everything that was read through the lease was read before this.
    fetch_sub_seq_cst_u32(&a.slots[slot].pins, 1)
    notify_pool_rt(a)
