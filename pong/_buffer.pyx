"""A buffer: the handle that owns one slot, or nothing once it is detached."""
import operator

import numpy as np

cimport cython
cimport numpy as cnp
from cpython.buffer cimport PyBuffer_Release, PyObject_GetBuffer
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memmove

from pong._arena cimport HANDLES, as_count, balance_add
from pong._views cimport Views, drop_set, view_set
from pong.errors import DetachedError
from pong.kernel.arena cimport slot_samples_rt
from pong.kernel.atomic cimport load_relaxed_u64
from pong.kernel.layout cimport PONG_NO_SEQ, pong_slot
from pong.kernel.transfer cimport release_rt

cnp.import_array()

# The clocks that `Buffer.time` may be of; native code names one by its place here.
TIME_SOURCES = (None, "monotonic", "stream", "device")


@cython.final
@cython.freelist(64)
cdef class Buffer:
    """A handle that owns one block of samples, or nothing once it has been sent or released.

    Made by `BufferPool.acquire` and `Receiver.recv`, never directly. Dropping the last reference to a handle that
    still owns its block releases the block. ``with buf:`` releases it at the end, unless it was sent or released
    inside. Detached, a handle answers `detached`, `nbytes`, ``len``, ``bool`` and ``repr``; everything else raises
    `DetachedError`.

    Notes
    -----
    Thread: any; of two threads that send or release one buffer, one wins and the other gets `DetachedError`.
    On free-threaded builds the count of views is exact only while no other thread uses the buffer's arrays.
    """

    def __init__(self):
        raise TypeError("a Buffer comes from BufferPool.acquire() or Receiver.recv()")

    def __dealloc__(self):
        cdef view_set taken
        if self.views == NULL:
            return
        if self.word:
            taken = self.leave()
            release_rt(self.a, self.slot, self.word)
            drop_set(taken)
        balance_add(HANDLES, -1)
        Py_XDECREF(self.views)

    cdef pong_slot* header(self) except NULL:
        """Return the slot's header; raise unless this handle owns the slot (I1, I2)."""
        if self.word == 0 or load_relaxed_u64(&self.a.slots[self.slot].owner) != self.word:
            raise DetachedError("the buffer is detached: it was sent or released, or belongs to a parent process")
        return &self.a.slots[self.slot]

    cdef int check_sendable(self, Views views) except -1:
        """Raise unless the buffer may be sent through a link of the pool that ``views`` belong to."""
        cdef Py_ssize_t counted
        self.header()
        if self.views != <PyObject*>views:
            raise ValueError("the buffer belongs to another pool: send it through a link of its own pool")
        if not self.viewed:
            return 0
        if not views.detachable(self.slot):
            raise BufferError(
                "the shape of the buffer's samples was set to (), or their base changed: they cannot be detached"
            )
        counted = views.counted(self.slot)
        if counted:
            raise BufferError(
                f"views of the buffer's samples still live: {counted}; drop them, or keep data with buf.copy()"
            )
        return 0

    cdef view_set leave(self) noexcept:
        """Detach `samples`, right before the slot is given away; the caller drops what is returned after that."""
        cdef view_set nothing
        if self.viewed:
            return (<Views>self.views).close(self.slot)
        nothing.lease = nothing.root = nothing.samples = NULL
        return nothing

    cdef void come_back(self, view_set taken, uint64_t word) noexcept:
        """Undo `leave`: the slot could not be given away."""
        self.word = word
        if self.viewed:
            (<Views>self.views).reopen(self.slot, taken, self.a.slots[self.slot].frames)

    @cython.critical_section
    def release(self):
        """Give the block back to its pool.

        Views of it stay valid and keep the slot from being handed out again; `samples` becomes length 0.

        Raises
        ------
        DetachedError
            The buffer was already sent or released.

        Notes
        -----
        Thread: any. Blocks: no. Allocates: no.
        """
        cdef view_set taken
        cdef uint64_t word
        self.header()
        word = self.word
        taken = self.leave()
        self.word = 0
        release_rt(self.a, self.slot, word)
        # Only now, when the move is over, may other code run.
        if taken.lease != NULL:
            drop_set(taken)
        if self._message is not None:
            self._message = None

    @property
    def detached(self):
        """Whether the buffer was sent or released (or this is a forked child, which owns nothing)."""
        return self.word == 0 or load_relaxed_u64(&self.a.slots[self.slot].owner) != self.word

    @property
    def samples(self):
        """The samples: an ndarray of shape ``(frames, channels)``, the same one at each access.

        Undefined in a fresh buffer, as with `numpy.empty`. It becomes length 0 when the buffer is sent or released.
        Views derived from it (slices, ``reshape``, ``.T``, …) are counted: while one lives, sending raises
        `BufferError`.
        """
        return <object>self.open()

    cdef PyObject* open(self) except NULL:
        """Return `samples`, made or taken for reuse at the first call."""
        cdef pong_slot* s
        cdef Views views
        with cython.critical_section(self):
            s = self.header()
            views = <Views>self.views
            if not self.viewed:
                views.open(self.slot, s.frames)
                self.viewed = True
            return views.sets[self.slot].samples

    cdef object fresh_view(self):
        """Return a new, counted view of the valid frames, whatever has become of `samples`."""
        cdef Views views
        self.open()
        views = <Views>self.views
        return views.view(self.slot, self.a.slots[self.slot].frames)

    def __getbuffer__(self, Py_buffer* view, int flags):
        cdef Py_buffer export
        # The view exports the memory and is counted by its base, the root, until the export is released.
        PyObject_GetBuffer(self.fresh_view(), &export, flags)
        view.obj = <object>export.obj
        view.buf = export.buf
        view.len = export.len
        view.itemsize = export.itemsize
        view.readonly = export.readonly
        view.ndim = export.ndim
        view.format = export.format
        view.shape = export.shape
        view.strides = export.strides
        view.suboffsets = export.suboffsets
        view.internal = export.internal
        PyBuffer_Release(&export)

    def __releasebuffer__(self, Py_buffer* view):
        # Never called: the exporter that `__getbuffer__` names is an array. But only for a type that has this method
        # does numpy.frombuffer keep the export for as long as its array lives.
        pass

    def __array__(self, dtype=None, copy=None):
        """Return the samples as a counted view, or a copy; NumPy prefers the buffer protocol while that works."""
        return np.array(memoryview(self), dtype=dtype, copy=copy)

    def copy(self):
        """Return an independent array of the samples, shape ``(frames, channels)``, in the order of the pool.

        Raises
        ------
        DetachedError
            The buffer was sent or released.

        Notes
        -----
        Thread: any. Blocks: no. Allocates: yes.
        """
        return cnp.PyArray_NewCopy(self.fresh_view(), cnp.NPY_KEEPORDER)

    def write(self, array):
        """Copy samples in from the first frame on, and set `frames` to their number.

        Parameters
        ----------
        array : array_like
            Shape ``(n, channels)``, or ``(n,)`` for mono; ``n`` at most the block size (for a received buffer: its
            frames). Cast as NumPy's ``same_kind`` allows.

        Returns
        -------
        int
            ``n``, the frames written.

        Raises
        ------
        DetachedError
            The buffer was sent or released.
        ValueError
            Wrong shape, or too many frames.
        TypeError
            The dtype cannot be cast by the rule ``same_kind``.

        Notes
        -----
        Thread: any. Blocks: no. Allocates: no, if ``array`` is an ndarray of the pool's dtype that is C-contiguous, or
        for a planar pool has each channel in one piece and does not overlap the buffer.
        """
        self.header()
        cdef Views views = <Views>self.views
        cdef cnp.ndarray data
        cdef cnp.npy_intp n
        if type(array) is not cnp.ndarray:
            array = np.asarray(array)
        data = array
        if not (
            cnp.PyArray_NDIM(data) == 2 and cnp.PyArray_DIM(data, 1) == views.channels
            or cnp.PyArray_NDIM(data) == 1 and views.channels == 1
        ):
            raise ValueError(
                f"array must have shape (n, {views.channels}){' or (n,)' if views.channels == 1 else ''}, "
                f"not {array.shape}"
            )
        n = cnp.PyArray_DIM(data, 0)
        if n > self.limit:
            raise ValueError(f"array has {n} frames, the buffer takes at most {self.limit}")
        if <PyObject*>cnp.PyArray_DESCR(data) == <PyObject*>views.dtype and cnp.PyArray_FLAGS(data) & views.whole:
            with cython.critical_section(self):
                self.set_frames(n)
                memmove(slot_samples_rt(self.a, self.slot), cnp.PyArray_DATA(data), n * views.strides[0])
            return views.blocksize if n == self.a.header.blocksize else n
        if views.varying and views.planes_fit(self.slot, <PyObject*>data):
            with cython.critical_section(self):
                self.set_frames(n)
                views.write_planes(self.slot, <PyObject*>data)
            return n
        if not np.can_cast(data.dtype, views.dtype, "same_kind"):
            raise TypeError(f"cannot cast {data.dtype} to the pool's {views.dtype} by the rule 'same_kind'")
        # Into an array of its own: `samples` may have been changed in place.
        self.set_frames(n)
        np.copyto(self.fresh_view(), data.reshape(n, views.channels), casting="same_kind")
        return n

    @property
    def frames(self):
        """Valid frames, 0 to the block size; setting it shortens `samples` with it.

        Who acquired the buffer may set it up to the block size; who received it may only lower it.
        """
        return self.header().frames

    @frames.setter
    def frames(self, value):
        self.header()
        if not isinstance(value, bool) and hasattr(type(value), "__index__"):
            # The number first: to ask an object for it may run code that changes the limit.
            value = operator.index(value)
        self.set_frames(as_count(value, "frames", 0, self.limit))

    cdef int set_frames(self, uint32_t frames) except -1:
        cdef pong_slot* s
        with cython.critical_section(self):
            s = self.header()
            if s.frames != frames:
                if self.viewed and not (<Views>self.views).set_frames(self.slot, s.frames, frames):
                    raise ValueError("shape, strides or dtype of samples were changed in place: frames cannot be set")
                s.frames = frames
            if s.seq != PONG_NO_SEQ:
                # A receiver may only lower it.
                self.limit = frames
        return 0

    @property
    def seq(self):
        """The sender's count of this message, from 0 without holes; None until it is received."""
        cdef uint64_t seq = self.header().seq
        return None if seq == PONG_NO_SEQ else seq

    @property
    def time(self):
        """Time of the first frame in seconds, of the clock that `time_source` names; 0.0 unless set."""
        return self.header().time

    @time.setter
    def time(self, value):
        if isinstance(value, (bool, str)) or not hasattr(type(value), "__float__"):
            raise TypeError(f"time must be a number of seconds, not {value!r}")
        cdef double seconds = value
        self.header().time = seconds

    @property
    def time_source(self):
        """The clock of `time`: None (not set), "monotonic", "stream" (since its start) or "device"."""
        return TIME_SOURCES[self.header().time_source]

    @time_source.setter
    def time_source(self, value):
        if not (value is None or isinstance(value, str)) or value not in TIME_SOURCES:
            raise ValueError(f"time_source must be one of {', '.join(map(repr, TIME_SOURCES))}, not {value!r}")
        cdef uint16_t place = TIME_SOURCES.index(value)
        self.header().time_source = place

    @property
    def position(self):
        """Frames between the beginning of the stream and this buffer's first frame."""
        return self.header().position

    @position.setter
    def position(self, value):
        cdef uint64_t position = as_count(value, "position", 0, <uint64_t>-1)
        self.header().position = position

    @property
    def gap(self):
        """Frames lost right before this buffer, known exactly; 0 when nothing was lost."""
        return self.header().gap

    @gap.setter
    def gap(self, value):
        cdef uint64_t gap = as_count(value, "gap", 0, <uint64_t>-1)
        self.header().gap = gap

    @property
    def status(self):
        """Status flags of the device for this block, as an integer; 0 when there are none."""
        return self.header().status

    @status.setter
    def status(self, value):
        cdef uint32_t status = as_count(value, "status", 0, <uint32_t>-1)
        self.header().status = status

    @property
    def tag(self):
        """An integer of the user's own that travels with the block: 64 bits, signed; 0 unless set."""
        return self.header().tag

    @tag.setter
    def tag(self, value):
        cdef int64_t tag = as_tag(value)
        self.header().tag = tag

    @property
    def message(self):
        """The object that was sent along with the buffer; None unless there was one."""
        self.header()
        return self._message

    @property
    def nbytes(self):
        """Bytes of the valid frames; 0 when detached."""
        return 0 if self.detached else len(self) * self.a.header.frame_bytes

    def __len__(self):
        return 0 if self.detached else self.a.slots[self.slot].frames

    def __bool__(self):
        return not self.detached

    def __enter__(self):
        self.header()
        return self

    def __exit__(self, *exc):
        if not self.detached:
            self.release()

    def __repr__(self):
        if self.detached:
            return "<pong.Buffer detached>"
        cdef Views views = <Views>self.views
        return f"<pong.Buffer slot {self.slot}: {len(self)} frames, {views.channels} channels, {views.dtype}>"

    def __reduce_ex__(self, protocol):
        raise TypeError("a Buffer owns memory of this process: it cannot be copied or pickled; take buf.copy()")


cdef int64_t as_tag(object tag) except? -1:
    """Return a tag as the slot header holds it, or raise an error that says what a tag is."""
    if isinstance(tag, bool) or not hasattr(type(tag), "__index__"):
        raise TypeError(f"tag must be an integer, not {tag!r}")
    try:
        return tag
    except OverflowError:
        raise ValueError(f"tag must fit into 64 bits, signed, not {tag!r}") from None


cdef Buffer blank_buffer():
    """Make a handle before a slot is taken, so that no slot is lost when memory runs out."""
    return Buffer.__new__(Buffer)


cdef void attach(Buffer buf, Views views, uint32_t slot, uint64_t word) noexcept:
    """Make ``buf`` the handle of a slot whose owner word is ``word``."""
    Py_INCREF(views)
    buf.views = <PyObject*>views
    buf.a = &views.arena.a
    buf.word = word
    buf.slot = slot
    buf.limit = buf.a.slots[slot].frames
    balance_add(HANDLES, 1)
