"""The table of C functions by which native code of others takes part (see include/pong.h), and the ends it opens."""
cimport cython
from cpython.exc cimport PyErr_Fetch, PyErr_Restore
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport strncpy

from pong._link cimport Link, Receiver, Sender
from pong._views cimport Views
from pong.errors import ClosedError
from pong.kernel.arena cimport arena_wiped, slot_samples_rt
from pong.kernel.atomic cimport load_relaxed_u64, load_seq_cst_u32, store_relaxed_u32
from pong.kernel.freeset cimport freeset_find_rt
from pong.kernel.layout cimport PONG_RECEIVER_CLOSED, PONG_SENDER_CLOSED, pong_arena, pong_slot
from pong.kernel.meter cimport count_rt
from pong.kernel.opening cimport link_close, link_closed
from pong.kernel.platform cimport ETIMEDOUT, pong_now, pong_wait
from pong.kernel.ring cimport ring_look_rt
from pong.kernel.transfer cimport CLOSED, SENT, acquire_rt, recv_rt, release_rt, send_rt
from pong.kernel.wait cimport notify_link_rt, notify_pool_rt, prepare_wait

# What is longer than this many seconds, 31 years, is for ever.
cdef enum:
    LONGEST = 1000000000

ctypedef struct end_state:       # what a pong_end is
    pong_arena* a
    uint32_t link
    uint32_t side                # which end: the flag that closes it
    bint acquires
    pong_format format
    PyObject* owner


@cython.final
cdef class End:
    """An end of a link that native code has opened: it holds what that end needs, and itself until it is closed."""

    cdef end_state state
    cdef Link link
    cdef object opened               # the Sender or Receiver: as long as this lives it is not closed for being dropped

    cdef int take(self, Link link, uint32_t side, bint acquires) except -1:
        """Become what Python may not be meanwhile, or say why that cannot be."""
        cdef Views views = <Views>link.views
        if arena_wiped(link.a):
            raise ClosedError("the pool belongs to the parent process: make one in the child after the fork")
        # One pool, one acquiring side: all links of a pool share its views.
        with cython.critical_section(link, views):
            if side == PONG_RECEIVER_CLOSED:
                link.begin_receiving()
            else:
                if link.sends_natively:
                    raise RuntimeError("another native stream sends on this link")
                if acquires and link.a.control.bound:
                    raise RuntimeError("another native stream acquires from this pool")
                link.begin_sending()
                if acquires:
                    link.a.control.bound = 1
        self.link = link
        self.state.a = link.a
        self.state.link = link.index
        self.state.side = side
        self.state.acquires = acquires
        self.state.format.count = link.a.header.count
        self.state.format.blocksize = link.a.header.blocksize
        self.state.format.channels = views.channels
        self.state.format.itemsize = views.dtype.itemsize
        self.state.format.samplerate = link.a.header.samplerate
        name = views.dtype.str.encode()
        strncpy(self.state.format.dtype, name, sizeof(self.state.format.dtype) - 1)
        self.state.format.plane = link.a.header.plane
        # Whoever waits in Python for what is native now is told.
        notify_pool_rt(link.a)
        notify_link_rt(link.a, link.place)
        return 0

    cdef pong_end* hand_out(self) noexcept:
        """Return what native code knows this by; it owns one reference."""
        Py_INCREF(self)
        self.state.owner = <PyObject*>self
        return <pong_end*>&self.state

    cdef void give_back(self):
        """Close this end of the link and give it back."""
        if self.state.acquires:
            store_relaxed_u32(&self.link.a.control.bound, 0)
        self.link.close_side(self.state.side)
        self.link.end_native(self.state.side)


cdef pong_end* open_sender(PyObject* sender, int acquires) except NULL:
    if sender == NULL or not isinstance(<object>sender, Sender):
        raise TypeError(f"sender must be a pong.Sender, not {named(sender)}")
    if acquires not in (0, 1):
        raise ValueError(f"acquires must be 0 or 1, not {acquires}")
    cdef End end = End.__new__(End)
    end.take((<Sender>sender).open_link(), PONG_SENDER_CLOSED, acquires)
    end.opened = <object>sender
    return end.hand_out()


cdef pong_end* open_receiver(PyObject* receiver) except NULL:
    if receiver == NULL or not isinstance(<object>receiver, Receiver):
        raise TypeError(f"receiver must be a pong.Receiver, not {named(receiver)}")
    cdef Link link = (<Receiver>receiver).link
    if link is None:
        raise ClosedError("the receiver is closed")
    cdef End end = End.__new__(End)
    end.take(link, PONG_RECEIVER_CLOSED, False)
    end.opened = <object>receiver
    return end.hand_out()


cdef str named(PyObject* thing):
    return "NULL" if thing == NULL else type(<object>thing).__name__


cdef void close_end(pong_end* end) noexcept:
    cdef PyObject *kind, *value, *traceback
    cdef End self
    if end == NULL:
        return
    # Who closes because of an error keeps it.
    PyErr_Fetch(&kind, &value, &traceback)
    self = <End>(<end_state*>end).owner
    self.give_back()
    Py_DECREF(self)
    self = None
    PyErr_Restore(kind, value, traceback)


cdef bint closed_rt(const end_state* e) noexcept nogil:
    """Tell whether any side of the link or the pool is closed; to be asked before looking for a message."""
    # C13: pairs with C4. What was sent before the pool was closed is visible now.
    return arena_wiped(e.a) or link_closed(e.a, e.link) != 0 or load_seq_cst_u32(&e.a.control.closed) != 0


cdef bint ended_rt(const end_state* e) noexcept nogil:
    """Tell whether nothing can be received whatever is queued: it goes home when the end is closed."""
    return arena_wiped(e.a) or link_closed(e.a, e.link) & PONG_RECEIVER_CLOSED


cdef void fill_rt(const end_state* e, int32_t slot, uint64_t word, pong_buffer* buffer) noexcept nogil:
    """Make a handle of an owned slot."""
    cdef pong_slot* s = &e.a.slots[slot]
    buffer.samples = slot_samples_rt(e.a, slot)
    buffer.block.seq = s.seq
    buffer.block.position = s.position
    buffer.block.gap = s.gap
    buffer.block.time = s.time
    buffer.block.samplerate = e.format.samplerate
    buffer.block.tag = s.tag
    buffer.block.frames = buffer.limit = s.frames
    buffer.block.channels = e.format.channels
    buffer.block.status = s.status
    buffer.block.time_source = s.time_source
    buffer.block.plane = e.format.plane
    buffer.pool = e.a
    buffer.word = word
    buffer.slot = slot


cdef int judge_rt(const end_state* e, const pong_buffer* buffer) noexcept nogil:
    """Judge a handle before its slot is touched."""
    if e == NULL or buffer == NULL:
        return PONG_INVALID
    if buffer.samples == NULL:
        return PONG_STALE
    if buffer.pool != <const void*>e.a:
        return PONG_INVALID
    # I1: whoever does not own the slot may not write its header. (In a forked child nobody does.)
    return PONG_OK if load_relaxed_u64(&e.a.slots[buffer.slot].owner) == buffer.word else PONG_STALE


cdef int end_acquire_rt(pong_end* end, pong_buffer* buffer) noexcept nogil:
    cdef end_state* e = <end_state*>end
    cdef uint64_t word
    cdef int32_t slot
    if e == NULL or buffer == NULL or not e.acquires:
        return PONG_INVALID
    if closed_rt(e):
        return PONG_CLOSED
    # Overflow slots are not for a real-time thread: their pages may be missing.
    slot = acquire_rt(e.a, e.a.header.count, &word)
    if slot < 0:
        return PONG_EMPTY
    fill_rt(e, slot, word, buffer)
    return PONG_OK


cdef int end_send_rt(pong_end* end, pong_buffer* buffer) noexcept nogil:
    cdef end_state* e = <end_state*>end
    cdef int found = judge_rt(e, buffer)
    cdef pong_slot* s
    if found != PONG_OK:
        return found
    if (e.side != PONG_SENDER_CLOSED or buffer.block.frames > buffer.limit
            or buffer.block.time_source > PONG_TIME_DEVICE):
        return PONG_INVALID
    s = &e.a.slots[buffer.slot]
    s.position = buffer.block.position
    s.gap = buffer.block.gap
    s.time = buffer.block.time
    s.tag = buffer.block.tag
    s.frames = buffer.block.frames
    s.status = buffer.block.status
    s.time_source = buffer.block.time_source
    found = send_rt(e.a, e.link, buffer.slot, &buffer.word)
    if found == SENT:
        buffer.samples = NULL
        return PONG_OK
    if found == CLOSED:
        count_rt(&e.a.links[e.link].sender.dropped)
        return PONG_CLOSED
    return PONG_STALE


cdef int end_recv_rt(pong_end* end, pong_buffer* buffer) noexcept nogil:
    cdef end_state* e = <end_state*>end
    cdef uint64_t word
    cdef int32_t slot
    cdef bint closed
    if e == NULL or buffer == NULL or e.side != PONG_RECEIVER_CLOSED:
        return PONG_INVALID
    if ended_rt(e):
        return PONG_CLOSED
    closed = closed_rt(e)
    slot = recv_rt(e.a, e.link, &word)
    if slot < 0:
        return PONG_CLOSED if closed else PONG_EMPTY
    fill_rt(e, slot, word, buffer)
    return PONG_OK


cdef int end_release_rt(pong_end* end, pong_buffer* buffer) noexcept nogil:
    cdef end_state* e = <end_state*>end
    cdef int found = judge_rt(e, buffer)
    if found != PONG_OK:
        return found
    if not release_rt(e.a, buffer.slot, buffer.word):
        return PONG_STALE
    buffer.samples = NULL
    return PONG_OK


cdef int end_finish_rt(pong_end* end) noexcept nogil:
    cdef end_state* e = <end_state*>end
    if e == NULL:
        return PONG_INVALID
    if not arena_wiped(e.a):
        link_close(e.a, e.link, e.side)
    return PONG_OK


cdef int end_is_closed_rt(pong_end* end) noexcept nogil:
    return end == NULL or closed_rt(<end_state*>end)


cdef const pong_format* end_format_rt(pong_end* end) noexcept nogil:
    return NULL if end == NULL else &(<end_state*>end).format


cdef int end_look(end_state* e) noexcept nogil:
    """Say what a try would find now."""
    cdef uint32_t slot
    cdef bint closed = closed_rt(e)
    if e.acquires:
        if closed:
            return PONG_CLOSED
        return PONG_OK if freeset_find_rt(e.a, e.a.header.count) >= 0 else PONG_EMPTY
    if ended_rt(e):
        return PONG_CLOSED
    if ring_look_rt(e.a, e.link, load_relaxed_u64(&e.a.links[e.link].receiver.tail), &slot):
        return PONG_OK
    return PONG_CLOSED if closed else PONG_EMPTY


cdef int end_wait(pong_end* end, double seconds) noexcept nogil:
    cdef end_state* e = <end_state*>end
    cdef uint64_t until
    cdef uint32_t* event
    cdef uint32_t seen
    cdef int found
    cdef bint late
    # Not `seconds < 0`: nothing is less than NaN.
    if e == NULL or not seconds >= 0 or (e.side == PONG_SENDER_CLOSED and not e.acquires):
        return PONG_INVALID
    if arena_wiped(e.a):
        return PONG_CLOSED
    until = pong_now() + <uint64_t>(min(seconds, <double>LONGEST) * 1e9)
    event = &e.a.control.event if e.acquires else &e.a.links[e.link].control.event
    while True:
        seen = prepare_wait(event)
        found = end_look(e)
        if found != PONG_EMPTY:
            return found
        late = pong_wait(event, seen, until, e.a.header.shared) == ETIMEDOUT
        # Before the bit is set again: it would cost the next sender a wake-up of nobody.
        found = end_look(e)
        if late or found != PONG_EMPTY:
            return found


cdef pong_api functions
functions.version = PONG_API_VERSION
functions.size = sizeof(pong_api)
functions.open_sender = open_sender
functions.open_receiver = open_receiver
functions.close = close_end
functions.acquire_rt = end_acquire_rt
functions.send_rt = end_send_rt
functions.recv_rt = end_recv_rt
functions.release_rt = end_release_rt
functions.finish_rt = end_finish_rt
functions.is_closed_rt = end_is_closed_rt
functions.format_rt = end_format_rt
functions.wait = end_wait

table = PyCapsule_New(&functions, "pong._capi.table", NULL)
