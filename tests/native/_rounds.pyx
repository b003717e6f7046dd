"""Races of two native threads, a round at a time: closing against sleeping, and against sending."""
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memset

from pong._link cimport Sender
from pong._pool cimport BufferPool
from pong.kernel.atomic cimport load_relaxed_u64, load_seq_cst_u32, store_seq_cst_u32
from pong.kernel.freeset cimport freeset_has
from pong.kernel.layout cimport (
    PONG_FREE, PONG_MAX_SLOTS, PONG_QUEUED, PONG_RECEIVER_CLOSED, PONG_SENDER_CLOSED, pong_arena,
)
from pong.kernel.opening cimport link_begin, link_close, link_closed, link_end
from pong.kernel.platform cimport pong_thread, pong_thread_join, pong_thread_start, pong_thread_start_t
from pong.kernel.ring cimport ring_publish_rt
from pong.kernel.transfer cimport (
    CLOSED, SENT, STALE, acquire_rt, link_open_rt, owner_after_rt, owner_state_rt, recv_rt, release_rt, send_batch_rt,
    send_claim_rt, send_retract_rt, send_rt,
)
from pong.kernel.wait cimport notify_link_rt, notify_pool_rt
from waiting cimport OVER, Turn, acquire_waiting, await_turn, give_turn, mix, recv_waiting

cdef enum:
    KINDS = 4    # who closes: the sender, the receiver, the pool against a receiver, the pool against an acquirer
    BATCH = 3    # slots that are sent at once, or as many as are free


ctypedef struct Owned:
    int32_t slot
    uint64_t word


ctypedef struct Rounds:
    pong_arena* a
    Owned* owned        # every slot of the pool, while one thread holds them all
    uint32_t link
    uint32_t number
    Turn go
    Turn done
    uint64_t sleeps
    uint64_t retracted
    uint64_t received
    const char* fault


cdef void fail(Rounds* r, const char* fault) noexcept nogil:
    """Keep the first fault: what follows from it says less."""
    if r.fault == NULL:
        r.fault = fault


cdef void run_waiter(void* argument) noexcept nogil:
    """Each round, wait for what never comes; only a close may end it."""
    cdef Rounds* r = <Rounds*>argument
    cdef uint32_t i
    cdef uint64_t word
    cdef int32_t slot
    for i in range(1, r.number + 1):
        if not await_turn(r.a, &r.go, i):
            fail(r, "no round began")
            return
        if i % KINDS == 3:
            slot = acquire_waiting(r.a, &word, &r.sleeps)
        else:
            slot = recv_waiting(r.a, r.link, &word, &r.sleeps)
        if slot != OVER:
            r.fault = "nobody woke a waiter at a close" if slot < 0 else "a slot came out of nothing"
        give_turn(r.a, &r.done, i)
        if slot != OVER:
            return


cdef void run_closer(Rounds* r) noexcept nogil:
    """Each round, open link and pool, let the waiter begin, and close a moment later, each time another one."""
    cdef pong_arena* a = r.a
    cdef uint32_t i, kind
    for i in range(1, r.number + 1):
        kind = i % KINDS
        link_begin(a, r.link)
        store_seq_cst_u32(&a.control.closed, 0)
        give_turn(a, &r.go, i)
        # From no pause at all to one in which the waiter falls asleep.
        for _ in range(<uint32_t>mix(i) % 4096):
            load_seq_cst_u32(&r.done.value)
        if kind == 0:
            link_close(a, r.link, PONG_SENDER_CLOSED)
        elif kind == 1:
            link_close(a, r.link, PONG_RECEIVER_CLOSED)
        else:
            # What BufferPool.close does.
            store_seq_cst_u32(&a.control.closed, 1)
            notify_pool_rt(a)
            notify_link_rt(a, &a.links[r.link])
        if not await_turn(a, &r.done, i) or r.fault != NULL:
            return
    store_seq_cst_u32(&a.control.closed, 0)
    link_begin(a, r.link)


cdef bint send_batch(Rounds* r) noexcept nogil:
    """Send what is free, all at once; False: the link is closed."""
    cdef pong_arena* a = r.a
    cdef uint32_t slots[BATCH]
    cdef uint64_t words[BATCH]
    cdef uint32_t number = 0
    cdef int32_t slot
    if not link_open_rt(a, &a.links[r.link]):
        return False
    while number < BATCH:
        slot = acquire_rt(a, a.header.count, &words[number])
        if slot < 0:
            break
        slots[number] = slot
        number += 1
    if number and not send_batch_rt(a, r.link, slots, words, number):
        r.fault = "the owner of slots could not send them"
    return r.fault == NULL


cdef void run_racing_sender(void* argument) noexcept nogil:
    """Each round, send as fast as slots come home, until the receiver has closed."""
    cdef Rounds* r = <Rounds*>argument
    cdef pong_arena* a = r.a
    cdef uint32_t i
    cdef uint64_t word, before
    cdef int32_t slot
    cdef int result
    for i in range(1, r.number + 1):
        if not await_turn(a, &r.go, i):
            fail(r, "no round began")
            return
        result = -1
        # Two rounds of four, so that batches meet both kinds of receiver.
        while i & 2 and send_batch(r):
            pass
        while result != CLOSED:
            slot = acquire_rt(a, a.header.count, &word)
            if slot < 0:
                if link_closed(a, r.link):
                    break
                continue
            before = word
            result = send_rt(a, r.link, slot, &word)
            if result == STALE:
                r.fault = "the owner of a slot could not send it"
                break
            if result == CLOSED:
                if word != before:
                    r.retracted += 1
                if not release_rt(a, slot, word):
                    r.fault = "a slot was refused and yet given away"
        give_turn(a, &r.done, i)


cdef bint all_home(pong_arena* a) noexcept nogil:
    """Tell whether every slot is in the free set and says so (I3)."""
    cdef uint32_t slot
    for slot in range(a.header.slots):
        if owner_state_rt(load_relaxed_u64(&a.slots[slot].owner)) != PONG_FREE or not freeset_has(a, slot):
            return False
    return True


cdef bint receive(Rounds* r) noexcept nogil:
    """Receive one message if there is one, check its place in the order and release it."""
    cdef uint64_t word
    cdef uint64_t expected = load_relaxed_u64(&r.a.links[r.link].receiver.received)
    cdef int32_t slot = recv_rt(r.a, r.link, &word)
    if slot < 0:
        return False
    r.received += 1
    if r.a.slots[slot].seq != expected:
        r.fault = "a message was lost, doubled or out of order"
    if not release_rt(r.a, slot, word):
        r.fault = "the owner of a slot could not release it"
    return True


cdef void run_closing_receiver(Rounds* r) noexcept nogil:
    """Each round, receive for a moment, close as Receiver.close does, and count the slots once the sender knows."""
    cdef pong_arena* a = r.a
    cdef uint32_t i
    for i in range(1, r.number + 1):
        link_begin(a, r.link)
        give_turn(a, &r.go, i)
        # Every other time the sender runs ahead undisturbed, and the close comes in the middle of a burst.
        for _ in range(<uint32_t>mix(i) % 128):
            if i & 1:
                receive(r)
            else:
                load_seq_cst_u32(&r.done.value)
        link_close(a, r.link, PONG_RECEIVER_CLOSED)
        while receive(r):
            pass
        if not await_turn(a, &r.done, i):
            r.fault = "the sender never ended"
        # Who closes last drains again: the ring may hold an entry that its sender took back.
        link_close(a, r.link, PONG_SENDER_CLOSED)
        while receive(r):
            r.fault = "a message was left in the ring after its sender knew of the close"
        link_end(a, r.link)
        if not all_home(a):
            r.fault = "a slot did not come home"
        if load_relaxed_u64(&a.links[r.link].sender.sent) != load_relaxed_u64(&a.links[r.link].receiver.received):
            r.fault = "sent and received do not agree"
        if r.fault != NULL:
            return
    link_begin(a, r.link)


cdef void run_releaser(void* argument) noexcept nogil:
    """Each round, release every slot, in an order that jumps between the words of the free set."""
    cdef Rounds* r = <Rounds*>argument
    cdef Owned owned
    cdef uint32_t i, k
    for i in range(1, r.number + 1):
        if not await_turn(r.a, &r.go, i):
            fail(r, "no round began")
            return
        for k in range(r.a.header.count):
            owned = r.owned[i % 2 * PONG_MAX_SLOTS + (k * 61 + i) % r.a.header.count]
            if not release_rt(r.a, owned.slot, owned.word):
                r.fault = "the owner of a slot could not release it"
        give_turn(r.a, &r.done, i)


cdef void run_acquirer(Rounds* r) noexcept nogil:
    """Each round, acquire every slot again while they come home; one that is not found once all are home is lost."""
    cdef pong_arena* a = r.a
    cdef Owned* owned = r.owned
    cdef uint32_t i, have = 0
    cdef bint all_released
    for i in range(r.number + 1):
        owned = r.owned + (i + 1) % 2 * PONG_MAX_SLOTS
        if i:
            give_turn(a, &r.go, i)
        have = 0
        while have < a.header.count:
            all_released = i == 0 or load_seq_cst_u32(&r.done.value) == i
            owned[have].slot = acquire_rt(a, a.header.count, &owned[have].word)
            if owned[have].slot >= 0:
                have += 1
            elif all_released:
                r.fault = "a slot came home and cannot be acquired"
                break
        if not await_turn(a, &r.done, i) or r.fault != NULL:
            break
    while have:
        have -= 1
        release_rt(a, owned[have].slot, owned[have].word)


cdef dict play(BufferPool pool, Sender sender, uint32_t number, void (*there)(void*) noexcept nogil,
               void (*here)(Rounds*) noexcept nogil):
    """Run one side of the rounds in a native thread and the other one here, without the GIL."""
    cdef Rounds rounds
    cdef pong_thread thread
    cdef pong_thread_start_t start
    cdef Owned owned[2 * PONG_MAX_SLOTS]
    memset(&rounds, 0, sizeof(rounds))
    rounds.a = pool.a
    rounds.owned = owned
    rounds.link = sender.link.index
    rounds.number = number
    start.run = there
    start.argument = &rounds
    if pong_thread_start(&thread, &start):
        raise OSError("cannot start a thread")
    with nogil:
        here(&rounds)
        pong_thread_join(thread)
    if rounds.fault != NULL:
        raise AssertionError(f"{rounds.fault.decode()}, after {rounds.done.value} rounds")
    return {
        "rounds": rounds.done.value, "sleeps": rounds.sleeps, "retracted": rounds.retracted,
        "received": rounds.received,
    }


def close_against_sleeper(BufferPool pool, Sender sender, uint32_t number):
    """Close sender, receiver and pool in turn against a thread that waits; all slots must be in use."""
    return play(pool, sender, number, run_waiter, run_closer)


def close_against_sender(BufferPool pool, Sender sender, uint32_t number):
    """Close the receiver against a thread that sends; all slots must be free."""
    return play(pool, sender, number, run_racing_sender, run_closing_receiver)


def release_against_acquire(BufferPool pool, Sender sender, uint32_t number):
    """Release all slots in a thread while this one acquires them again; all slots must be free."""
    return play(pool, sender, number, run_releaser, run_acquirer)


cdef int32_t publish(pong_arena* a, uint32_t link, uint64_t* word):
    """Acquire a slot and publish it, without the rest of `send_rt`; ``word`` is what its sender owned."""
    cdef int32_t slot = acquire_rt(a, a.header.count, word)
    cdef uint64_t head = load_relaxed_u64(&a.links[link].sender.head)
    assert slot >= 0
    assert send_claim_rt(a, link, slot, word[0], 0)
    ring_publish_rt(a, link, head, slot)
    a.links[link].sender.head = head + 1
    return slot


def publish_and_retract(BufferPool pool, Sender sender, bint drained):
    """Do what `send_rt` does when the receiver closes in the middle of it; return whether the sender got its slot back.

    ``drained``: the closing receiver has already come by and taken the message.
    """
    cdef pong_arena* a = pool.a
    cdef uint32_t link = sender.link.index
    cdef uint64_t word, taken
    cdef int32_t slot = publish(a, link, &word)
    link_close(a, link, PONG_RECEIVER_CLOSED)
    if drained:
        assert recv_rt(a, link, &taken) == slot
        assert release_rt(a, slot, taken)
    back = send_retract_rt(a, slot, owner_after_rt(word, link, PONG_QUEUED), &word)
    if back:
        assert release_rt(a, slot, word)
    return back


def batch_into_closed(BufferPool pool, Sender sender, uint32_t number):
    """Do what `Sender.send_many` does when the receiver closes, and drains, right before the slots are published."""
    cdef pong_arena* a = pool.a
    cdef uint32_t link = sender.link.index
    cdef uint32_t slots[PONG_MAX_SLOTS]
    cdef uint64_t words[PONG_MAX_SLOTS]
    cdef uint64_t taken
    for i in range(number):
        slots[i] = acquire_rt(a, a.header.count, &words[i])
    link_close(a, link, PONG_RECEIVER_CLOSED)
    assert recv_rt(a, link, &taken) < 0
    assert send_batch_rt(a, link, slots, words, number)


def batch_with_stale(BufferPool pool, Sender sender, uint32_t number, uint32_t stale):
    """Send a batch, one slot of which its owner has released; return whether it still owns all the others."""
    cdef pong_arena* a = pool.a
    cdef uint32_t slots[PONG_MAX_SLOTS]
    cdef uint64_t words[PONG_MAX_SLOTS]
    for i in range(number):
        slots[i] = acquire_rt(a, a.header.count, &words[i])
    assert release_rt(a, slots[stale], words[stale])
    assert not send_batch_rt(a, sender.link.index, slots, words, number)
    return [release_rt(a, slots[i], words[i]) for i in range(number)] == [i != stale for i in range(number)]


def resend_after_retract(BufferPool pool, Sender sender):
    """Take a published slot back, then send another one and this one again; return what arrives, in order.

    The ring holds the slot twice: only the place that its header names counts. (Links are drained before they are
    opened again, so that only the recovery from a crash meets such a ring.)
    """
    cdef pong_arena* a = pool.a
    cdef uint32_t link = sender.link.index
    cdef uint64_t word, other, taken
    cdef int32_t slot = publish(a, link, &word)
    assert send_retract_rt(a, slot, owner_after_rt(word, link, PONG_QUEUED), &word)
    cdef int32_t between = acquire_rt(a, a.header.count, &other)
    assert send_rt(a, link, between, &other) == SENT
    assert send_rt(a, link, slot, &word) == SENT
    arrived = []
    while True:
        found = recv_rt(a, link, &taken)
        if found < 0:
            return arrived == [between, slot]
        arrived.append(found)
        assert release_rt(a, found, taken)
