# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Native loops over pong's kernel and over what it is compared with; times in nanoseconds.

Built when the session starts (see `building`), against the declarations of the installed package. No contender
pauses while it polls.
"""
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from pong._link cimport Receiver, Sender
from pong._pool cimport BufferPool
from pong.kernel.arena cimport slot_samples_rt
from pong.kernel.atomic cimport load_acquire_u64, load_relaxed_u32, store_relaxed_u32, store_release_u64
from pong.kernel.layout cimport PONG_DEBUG, pong_arena
from pong.kernel.platform cimport pong_now, pong_thread, pong_thread_join, pong_thread_start, pong_thread_start_t
from pong.kernel.transfer cimport SENT, acquire_rt, recv_rt, release_rt, send_rt

cdef extern from *:
    """
    #if defined(__linux__)
    #include <sched.h>
    /* Keep the calling thread on one core; where that is impossible it goes where the system puts it. */
    static int bench_pin(int core) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(core, &set);
        return sched_setaffinity(0, sizeof set, &set);
    }
    #else
    static int bench_pin(int core) { (void)core; return -1; }
    #endif

    /* Each a pair of cache lines of its own. */
    static _Alignas(128) struct { uint64_t value; char rest[120]; } bench_line[2];
    static uint64_t bench_exchange(uint64_t v) {
        return __atomic_exchange_n(&bench_line[0].value, v, __ATOMIC_SEQ_CST);
    }
    """
    int bench_pin(int core) nogil
    uint64_t bench_exchange(uint64_t v) nogil
    ctypedef struct line_t:
        uint64_t value
    line_t* bench_line

DEBUG = bool(PONG_DEBUG)

# How long a round trip may hang before both threads give up: only a defect reaches it.
cdef uint64_t PATIENCE = 10_000_000_000


def exchanges(uint64_t number):
    """Return the time of so many atomic exchanges on one line that nobody else uses."""
    cdef uint64_t i, begin
    with nogil:
        begin = pong_now()
        for i in range(number):
            bench_exchange(i)
        begin = pong_now() - begin
    return begin


ctypedef int (*portaudio_callback)(
    const void* heard, void* sounded, unsigned long number, const double* time, unsigned long flags, void* state
) noexcept nogil


def callbacks(size_t function, size_t state, const float[::1] heard, Receiver receiver, uint64_t rounds):
    """Return the time of callbacks that capture one block each: as many in a row as the pool has slots, each round.

    Between the rounds, untimed, the blocks are received and go home.
    """
    cdef portaudio_callback call_back = <portaudio_callback>function
    cdef pong_arena* a = receiver.link.a
    cdef uint32_t _i, link = receiver.link.index, number = a.header.count
    cdef uint64_t _round, begin, total = 0, word
    cdef double time[3]
    cdef int32_t slot
    cdef bint well = True
    memset(time, 0, sizeof(time))
    with nogil:
        for _round in range(rounds):
            begin = pong_now()
            for _i in range(number):
                call_back(&heard[0], NULL, a.header.blocksize, time, 0, <void*>state)
            total += pong_now() - begin
            for _i in range(number):
                slot = recv_rt(a, link, &word)
                well = well and slot >= 0 and release_rt(a, slot, word)
    assert well, "a block is missing"
    return total


def copies(const float[::1] heard, Receiver receiver, uint64_t rounds):
    """Return the time of copying what those callbacks capture to the same places, and nothing else."""
    cdef pong_arena* a = receiver.link.a
    cdef uint32_t i
    cdef uint64_t _round, begin, total = 0
    with nogil:
        for _round in range(rounds):
            begin = pong_now()
            for i in range(a.header.count):
                memcpy(slot_samples_rt(a, i), &heard[0], a.header.blocksize * a.header.frame_bytes)
            total += pong_now() - begin
    return total


def cycle(BufferPool pool, Sender sender, uint64_t number):
    """Return the time of so many cycles of acquire, send, recv and release in one thread, without a fill."""
    cdef pong_arena* a = pool.a
    cdef uint32_t link = sender.link.index
    cdef uint64_t _i, begin, word
    cdef int32_t slot
    cdef bint well = True
    with nogil:
        begin = pong_now()
        for _i in range(number):
            slot = acquire_rt(a, a.header.count, &word)
            if slot < 0 or send_rt(a, link, slot, &word) != SENT:
                well = False
                break
            slot = recv_rt(a, link, &word)
            if slot < 0 or not release_rt(a, slot, word):
                well = False
                break
        begin = pong_now() - begin
    assert well, "a move failed"
    return begin


cdef enum:
    KEPT      # pong: one buffer goes round and round
    FRESH     # pong: acquired and released in each trip
    RAW       # one cache line, bounced
    PAIR      # two cache lines, one for each way, as any two one-way rings need them
    CONTENDERS

ctypedef struct match:
    pong_arena* a
    uint32_t there            # links
    uint32_t home
    int cores[2]
    bint pinned[2]
    uint64_t rounds
    uint64_t trips
    uint64_t* times           # rounds * CONTENDERS
    uint64_t bounce           # value of the line that was written last
    uint32_t failed


cdef int32_t await_slot(match* m, uint32_t link, uint64_t* word) noexcept nogil:
    """Poll a link until a buffer comes; -1 when that does not happen."""
    cdef uint64_t until = 0
    cdef uint32_t looks = 0
    cdef int32_t slot
    while True:
        slot = recv_rt(m.a, link, word)
        if slot >= 0:
            return slot
        looks += 1
        if looks & 0xffff == 0 and give_up(m, &until):
            return -1


cdef bint await_value(match* m, int line, uint64_t value) noexcept nogil:
    """Poll a line until it holds a value; False when that does not happen."""
    cdef uint64_t until = 0
    cdef uint32_t looks = 0
    while load_acquire_u64(&bench_line[line].value) != value:
        looks += 1
        if looks & 0xffff == 0 and give_up(m, &until):
            return False
    return True


cdef bint give_up(match* m, uint64_t* until) noexcept nogil:
    """Tell a poller that the other thread has failed, or is silent for too long."""
    if not until[0]:
        until[0] = pong_now() + PATIENCE
    elif pong_now() > until[0]:
        store_relaxed_u32(&m.failed, 1)
    return load_relaxed_u32(&m.failed)


cdef bint one_trip(match* m, int contender, int32_t* slot, uint64_t* word) noexcept nogil:
    """Make a round trip, on the side that begins it."""
    if contender >= RAW:
        m.bounce += 2
        store_release_u64(&bench_line[0].value, m.bounce - 1)
        return await_value(m, contender == PAIR, m.bounce)
    if contender == FRESH:
        slot[0] = acquire_rt(m.a, m.a.header.count, word)
        if slot[0] < 0:
            return False
    if send_rt(m.a, m.there, slot[0], word) != SENT:
        return False
    slot[0] = await_slot(m, m.home, word)
    if slot[0] < 0:
        return False
    return contender == KEPT or release_rt(m.a, slot[0], word[0])


cdef void lead(void* argument) noexcept nogil:
    """Thread A: makes the trips of all contenders in turn, round by round, and times them."""
    cdef match* m = <match*>argument
    cdef uint64_t r, _i, begin, word
    cdef int32_t slot
    cdef int contender
    m.pinned[0] = bench_pin(m.cores[0]) == 0
    for r in range(m.rounds):
        for contender in range(CONTENDERS):
            if contender == KEPT:
                slot = acquire_rt(m.a, m.a.header.count, &word)
            begin = pong_now()
            for _i in range(m.trips):
                if not one_trip(m, contender, &slot, &word):
                    store_relaxed_u32(&m.failed, 1)
                    return
            m.times[r * CONTENDERS + contender] = pong_now() - begin
            if contender == KEPT and not release_rt(m.a, slot, word):
                store_relaxed_u32(&m.failed, 1)
                return


cdef void follow(void* argument) noexcept nogil:
    """Thread B: sends back what comes."""
    cdef match* m = <match*>argument
    cdef uint64_t _r, _i, word
    cdef uint64_t value = 0
    cdef int32_t slot
    cdef int contender
    m.pinned[1] = bench_pin(m.cores[1]) == 0
    for _r in range(m.rounds):
        for contender in range(CONTENDERS):
            for _i in range(m.trips):
                if contender >= RAW:
                    value += 2
                    if not await_value(m, 0, value - 1):
                        return
                    store_release_u64(&bench_line[contender == PAIR].value, value)
                else:
                    slot = await_slot(m, m.there, &word)
                    if slot < 0:
                        return
                    if send_rt(m.a, m.home, slot, &word) != SENT:
                        store_relaxed_u32(&m.failed, 1)
                        return


def round_trips(BufferPool pool, Sender there, Sender home, int core_a, int core_b, uint64_t rounds, uint64_t trips):
    """Return times of ``trips`` round trips between two threads, ``rounds`` of each contender, in turn.

    Returns
    -------
    (kept, fresh, raw, pair, pinned) : four lists of int, and whether both threads stayed on the cores they were given
        ``kept``: one buffer goes round; ``fresh``: it is acquired and released in each trip; ``raw``: one line is
        bounced; ``pair``: two lines, one for each way.
    """
    cdef pong_thread threads[2]
    cdef pong_thread_start_t starts[2]
    cdef match m
    cdef uint64_t[::1] times
    cdef int i, started = 0
    from array import array
    found = array("Q", bytes(8 * rounds * <uint64_t>CONTENDERS))
    times = found
    memset(&m, 0, sizeof(m))
    m.a = pool.a
    m.there = there.link.index
    m.home = home.link.index
    m.cores[0] = core_a
    m.cores[1] = core_b
    m.rounds = rounds
    m.trips = trips
    m.times = &times[0]
    bench_line[0].value = bench_line[1].value = 0
    starts[0].run = follow
    starts[1].run = lead
    starts[0].argument = starts[1].argument = &m
    while started < 2 and pong_thread_start(&threads[started], &starts[started]) == 0:
        started += 1
    if started < 2:
        store_relaxed_u32(&m.failed, 1)
    with nogil:
        for i in range(started):
            pong_thread_join(threads[i])
    assert started == 2, "a thread cannot be started"
    assert not m.failed, "a move failed"
    contenders = [found[i::CONTENDERS].tolist() for i in range(CONTENDERS)]
    return (*contenders, m.pinned[0] and m.pinned[1])
