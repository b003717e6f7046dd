"""Native senders and receivers: threads of the kernel's own that never take the GIL and drop nothing."""
from libc.stdint cimport int32_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from pong._link cimport Receiver, Sender
from pong._pool cimport BufferPool
from pong.kernel.atomic cimport load_seq_cst_u32
from pong.kernel.layout cimport PONG_SENDER_CLOSED, pong_arena
from pong.kernel.opening cimport link_close
from pong.kernel.platform cimport pong_thread, pong_thread_join, pong_thread_start, pong_thread_start_t
from pong.kernel.transfer cimport CLOSED, STALE, release_rt, send_rt
from waiting cimport STALLED, acquire_waiting, fill, intact, mix, recv_waiting

cdef enum:
    MAX_LINKS = 4
    MAX_HELD = 64


ctypedef struct Task:
    pong_arena* a
    uint32_t links[MAX_LINKS]   # a sender's, in turn; of a receiver's only the first is used
    uint32_t width
    uint32_t held               # how many blocks a receiver keeps
    uint32_t closing            # a sender closes its links at the end
    uint64_t number             # blocks to transfer
    uint64_t first              # number of a receiver's first block
    uint64_t step               # from one block of a receiver to the next
    uint64_t done
    uint64_t sleeps
    uint64_t retracted          # sends that a closing receiver refused after the slot was claimed
    const char* fault


cdef void run_sender(void* argument) noexcept nogil:
    """Acquire, fill, send; stop at the number, at the end of the pool or the link, or at a fault."""
    cdef Task* t = <Task*>argument
    cdef uint64_t word, before
    cdef uint32_t i
    cdef int32_t slot
    cdef int result
    while t.done < t.number:
        slot = acquire_waiting(t.a, &word, &t.sleeps)
        if slot < 0:
            if slot == STALLED:
                t.fault = "nobody woke the sender: no slot came free"
            break
        t.a.slots[slot].tag = fill(t.a, slot, t.done)
        before = word
        result = send_rt(t.a, t.links[t.done % t.width], slot, &word)
        if result == STALE:
            t.fault = "the owner of a slot could not send it"
            break
        if result == CLOSED:
            if word != before:
                t.retracted += 1
            if not release_rt(t.a, slot, word):
                t.fault = "a slot was refused and yet given away"
            break
        t.done += 1
    if t.closing:
        for i in range(t.width):
            link_close(t.a, t.links[i], PONG_SENDER_CLOSED)


cdef void run_receiver(void* argument) noexcept nogil:
    """Receive, check, keep some blocks and check them again before they are released, in no particular order."""
    cdef Task* t = <Task*>argument
    cdef uint64_t word, block, seq = 0
    cdef uint64_t words[MAX_HELD]
    cdef uint64_t blocks[MAX_HELD]
    cdef int32_t slots[MAX_HELD]
    cdef uint32_t i, place
    cdef int32_t slot
    for i in range(<uint32_t>MAX_HELD):
        slots[i] = -1
    while t.done < t.number:
        slot = recv_waiting(t.a, t.links[0], &word, &t.sleeps)
        if slot < 0:
            if slot == STALLED:
                t.fault = "nobody woke the receiver: no message came"
            break
        block = t.first + seq * t.step
        if t.a.slots[slot].seq != seq:
            t.fault = "a message was lost, doubled or out of order"
        if not intact(t.a, slot, block):
            t.fault = "a block arrived changed"
        seq += 1
        t.done += 1
        if t.held:
            place = mix(block) % t.held
            slot, slots[place] = slots[place], slot
            word, words[place] = words[place], word
            block, blocks[place] = blocks[place], block
        if slot >= 0:
            if not intact(t.a, slot, block):
                t.fault = "a block changed in its owner's hands"
            if not release_rt(t.a, slot, word):
                t.fault = "the owner of a slot could not release it"
    for i in range(<uint32_t>MAX_HELD):
        if slots[i] >= 0 and not (intact(t.a, slots[i], blocks[i]) and release_rt(t.a, slots[i], words[i])):
            t.fault = "a block changed, or could not be released, at the end"


cdef class NativeThread:
    """One running thread; `join` gives its result. It may not be dropped before."""
    cdef Task task
    cdef pong_thread thread
    cdef pong_thread_start_t start
    cdef bint running
    cdef object keep

    cdef begin(self, BufferPool pool, void (*run)(void*) noexcept nogil):
        self.keep = pool
        self.task.a = pool.a
        self.start.run = run
        self.start.argument = &self.task
        if pong_thread_start(&self.thread, &self.start):
            raise OSError("cannot start a thread")
        self.running = True
        return self

    def join(self):
        """Wait for the thread; return what it has done, or raise AssertionError with the fault it found."""
        if self.running:
            with nogil:
                pong_thread_join(self.thread)
            self.running = False
        if self.task.fault != NULL:
            raise AssertionError(f"{self.task.fault.decode()}, after {self.task.done} blocks")
        return {"done": self.task.done, "sleeps": self.task.sleeps, "retracted": self.task.retracted}

    def __dealloc__(self):
        if self.running:
            with nogil:
                pong_thread_join(self.thread)


def native_sender(BufferPool pool, senders, uint64_t number, bint closing=False):
    """Start a thread that sends ``number`` blocks through ``senders`` in turn and waits for free slots."""
    cdef NativeThread thread = NativeThread()
    cdef Sender sender
    if not 1 <= len(senders) <= MAX_LINKS:
        raise ValueError(f"1 to {MAX_LINKS} senders")
    for i, sender in enumerate(senders):
        thread.task.links[<int>i] = sender.link.index
    thread.task.width = len(senders)
    thread.task.number = number
    thread.task.closing = closing
    return thread.begin(pool, run_sender)


def native_receiver(BufferPool pool, Receiver receiver, uint64_t number, uint32_t held=0, uint64_t first=0,
                    uint64_t step=1):
    """Start a thread that receives ``number`` blocks, checks every byte and holds ``held`` of them at a time."""
    cdef NativeThread thread = NativeThread()
    if held > MAX_HELD:
        raise ValueError(f"at most {MAX_HELD} held")
    thread.task.links[0] = receiver.link.index
    thread.task.number = number
    thread.task.held = held
    thread.task.first = first
    thread.task.step = step
    return thread.begin(pool, run_receiver)


cdef uint32_t* event_of(waited) except NULL:
    if isinstance(waited, BufferPool):
        return &(<BufferPool>waited).a.control.event
    return &(<Receiver?>waited).link.place.control.event


def event_address(waited):
    """Return where the event count of a pool's acquirers, or of a link's receivers, is: what a waiter sleeps on."""
    return <uintptr_t>event_of(waited)


def awaited(waited):
    """Tell whether somebody has said that it waits for a pool's slots or a link's messages."""
    return load_seq_cst_u32(event_of(waited)) & 1 == 1


# What the sanitizers must report: ci/sanitize calls these to see that its runs can fail.

cdef void add_without_order(void* argument) noexcept nogil:
    cdef uint64_t* counter = <uint64_t*>argument
    for _ in range(100_000):
        counter[0] += 1


def seeded_race():
    """Let two native threads write to one place without any order."""
    cdef uint64_t counter = 0
    cdef pong_thread threads[2]
    cdef pong_thread_start_t start
    start.run = add_without_order
    start.argument = &counter
    for i in range(2):
        if pong_thread_start(&threads[<int>i], &start):
            raise OSError("cannot start a thread")
    with nogil:
        pong_thread_join(threads[0])
        pong_thread_join(threads[1])
    return counter


def seeded_overrun(size_t beyond):
    """Write behind the end of an allocation."""
    cdef unsigned char* memory = <unsigned char*>malloc(16)
    memset(memory, 1, 16 + beyond)
    # Without a use of it the compiler would leave all of this out.
    found = memory[beyond]
    free(memory)
    return found


def seeded_shift(int bits):
    """Shift a number by more bits than it has."""
    cdef uint64_t one = 1
    return one << bits
