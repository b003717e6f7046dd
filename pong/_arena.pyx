"""The mapping behind a pool: made, locked, touched, waited on and unmapped here."""
import math
import operator
import os
import threading

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport uint32_t, uint64_t

from pong.kernel.atomic cimport fetch_add_relaxed_u32
from pong.kernel.arena cimport arena_begin, arena_locate, arena_prefault
from pong.kernel.layout cimport PONG_DEBUG, pong_arena, pong_header
from pong.kernel.platform cimport (
    EINTR, ETIMEDOUT, pong_lock, pong_map, pong_now, pong_page_size, pong_unmap, pong_wait,
)

ZERO = 0
MAX_TIMEOUT = threading.TIMEOUT_MAX

# A signal that arrives between the last look at Python's signal flag and the system call would not end the sleep.
# The main thread, which alone runs signal handlers, therefore sleeps in slices.
cdef uint64_t SLICE = 100_000_000

cdef uint32_t balance_of[<int>COUNTED]


@cython.final
@cython.no_gc
cdef class Arena:
    """One memory mapping; unmapped when the last lease, link end, pool or stream that refers to it is gone."""

    def __dealloc__(self):
        if self.a.base != NULL:
            pong_unmap(self.a.base, self.size)
            balance_add(ARENAS, -1)


cdef Arena map_arena(pong_header* geometry, bint lock, uint64_t start):
    """Map, touch and, if asked, lock an arena of a given geometry (offsets are derived, see `arena_locate`)."""
    cdef Arena arena = Arena.__new__(Arena)
    cdef uint64_t page = pong_page_size()
    cdef pong_arena sizes
    cdef void* base
    cdef uint64_t locked
    cdef int error
    arena.size = arena_locate(&sizes, NULL, geometry, page)
    geometry.size = arena.size
    with nogil:
        base = pong_map(arena.size)
    if base == NULL:
        raise MemoryError(f"cannot map {arena.size} bytes for the pool")
    balance_add(ARENAS, 1)
    with nogil:
        arena_locate(&arena.a, base, geometry, page)
        arena_begin(&arena.a, geometry, start)
        arena_prefault(&arena.a, page)
    if lock:
        locked = arena.a.overflow_samples - arena.a.base
        with nogil:
            error = pong_lock(base, locked)
        if error:
            raise OSError(
                error, f"{os.strerror(error)}: cannot lock {locked} bytes; the limit is {lock_limit()}"
            )
    return arena


def lock_limit():
    """Say how much memory this process may lock, for the text of an error."""
    try:
        import resource
    except ImportError:
        return "set by the working set size"
    soft = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    return "none" if soft == resource.RLIM_INFINITY else f"{soft} bytes (RLIMIT_MEMLOCK, `ulimit -l`)"


cdef uint64_t as_count(object value, str name, uint64_t least, uint64_t most) except? 0:
    """Return a whole number within bounds, or raise an error that names both."""
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise TypeError(f"{name} must be an integer from {least} to {most}, not {value!r}")
    number = operator.index(value)
    if not least <= number <= most:
        raise ValueError(f"{name} must be from {least} to {most}, not {number}")
    return number


cdef uint64_t parse_timeout(object timeout) except? 1:
    """Check a timeout and turn it into a time of the monotonic clock."""
    cdef double seconds
    if isinstance(timeout, (bool, str, bytes)):
        raise TypeError(f"timeout must be None or a number of seconds, not {timeout!r}")
    try:
        seconds = timeout
    except OverflowError:
        seconds = math.inf
    except TypeError:
        raise TypeError(f"timeout must be None or a number of seconds, not {timeout!r}") from None
    if not 0 <= seconds <= MAX_TIMEOUT:
        raise ValueError(f"timeout must be None or from 0 to {MAX_TIMEOUT:.0f} seconds, not {timeout!r}")
    if seconds == 0:
        return NOW
    return pong_now() + <uint64_t>(seconds * 1e9)


cdef bint sleep_on(Arena arena, uint32_t* event, uint32_t seen, uint64_t deadline) except -1:
    """Sleep without the GIL until the event count moves on; False when the deadline has passed.

    Raises what a signal handler raises: KeyboardInterrupt, for one.
    """
    return sleep_until(event, seen, deadline, arena.a.header.shared)


cdef bint sleep_until(uint32_t* event, uint32_t seen, uint64_t deadline, bint shared=False) except -1:
    """Do the same for a word that is in no arena."""
    cdef uint64_t until = deadline
    cdef uint64_t now
    cdef int result
    if threading.get_ident() == threading.main_thread().ident:
        now = pong_now()
        until = min(deadline, now + SLICE)
    with nogil:
        result = pong_wait(event, seen, until, shared)
    if result == EINTR or until != deadline:
        PyErr_CheckSignals()
    return not (result == ETIMEDOUT and pong_now() >= deadline)


cdef void balance_add(counted what, int number) noexcept nogil:
    """Keep the books of the debug build: what is made must go."""
    if PONG_DEBUG:
        fetch_add_relaxed_u32(&balance_of[<int>what], <uint32_t>number)


def balance():
    """Return what lives now, by kind, in the debug build; an empty dict elsewhere."""
    if not PONG_DEBUG:
        return {}
    return {name: <int>balance_of[i] for i, name in enumerate(("arenas", "leases", "handles", "pins", "links"))}
