"""What `Sender.send_many` sends: its items, taken apart and laid out for one move."""
cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int64_t, uint32_t, uint64_t

from pong._buffer cimport Buffer, as_tag
from pong._views cimport drop_set, view_set
from pong.kernel.layout cimport PONG_HAS_MESSAGE, pong_slot


@cython.final
cdef class Batch:
    """The buffers of one `Sender.send_many`, in arrays, so that their move allocates nothing."""

    def __cinit__(self, Py_ssize_t number):
        self.number = number
        self.slots = <uint32_t*>PyMem_Calloc(number, sizeof(uint32_t))
        self.words = <uint64_t*>PyMem_Calloc(number, sizeof(uint64_t))
        self.tags = <int64_t*>PyMem_Calloc(number, sizeof(int64_t))
        self.taken = <view_set*>PyMem_Calloc(number, sizeof(view_set))
        if self.slots == NULL or self.words == NULL or self.tags == NULL or self.taken == NULL:
            raise MemoryError()

    def __dealloc__(self):
        PyMem_Free(self.slots)
        PyMem_Free(self.words)
        PyMem_Free(self.tags)
        PyMem_Free(self.taken)

    cdef void leave(self, Py_ssize_t i, Buffer buf, bint tagged, bint with_message) noexcept:
        """Detach one buffer; its check was the last thing that could raise."""
        cdef pong_slot* s = &buf.a.slots[buf.slot]
        cdef int64_t tag = s.tag
        self.slots[i] = buf.slot
        self.words[i] = buf.word
        if tagged:
            s.tag = self.tags[i]
        self.tags[i] = tag
        s.flags = PONG_HAS_MESSAGE if with_message else 0
        self.taken[i] = buf.leave()
        buf.word = 0

    cdef void come_back(self, Py_ssize_t i, Buffer buf) noexcept:
        """Undo `leave`."""
        buf.a.slots[buf.slot].tag = self.tags[i]
        buf.a.slots[buf.slot].flags = 0
        buf.come_back(self.taken[i], self.words[i])

    cdef void drop(self):
        """Drop what the buffers have left behind."""
        cdef Py_ssize_t i
        for i in range(self.number):
            drop_set(self.taken[i])


cdef tuple as_part(object item):
    """Return (buffer, tag, message) of one item of `Sender.send_many`."""
    if isinstance(item, Buffer):
        return item, None, None
    if not isinstance(item, tuple) or not 1 <= len(item) <= 3 or not isinstance(item[0], Buffer):
        raise TypeError(f"each item must be a Buffer or a tuple (Buffer, tag, message), not {item!r}")
    buf, tag, message = item + (None,) * (3 - len(item))
    return buf, None if tag is None else as_tag(tag), message
