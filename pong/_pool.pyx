"""The pool: its geometry, what happens when it is empty, and its statistics."""
import sys
import warnings

import numpy as np

cimport cython
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memset

from pong._arena cimport NOW, Arena, as_count, deadline_of, map_arena, sleep_on
from pong._buffer cimport Buffer, attach, blank_buffer
from pong._readings cimport census, pool_counters, pool_stats, take_census
from pong._views cimport Views
from pong.errors import ClosedError, PoolExhausted, PoolExhaustedWarning
from pong.kernel.arena cimport arena_wiped, round_up
from pong.kernel.atomic cimport load_relaxed_u32, load_seq_cst_u32, store_seq_cst_u32
from pong.kernel.freeset cimport freeset_find_rt, freeset_has
from pong.kernel.layout cimport (
    PONG_ABI, PONG_LINE, PONG_MAX_LINKS, PONG_MAX_SLOTS, pong_arena, pong_control, pong_header,
)
from pong.kernel.meter cimport count_rt
from pong.kernel.platform cimport pong_give_back, pong_page_size
from pong.kernel.transfer cimport acquire_rt
from pong.kernel.wait cimport notify_link_rt, notify_pool_rt, prepare_wait

MAX_BLOCKSIZE = 1 << 24
MAX_CHANNELS = 1024
MAX_ITEMSIZE = 1 << 16

# Seconds between two looks at what wakes nobody who waits for a buffer.
cdef double LOOK = 0.25

# Arenas that begin at the same place in a page collide in the first-level cache: each new one starts further on.
cdef uint32_t next_stagger = 0

# What a pool that was never made looks like: closed, and without slots.
cdef pong_header no_header
cdef pong_control no_control
cdef pong_arena nowhere
nowhere.header = &no_header
nowhere.control = &no_control
no_control.closed = 1

# Makes (Sender, Receiver) of a pool; the module of links, which stands on this one, puts it here.
cdef object link_factory = None


def set_link_factory(factory):
    """Say what `BufferPool.link` calls; for the module of links."""
    global link_factory
    link_factory = factory


cdef object sample_dtype(object dtype):
    """Return a dtype that samples may have, or raise an error that says which ones may."""
    if dtype is None:
        raise TypeError("dtype must be a sample format such as 'float32' or 'int16', not None")
    try:
        found = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        raise type(error)(f"dtype must be a sample format such as 'float32' or 'int16': {error}") from None
    if found.hasobject:
        raise TypeError(f"dtype must be plain memory, not {found}: objects cannot be shared with native code")
    if not found.isnative:
        raise ValueError(f"dtype must be in native byte order, not {found!r}; try {found.newbyteorder('=')!r}")
    if found.subdtype is not None or not 1 <= found.itemsize <= MAX_ITEMSIZE:
        raise ValueError(f"dtype must be one item of 1 to {MAX_ITEMSIZE} bytes, not {found!r}; see channels")
    return found


def sample_order(order):
    """Return an order of samples, or raise an error that says which ones there are."""
    if not isinstance(order, str) or order not in ("C", "F"):
        raise ValueError(f"order must be 'C' (interleaved frames) or 'F' (one plane per channel), not {order!r}")
    return order


cdef class BufferPool:
    """A fixed pool of audio buffers, allocated once.

    Parameters
    ----------
    count : int
        Slots, 1 to 1024.
    blocksize : int
        Frames in one buffer, 1 to 2**24.
    channels : int
        Audio channels, 1 to 1024.
    dtype : dtype_like
        Sample format in native byte order; packed int24 is ``"V3"``.
    order : {"C", "F"}
        How a buffer's samples lie in memory: "C" for frames, channels interleaved; "F" for planes, each channel's
        samples in one piece, as JACK has them.
    samplerate : float, optional
        Frames per second, kept for who asks; more than 0.
    on_empty : {"allocate", "raise"}
        What `acquire` does when no slot is free: take an overflow slot and warn once for each episode, or raise
        `PoolExhausted`.
    overflow : int, optional
        How many overflow slots may exist, 1 to 1024; the default is ``count``. Only with ``on_empty="allocate"``.
    max_links : int
        Links that may be open at once, 1 to 1024.
    lock_memory : bool
        Lock the pool into memory (not its overflow slots).
    timestamps : bool
        Time every move and keep histograms for `stats`; three readings of the clock for each trip of a buffer.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range; the text names the range.
    MemoryError
        The memory cannot be mapped.
    OSError
        The memory cannot be locked; the text names the limit.

    Notes
    -----
    Thread: any. Blocks: while the memory is touched. Allocates: everything, once.
    """

    # Where ring positions and generations begin; tests of wrap-around set it in a subclass.
    _first_position = 0

    def __cinit__(self, *args, **kwargs):
        # Until it is made, and for good if that fails, the pool is closed.
        self.a = &nowhere

    def __init__(
        self, count=16, blocksize=1024, channels=1, dtype="float32", *, order="C", samplerate=None,
        on_empty="allocate", overflow=None, max_links=8, lock_memory=False, timestamps=False,
    ):
        global next_stagger
        cdef pong_header geometry
        if self.arena is not None:
            raise RuntimeError("a pool is made once")
        memset(&geometry, 0, sizeof(geometry))
        geometry.abi = PONG_ABI
        geometry.count = as_count(count, "count", 1, PONG_MAX_SLOTS)
        geometry.blocksize = as_count(blocksize, "blocksize", 1, MAX_BLOCKSIZE)
        cdef uint32_t wide = as_count(channels, "channels", 1, MAX_CHANNELS)
        geometry.max_links = as_count(max_links, "max_links", 1, PONG_MAX_LINKS)
        dtype = sample_dtype(dtype)
        if sample_order(order) == "F":
            geometry.plane = geometry.blocksize
        if not isinstance(on_empty, str) or on_empty not in ("allocate", "raise"):
            raise ValueError(f"on_empty must be 'allocate' or 'raise', not {on_empty!r}")
        self.allocate = on_empty == "allocate"
        if self.allocate:
            geometry.overflow = geometry.count
        if overflow is not None:
            geometry.overflow = as_count(overflow, "overflow", 1, PONG_MAX_SLOTS)
            if not self.allocate:
                raise ValueError("overflow goes with on_empty='allocate'; on_empty='raise' has no overflow slots")
        if samplerate is not None:
            if isinstance(samplerate, (bool, str)) or not hasattr(type(samplerate), "__float__"):
                raise TypeError(f"samplerate must be a number of frames per second, not {samplerate!r}")
            if isinstance(samplerate, np.floating):
                # The bound below is none of a smaller type's.
                samplerate = samplerate.item()
            if not 0 < samplerate <= sys.float_info.max:
                raise ValueError(f"samplerate must be more than 0 and finite, not {samplerate!r}")
            geometry.samplerate = samplerate
        self._samplerate = samplerate
        geometry.slots = geometry.count + geometry.overflow
        while <uint32_t>1 << geometry.ring_bits < geometry.slots:
            geometry.ring_bits += 1
        geometry.ring_stride = round_up(sizeof(uint32_t) << geometry.ring_bits, PONG_LINE) // sizeof(uint32_t)
        geometry.frame_bytes = wide * dtype.itemsize
        geometry.stride = round_up(geometry.blocksize * geometry.frame_bytes, 64)
        geometry.overflow_stride = round_up(geometry.stride, pong_page_size())
        geometry.timed = bool(timestamps)
        geometry.stagger = next_stagger
        next_stagger = (next_stagger + PONG_LINE) % (16 * PONG_LINE)
        cdef Arena arena = map_arena(&geometry, bool(lock_memory), self._first_position)
        self.views = Views(arena, dtype, wide)
        self.arena = arena
        self.a = &arena.a

    cdef int refuse_acquire(self) except -1:
        """Raise where Python may not acquire."""
        self.check_open()
        raise RuntimeError("a native stream acquires from this pool: Python cannot, until the stream is closed")

    cdef int check_open(self) except -1:
        """Raise if the pool is closed, or belongs to another process."""
        # C6: pairs with C4. Sequentially consistent, because a waiter looks here after it has set its bit.
        if load_seq_cst_u32(&self.a.control.closed):
            raise ClosedError("the pool is closed")
        if arena_wiped(self.a):
            raise ClosedError("the pool belongs to the parent process: make one in the child after the fork")
        return 0

    cdef int32_t take(self, uint32_t limit, uint64_t* word) except -2:
        """Take a free slot below ``limit``, or -1; raise where Python may not acquire."""
        # C10: pairs with C4. Sequentially consistent, because a waiter looks here after it has set its bit.
        if load_seq_cst_u32(&self.a.control.closed) | load_relaxed_u32(&self.a.control.bound):
            self.refuse_acquire()
        if self.episode:
            self.end_episode()
        return acquire_rt(self.a, limit, word)

    @cython.critical_section
    def acquire(self, timeout=0):
        """Take a buffer out of the pool.

        Parameters
        ----------
        timeout : float or None
            Seconds to wait for a free slot when there is none; None waits for ever, and never takes an overflow slot.

        Returns
        -------
        Buffer
            Its samples are undefined, `Buffer.frames` is the block size, all metadata is reset.

        Raises
        ------
        PoolExhausted
            No slot came free and there is no overflow slot to take.
        ClosedError
            The pool is closed, or was closed during the wait.
        RuntimeError
            A native stream acquires from this pool.
        TypeError, ValueError
            Not a timeout.

        Warns
        -----
        PoolExhaustedWarning
            An overflow slot is taken, the first since all of them were back in the pool.

        Notes
        -----
        Thread: any. Blocks: up to ``timeout``. Allocates: no.
        """
        cdef uint64_t deadline = deadline_of(timeout)
        cdef Buffer buf = blank_buffer()
        cdef uint64_t word
        cdef int32_t slot = self.take(self.a.header.count, &word)
        if slot < 0:
            slot = self.take_or_wait(deadline, &word)
        attach(buf, self.views, slot, word)
        return buf

    @cython.critical_section
    def _acquire_unless(self, over):
        """Wait for a buffer for ever, as `acquire`, but return None once ``over()`` is true, looked at now and then."""
        cdef Buffer buf = blank_buffer()
        cdef uint64_t word
        cdef int32_t slot = self.take(self.a.header.count, &word)
        while slot < 0:
            self.check_open()
            slot = self.wait(deadline_of(LOOK), &word)
            if slot < 0 and over():
                return None
        attach(buf, self.views, slot, word)
        return buf

    cdef int32_t take_or_wait(self, uint64_t deadline, uint64_t* word) except -2:
        """Do what the pool does when it is empty: wait, take an overflow slot, or raise."""
        cdef int32_t slot = -1
        self.check_open()
        if deadline != NOW:
            slot = self.wait(deadline, word)
        if slot < 0 and self.allocate:
            slot = self.take_overflow(word)
        if slot < 0:
            count_rt(&self.a.acquirer.exhausted)
            raise PoolExhausted(f"no slot is free: {self.where_slots_are()}")
        return slot

    cdef int32_t wait(self, uint64_t deadline, uint64_t* word) except -2:
        """Wait for a free slot; -1 when the time is up."""
        cdef uint32_t seen
        cdef int32_t slot
        cdef bint in_time
        while True:
            seen = prepare_wait(&self.a.control.event)
            slot = self.take(self.a.header.count, word)
            if slot >= 0:
                return slot
            in_time = sleep_on(self.arena, &self.a.control.event, seen, deadline)
            slot = self.take(self.a.header.count, word)
            if slot >= 0 or not in_time:
                return slot

    cdef int32_t take_overflow(self, uint64_t* word) except -2:
        """Take an overflow slot, after a warning if it is the first of an episode; -1 when there is none."""
        cdef int32_t slot
        if freeset_find_rt(self.a, self.a.header.slots) < 0:
            return -1
        if not self.episode and not self.warning:
            self.warning = True
            try:
                # Before the slot is taken: where warnings are errors, none is lost.
                warnings.warn(
                    f"the pool of {self.a.header.count} is empty, an overflow slot is used: {self.where_slots_are()}",
                    PoolExhaustedWarning,
                    stacklevel=1,
                )
            finally:
                self.warning = False
        slot = self.take(self.a.header.slots, word)
        if slot >= <int32_t>self.a.header.count:
            self.episode = True
            count_rt(&self.a.acquirer.overflowed)
        return slot

    cdef void end_episode(self) noexcept:
        """Give the overflow slots' memory back to the system once all of them are free."""
        cdef uint32_t slot
        for slot in range(self.a.header.count, self.a.header.slots):
            if not freeset_has(self.a, slot) or load_relaxed_u32(&self.a.slots[slot].pins):
                return
        self.episode = False
        pong_give_back(self.a.overflow_samples, self.a.header.overflow * self.a.header.overflow_stride)

    cdef str where_slots_are(self):
        """Say how many slots are owned, queued and pinned, for the text of an error."""
        cdef census found = take_census(self.a, NULL)
        return f"{found.owned} owned, {found.queued} queued, {found.pinned} pinned"

    def link(self):
        """Open a one-way path for buffers of this pool.

        Returns
        -------
        (Sender, Receiver)

        Raises
        ------
        ClosedError
            The pool is closed.
        RuntimeError
            All ``max_links`` links are open.

        Notes
        -----
        Thread: any. Blocks: no. Allocates: yes.
        """
        self.check_open()
        return link_factory(self)

    @cython.critical_section
    def stats(self, reset=False):
        """Return what is where, and what has happened.

        Parameters
        ----------
        reset : bool
            Let the counters of the next call start from here. The pool's own are not touched: another reader
            notices nothing.

        Returns
        -------
        PoolStats

        Notes
        -----
        Thread: any. Blocks: no. Allocates: yes.
        """
        if self.episode and not load_relaxed_u32(&self.a.control.bound):
            self.end_episode()
        if self.arena is None:
            raise ClosedError("the pool was never made")
        # Read once: what is counted after this belongs to the next call.
        now = pool_counters(self.a)
        result = pool_stats(self.a, now, self.baseline or {})
        if reset:
            self.baseline = now
        return result

    def close(self):
        """Close the pool; closing twice changes nothing.

        `acquire` and `Sender.send` raise `ClosedError` from now on, waits end with it, receivers first get what is
        queued. Buffers in hand stay valid. The memory goes when the pool object and the last buffer, view, link end and
        stream are gone.

        Notes
        -----
        Thread: any. Blocks: no. Allocates: no.
        """
        cdef uint32_t link
        if arena_wiped(self.a):
            return
        # C4: pairs with C5, C6, C7, C10, C11, C13. A waiter that looks again after it has set its bit sees this.
        store_seq_cst_u32(&self.a.control.closed, 1)
        notify_pool_rt(self.a)
        for link in range(self.a.header.max_links):
            notify_link_rt(self.a, &self.a.links[link])

    @property
    def closed(self):
        """Whether the pool is closed (in a forked child: always)."""
        return arena_wiped(self.a) or load_relaxed_u32(&self.a.control.closed) != 0

    @property
    def free(self):
        """Slots of the pool that can be handed out at once, overflow slots not among them."""
        return take_census(self.a, NULL).free

    @property
    def in_use(self):
        """Slots owned, queued or pinned, overflow slots among them."""
        cdef census found = take_census(self.a, NULL)
        return found.owned + found.queued + found.pinned

    @property
    def blocksize(self):
        """Frames in one buffer."""
        return self.a.header.blocksize

    @property
    def channels(self):
        """Audio channels."""
        return 0 if self.views is None else self.views.channels

    @property
    def dtype(self):
        """Sample format."""
        return None if self.views is None else self.views.dtype

    @property
    def order(self):
        """How samples lie in memory: "C" for interleaved frames, "F" for one plane per channel."""
        return "F" if self.a.header.plane else "C"

    @property
    def samplerate(self):
        """Frames per second, as given; None if not."""
        return self._samplerate

    def __len__(self):
        return self.a.header.count

    def __bool__(self):
        return True

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def __repr__(self):
        if self.closed:
            return "<pong.BufferPool closed>"
        return (
            f"<pong.BufferPool {len(self)} x {self.blocksize} frames, {self.channels} channels, {self.dtype}"
            f"{', planar' if self.a.header.plane else ''}: {self.free} free>"
        )

    def __reduce_ex__(self, protocol):
        raise TypeError("a BufferPool is memory of this process: it cannot be copied or pickled")
