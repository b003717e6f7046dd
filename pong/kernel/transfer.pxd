"""Moves of ownership: acquire, send, receive, release.

Each move changes the owner word first, by a compare-and-swap that a stale handle, a second release or a foreign one
cannot pass; then the ring or the free set.
"""
from libc.stdint cimport int32_t, uint32_t, uint64_t

from pong.kernel.atomic cimport (
    cas_acq_rel_u64, load_acquire_u64, load_relaxed_u32, load_relaxed_u64, load_seq_cst_u32,
    store_relaxed_u64, store_release_u64,
)
from pong.kernel.freeset cimport freeset_find_rt, freeset_put_rt, freeset_remove_rt
from pong.kernel.layout cimport (
    PONG_ACQUIRER, PONG_CHECK, PONG_FREE, PONG_NO_SEQ, PONG_OWNED, PONG_QUEUED, PONG_RECEIVER_CLOSED, pong_arena,
    pong_link, pong_slot,
)
from pong.kernel.meter cimport add_rt, count_rt, record_rt
from pong.kernel.platform cimport pong_now
from pong.kernel.ring cimport ring_fill_rt, ring_look_rt, ring_publish_rt
from pong.kernel.wait cimport notify_link_rt

cdef enum:
    SENT = 0
    STALE = 1     # the owner word is not the caller's: detached
    CLOSED = 2    # the pool or the link is closed; the caller keeps the slot, with a new word if it had to take it back


cdef inline uint64_t owner_after_rt(uint64_t word, uint32_t holder, uint32_t state) noexcept nogil:
    """Return the owner word that follows ``word``: one generation on."""
    return ((word >> 16) + 1) << 16 | holder << 4 | state


cdef inline uint32_t owner_state_rt(uint64_t word) noexcept nogil:
    return word & 0xf


cdef inline uint32_t owner_holder_rt(uint64_t word) noexcept nogil:
    return word >> 4 & 0xfff


cdef inline int32_t acquire_rt(pong_arena* a, uint32_t limit, uint64_t* word) noexcept nogil:
    """Take a free slot below ``limit``; return its number and the owner's word, or -1.

    Only the acquiring side of the pool may call this, one thread at a time.
    """
    cdef pong_slot* s
    cdef int32_t slot = freeset_find_rt(a, limit)
    if slot < 0:
        return -1
    s = &a.slots[slot]
    PONG_CHECK(owner_state_rt(load_relaxed_u64(&s.owner)) == PONG_FREE, "I1: a slot in the free set has an owner")
    if a.header.timed and s.released_at > s.acquired_at:
        record_rt(a.hold, s.released_at - s.acquired_at)
    word[0] = owner_after_rt(load_relaxed_u64(&s.owner), PONG_ACQUIRER, PONG_OWNED)
    # O1: pairs with O4, O7. The word changes before the free set does.
    store_release_u64(&s.owner, word[0])
    freeset_remove_rt(a, slot)
    s.seq = PONG_NO_SEQ
    s.position = 0
    s.gap = 0
    s.time = 0
    s.frames = a.header.blocksize
    s.status = 0
    s.time_source = 0
    s.flags = 0
    s.tag = 0
    if a.header.timed:
        s.acquired_at = pong_now()
    count_rt(&a.acquirer.acquired)
    return slot


cdef inline bint release_rt(pong_arena* a, uint32_t slot, uint64_t word) noexcept nogil:
    """Give an owned slot back, from any thread; False if ``word`` does not own it. The holder stays in the word."""
    cdef pong_slot* s = &a.slots[slot]
    # O2: pairs with O4, O7. Of two who dispose of one slot exactly one passes.
    if not cas_acq_rel_u64(&s.owner, word, owner_after_rt(word, owner_holder_rt(word), PONG_FREE)):
        return False
    if a.header.timed:
        # Nobody else can have the slot yet: it is not in the free set (I1).
        s.released_at = pong_now()
    freeset_put_rt(a, slot)
    return True


cdef inline bint link_open_rt(pong_arena* a, pong_link* link) noexcept nogil:
    """Tell whether a send may be tried."""
    return not (load_relaxed_u32(&link.control.closed) | load_relaxed_u32(&a.control.closed))


cdef inline bint send_claim_rt(
    pong_arena* a, uint32_t link, uint32_t slot, uint64_t word, uint64_t ahead
) noexcept nogil:
    """Mark an owned slot as queued in ``link``, ``ahead`` positions behind its head; nobody can see it there yet."""
    cdef pong_slot* s = &a.slots[slot]
    cdef pong_link* place = &a.links[link]
    if load_relaxed_u64(&s.owner) != word:
        return False
    store_relaxed_u64(&s.where, load_relaxed_u64(&place.sender.head) + ahead)
    s.seq = load_relaxed_u64(&place.sender.sent) + ahead
    # O3: pairs with O4, O5. The header is complete before the word says that the slot is in a ring.
    return cas_acq_rel_u64(&s.owner, word, owner_after_rt(word, link, PONG_QUEUED))


cdef inline bint send_retract_rt(pong_arena* a, uint32_t slot, uint64_t queued, uint64_t* word) noexcept nogil:
    """Take back a claimed slot that its receiver has not taken; ``word`` becomes the owner's new one."""
    cdef uint64_t back = owner_after_rt(queued, owner_holder_rt(word[0]), PONG_OWNED)
    # O6: pairs with O5. Either the sender has it back or the receiver got it, never both.
    if not cas_acq_rel_u64(&a.slots[slot].owner, queued, back):
        return False
    word[0] = back
    return True


cdef inline int send_rt(pong_arena* a, uint32_t link, uint32_t slot, uint64_t* word) noexcept nogil:
    """Transfer an owned slot to the receiver of ``link``; return SENT, STALE or CLOSED.

    Only the sender of the link may call this, one thread at a time.
    """
    cdef pong_link* place = &a.links[link]
    cdef uint64_t head = load_relaxed_u64(&place.sender.head)
    cdef uint64_t seq = a.slots[slot].seq
    if not link_open_rt(a, place):
        return CLOSED
    if not send_claim_rt(a, link, slot, word[0], 0):
        return STALE
    if a.header.timed:
        # Nobody else can have the slot yet: it is not in the ring (I1).
        a.slots[slot].sent_at = pong_now()
    # The tail read here may be old, but not too old: a slot that came back for another send was received first, and its
    # way through the free set brings the tail of that time along.
    PONG_CHECK(head - load_relaxed_u64(&place.receiver.tail) < a.header.slots, "I4: more entries than slots")
    ring_publish_rt(a, link, head, slot)
    store_relaxed_u64(&place.sender.head, head + 1)
    # C1: pairs with C2. A receiver that closed in between has either drained the entry, or is seen here.
    if (load_seq_cst_u32(&place.control.closed) & PONG_RECEIVER_CLOSED
            and send_retract_rt(a, slot, owner_after_rt(word[0], link, PONG_QUEUED), word)):
        a.slots[slot].seq = seq
        return CLOSED
    count_rt(&place.sender.sent)
    notify_link_rt(a, place)
    return SENT


cdef inline bint send_batch_rt(
    pong_arena* a, uint32_t link, const uint32_t* slots, uint64_t* words, uint32_t number
) noexcept nogil:
    """Transfer several owned slots, all or none; the receiver sees all of them at once.

    False: one was stale, and the caller keeps the others, with new words if it had to take them back.
    """
    cdef pong_link* place = &a.links[link]
    cdef uint64_t head = load_relaxed_u64(&place.sender.head)
    cdef uint64_t now = pong_now() if a.header.timed else 0
    cdef uint32_t i, back, left = number
    for i in range(number):
        if not send_claim_rt(a, link, slots[i], words[i], i):
            for back in range(i):
                send_retract_rt(a, slots[back], owner_after_rt(words[back], link, PONG_QUEUED), &words[back])
            return False
        a.slots[slots[i]].sent_at = now
    for i in range(number - 1, 0, -1):
        ring_fill_rt(a, link, head + i, slots[i])
    ring_publish_rt(a, link, head, slots[0])
    store_relaxed_u64(&place.sender.head, head + number)
    # C12: pairs with C2. As in send_rt; but some may be drained already, so that the rest cannot be refused any more:
    # they have been sent, and go home in the receiver's place. The last one first, against the order of draining, so
    # that what is drained has no hole.
    if load_seq_cst_u32(&place.control.closed) & PONG_RECEIVER_CLOSED:
        while left and send_retract_rt(
            a, slots[left - 1], owner_after_rt(words[left - 1], link, PONG_QUEUED), &words[left - 1]
        ):
            left -= 1
            release_rt(a, slots[left], words[left])
    # What no receiver counts is not counted here either.
    add_rt(&place.sender.sent, left)
    notify_link_rt(a, place)
    return True


cdef inline int32_t recv_rt(pong_arena* a, uint32_t link, uint64_t* word) noexcept nogil:
    """Take the next message of ``link``; return its slot and the owner's word, or -1 when there is none.

    Only the receiver of the link may call this, one thread at a time.
    """
    cdef pong_link* place = &a.links[link]
    cdef uint64_t tail = load_relaxed_u64(&place.receiver.tail)
    cdef uint64_t queued
    cdef uint32_t slot
    cdef pong_slot* s
    while ring_look_rt(a, link, tail, &slot):
        s = &a.slots[slot]
        # O4: pairs with O1, O2, O3. The word and the header behind it.
        queued = load_acquire_u64(&s.owner)
        tail += 1
        # An entry counts only if the header agrees: a sender may have taken its slot back (see send_rt).
        if (owner_state_rt(queued) == PONG_QUEUED and owner_holder_rt(queued) == link
                and load_relaxed_u64(&s.where) == tail - 1):
            word[0] = owner_after_rt(queued, link, PONG_OWNED)
            # O5: pairs with O3, O6. The slot is the receiver's before the ring moves on.
            if cas_acq_rel_u64(&s.owner, queued, word[0]):
                store_relaxed_u64(&place.receiver.tail, tail)
                if a.header.timed:
                    record_rt(&a.latency[link], pong_now() - s.sent_at)
                count_rt(&place.receiver.received)
                return <int32_t>slot
        store_relaxed_u64(&place.receiver.tail, tail)
    return -1
