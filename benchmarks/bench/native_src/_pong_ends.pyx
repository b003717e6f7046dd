# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# distutils: language = c++
"""pong's kernel behind the loops that time its rivals, inlined into them as into any module that cimports it."""
from libc.stdint cimport int32_t, uint32_t, uint64_t, uintptr_t

from pong._link cimport Sender
from pong._pool cimport BufferPool
from pong.kernel.arena cimport slot_samples_rt
from pong.kernel.layout cimport PONG_DEBUG, pong_arena
from pong.kernel.transfer cimport SENT, acquire_rt, recv_rt, release_rt, send_rt

cdef extern from "pong_ends.hpp" nogil:
    cdef cppclass Links[T]:
        pass
    ctypedef struct Released:
        pass
    ctypedef struct SentBack:
        pass
    void add_link[T](Links[T]& links, pong_arena* a, uint32_t there, uint32_t home)

DEBUG = bool(PONG_DEBUG)


# The names in quotes are those by which pong_ends.hpp knows them.
cdef inline int32_t take "ends_acquire"(pong_arena* a, uint64_t* word) noexcept nogil:
    return acquire_rt(a, a.header.count, word)


cdef inline int give "ends_send"(pong_arena* a, uint32_t link, int32_t slot, uint64_t* word) noexcept nogil:
    return send_rt(a, link, slot, word) == SENT


cdef inline int32_t get "ends_recv"(pong_arena* a, uint32_t link, uint64_t* word) noexcept nogil:
    return recv_rt(a, link, word)


cdef inline int put_back "ends_release"(pong_arena* a, int32_t slot, uint64_t word) noexcept nogil:
    return release_rt(a, slot, word)


cdef inline unsigned char* samples "ends_samples"(pong_arena* a, int32_t slot) noexcept nogil:
    return slot_samples_rt(a, slot)


cdef class ReleasedLinks:
    """Links whose receiver releases to the pool; `address` is what the C++ code calls them by."""

    cdef Links[Released] links
    cdef list kept

    def __init__(self, pools, senders):
        cdef BufferPool pool
        cdef Sender sender
        self.kept = [*pools, *senders]
        for pool, sender in zip(pools, senders, strict=True):
            add_link[Released](self.links, pool.a, sender.link.index, 0)

    @property
    def address(self):
        return <uintptr_t>&self.links


cdef class SentBackLinks:
    """Links whose receiver sends each buffer back through a second link, where all of the pool's are at first."""

    cdef Links[SentBack] links
    cdef list kept

    def __init__(self, pools, senders, homes):
        cdef BufferPool pool
        cdef Sender sender, home
        self.kept = [*pools, *senders, *homes]
        for pool, sender, home in zip(pools, senders, homes, strict=True):
            for _ in range(len(pool)):
                home.send(pool.acquire())
            add_link[SentBack](self.links, pool.a, sender.link.index, home.link.index)

    @property
    def address(self):
        return <uintptr_t>&self.links
