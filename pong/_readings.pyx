"""Reading an arena's meters, from any thread and at any time, without disturbing who writes them."""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from pong.kernel.atomic cimport load_acquire_u64, load_relaxed_u32, load_relaxed_u64
from pong.kernel.freeset cimport freeset_has
from pong.kernel.layout cimport (
    PONG_BUCKETS, PONG_FREE, PONG_IDLE, PONG_MAX_LINKS, PONG_OWNED, PONG_QUEUED, pong_arena, pong_histogram, pong_link,
)
from pong.kernel.meter cimport bucket_floor
from pong.kernel.transfer cimport owner_holder_rt, owner_state_rt


cdef dict histogram_counters(pong_histogram* h):
    cdef uint32_t i
    cdef uint64_t count
    buckets = {}
    for i in range(<uint32_t>PONG_BUCKETS):
        count = load_relaxed_u64(&h.bucket[i])
        if count:
            buckets[i] = count
    return {"sum": load_relaxed_u64(&h.sum), "buckets": buckets}


cdef dict pool_counters(pong_arena* a):
    """Return the counters as they are now: the baseline that a later `pool_stats` subtracts."""
    cdef uint32_t i
    cdef pong_link* link
    counters = {
        "acquired": load_relaxed_u64(&a.acquirer.acquired),
        "overflowed": load_relaxed_u64(&a.acquirer.overflowed),
        "exhausted": load_relaxed_u64(&a.acquirer.exhausted),
        "hold": histogram_counters(a.hold),
    }
    for i in range(a.header.max_links):
        link = &a.links[i]
        if not load_relaxed_u32(&link.control.closed) & PONG_IDLE:
            counters["link", i] = {
                "opened": link.control.opened,
                "sent": load_relaxed_u64(&link.sender.sent),
                "received": load_relaxed_u64(&link.receiver.received),
                "dropped": load_relaxed_u64(&link.sender.dropped),
                "latency": histogram_counters(&a.latency[i]),
            }
    return counters


cdef object since(pong_histogram* h, dict now, dict before):
    """Return what a histogram has counted since a baseline."""
    from pong.stats import Histogram
    cdef double ns = 1e-9
    old = before.get("buckets", {})
    buckets = tuple(
        (bucket_floor(i) * ns, bucket_floor(i + 1) * ns, count - old.get(i, 0))
        for i, count in now["buckets"].items()
        if count > old.get(i, 0)
    )
    count = sum(bucket[2] for bucket in buckets)
    total = (now["sum"] - before.get("sum", 0)) * ns
    # The greatest ever bounds the greatest since the baseline, and so does the last bucket that grew.
    greatest = min(load_relaxed_u64(&h.max) * ns, buckets[len(buckets) - 1][1]) if buckets else 0.0
    return Histogram(count=count, mean=total / count if count else 0.0, max=greatest, buckets=buckets)


cdef census take_census(pong_arena* a, uint32_t* queued_by_link) noexcept:
    """Count the slots by where they are; ``queued_by_link``, unless NULL, has a place for each link.

    Free slots are counted in the free set, owned and queued ones by their owner words, so that I3 can be checked.
    """
    cdef census found
    cdef uint32_t slot, state
    cdef uint64_t word
    cdef bint pin
    memset(&found, 0, sizeof(census))
    for slot in range(a.header.slots):
        # O7: pairs with O1, O2. The word and the free set may disagree only while a move is under way.
        word = load_acquire_u64(&a.slots[slot].owner)
        state = owner_state_rt(word)
        pin = load_relaxed_u32(&a.slots[slot].pins) != 0
        if state == PONG_OWNED:
            found.owned += 1
        elif state == PONG_QUEUED:
            found.queued += 1
            if queued_by_link != NULL:
                queued_by_link[owner_holder_rt(word)] += 1
        elif pin:
            found.pinned += 1
        elif freeset_has(a, slot) and slot < a.header.count:
            found.free += 1
        if slot >= a.header.count and (state != PONG_FREE or pin):
            found.overflow_in_use += 1
    return found


cdef object pool_stats(pong_arena* a, dict now, dict baseline):
    """Return the state of a pool, with its counters ``now`` counted from ``baseline``."""
    # Imported when first asked for: making three dataclasses is a third of what `import pong` would cost.
    from pong.stats import LinkStats, PoolStats
    cdef uint32_t queued[PONG_MAX_LINKS]
    cdef census found
    cdef uint32_t i
    memset(queued, 0, sizeof(queued))
    found = take_census(a, queued)
    links = []
    for i in range(a.header.max_links):
        counters = now.get(("link", i))
        if counters is None:
            continue
        before = baseline.get(("link", i), {})
        if before.get("opened") != counters["opened"]:
            before = {}
        links.append(LinkStats(
            index=i,
            sent=counters["sent"] - before.get("sent", 0),
            received=counters["received"] - before.get("received", 0),
            dropped=counters["dropped"] - before.get("dropped", 0),
            queued=queued[i],
            latency=since(&a.latency[i], counters["latency"], before.get("latency", {})),
        ))
    return PoolStats(
        count=a.header.count,
        overflow=a.header.overflow,
        free=found.free,
        owned=found.owned,
        queued=found.queued,
        pinned=found.pinned,
        in_use=found.owned + found.queued + found.pinned,
        overflow_in_use=found.overflow_in_use,
        acquired=now["acquired"] - baseline.get("acquired", 0),
        overflowed=now["overflowed"] - baseline.get("overflowed", 0),
        exhausted=now["exhausted"] - baseline.get("exhausted", 0),
        hold=since(a.hold, now["hold"], baseline.get("hold", {})),
        links=tuple(links),
    )
