"""The arrays through which Python reaches a slot's samples, made once and used again.

How detaching works: a `Lease` keeps the arena mapped; a hidden root array has the lease as its base; `samples` has the
root as its base. NumPy gives every view derived from `samples` the root as base, so
the reference counts of root and lease tell how many counted views live. Setting the first dimension of `samples` to
0 detaches it. A lease that outlives its ownership pins the slot.
"""
import numpy as np

cimport cython
cimport numpy as cnp
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport uint32_t, uintptr_t
from libc.string cimport memcpy

from pong._arena cimport Arena, LEASES, PINS, balance_add
from pong.kernel.arena cimport slot_samples_rt
from pong.kernel.freeset cimport slot_pin, slot_unpin

cnp.import_array()

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject* o) noexcept
    PyTypeObject* Py_TYPE(PyObject* o) noexcept
    ctypedef struct typeobject "PyTypeObject":
        Py_ssize_t tp_weaklistoffset

cdef extern from "numpy/arrayobject.h":
    ctypedef struct PyArray_Descr:
        pass
    PyObject* PyArray_NewFromDescr(
        void* subtype, PyArray_Descr* descr, int nd, Py_ssize_t* dims, Py_ssize_t* strides, void* data, int flags,
        PyObject* obj,
    ) except NULL
    int PyArray_SetBaseObject(PyArrayObject* array, PyObject* base) except -1
    void* ndarray_type "(&PyArray_Type)"
    int PyArray_NDIM(PyArrayObject* array) noexcept
    Py_ssize_t* PyArray_DIMS(PyArrayObject* array) noexcept
    Py_ssize_t* PyArray_STRIDES(PyArrayObject* array) noexcept
    void* PyArray_DATA(PyArrayObject* array) noexcept
    int PyArray_FLAGS(PyArrayObject* array) noexcept
    PyObject* PyArray_BASE(PyArrayObject* array) noexcept
    PyArray_Descr* PyArray_DESCR(PyArrayObject* array) noexcept
    void PyArray_ENABLEFLAGS(PyArrayObject* array, int flags) noexcept
    void PyArray_CLEARFLAGS(PyArrayObject* array, int flags) noexcept
    enum:
        NPY_ARRAY_C_CONTIGUOUS
        NPY_ARRAY_F_CONTIGUOUS
        NPY_ARRAY_WRITEABLE
        NPY_ARRAY_OWNDATA


@cython.final
@cython.no_gc
cdef class Lease:
    """What keeps an arena mapped, and a slot pinned, while an array that came from the slot lives."""

    def __dealloc__(self):
        balance_add(LEASES, -1)
        if self.pinned:
            balance_add(PINS, -1)
            slot_unpin(&self.arena.a, self.slot)

    def __reduce__(self):
        raise TypeError("a lease refers to memory of this process: it cannot be copied or pickled")


cdef bint held_weakly(PyObject* array) noexcept:
    """Tell whether a weak reference to an array exists: it could bring the array back after its reuse."""
    return (<PyObject**>(<char*>array + (<typeobject*>Py_TYPE(array)).tp_weaklistoffset))[0] != NULL


cdef void drop_set(view_set taken) noexcept:
    """Drop what `Views.close` gave away. Weak-reference callbacks may run: every move must be over by now."""
    Py_XDECREF(taken.samples)
    Py_XDECREF(taken.root)
    Py_XDECREF(taken.lease)


@cython.final
@cython.no_gc
cdef class Views:
    """Lease, root and `samples` of each slot, kept and used again while nothing else refers to them.

    Only the owner of a slot touches its set.
    """

    def __cinit__(self, Arena arena, object dtype, Py_ssize_t channels):
        cdef uint32_t plane = arena.a.header.plane
        cdef object like = np.empty((arena.a.header.blocksize, channels), dtype, "F" if plane else "C")
        self.arena = arena
        self.dtype = dtype
        self.blocksize = arena.a.header.blocksize
        self.channels = channels
        self.slots = arena.a.header.slots
        self.strides[0] = dtype.itemsize if plane else channels * dtype.itemsize
        self.strides[1] = (plane or 1) * dtype.itemsize
        # Fewer frames than there is room for leave holes between planes: such samples are not contiguous any more.
        self.varying = NPY_ARRAY_F_CONTIGUOUS if plane and channels > 1 else 0
        self.whole = 0 if self.varying else NPY_ARRAY_C_CONTIGUOUS
        self.sets = <view_set*>PyMem_Calloc(self.slots, sizeof(view_set))
        if self.sets == NULL:
            raise MemoryError()
        # What NumPy itself says of such an array, as a freshly made one shows it.
        self.flags = (
            PyArray_FLAGS(<PyArrayObject*><PyObject*>like) & ~NPY_ARRAY_OWNDATA
        )

    def __dealloc__(self):
        cdef uint32_t i
        if self.sets != NULL:
            for i in range(self.slots):
                drop_set(self.sets[i])
            PyMem_Free(self.sets)

    cdef PyObject* make_array(self, uint32_t slot, Py_ssize_t frames, PyObject* base) except NULL:
        """Make an array over a slot's first frames that keeps ``base`` alive."""
        cdef Py_ssize_t dims[2]
        cdef PyObject* array
        dims[0] = frames
        dims[1] = self.channels
        Py_INCREF(self.dtype)           # NumPy steals it
        array = PyArray_NewFromDescr(
            ndarray_type, <PyArray_Descr*><PyObject*>self.dtype, 2, dims, self.strides,
            slot_samples_rt(&self.arena.a, slot), NPY_ARRAY_WRITEABLE, NULL,
        )
        Py_INCREF(<object>base)         # stolen, on success and on failure
        try:
            PyArray_SetBaseObject(<PyArrayObject*>array, base)
        except BaseException:
            Py_XDECREF(array)
            raise
        return array

    cdef void set_length(self, PyObject* samples, uint32_t frames) noexcept:
        """Change the first dimension of a slot's `samples`, and the flag that depends on it."""
        PyArray_DIMS(<PyArrayObject*>samples)[0] = frames
        if self.varying:
            if frames == self.arena.a.header.blocksize:
                PyArray_ENABLEFLAGS(<PyArrayObject*>samples, self.varying)
            else:
                PyArray_CLEARFLAGS(<PyArrayObject*>samples, self.varying)

    cdef PyObject* open(self, uint32_t slot, uint32_t frames) except NULL:
        """Return a slot's `samples` for its new owner, made unless there is one for reuse."""
        cdef view_set* own = &self.sets[slot]
        cdef Lease lease
        cdef PyObject* root
        cdef PyObject* samples
        if own.samples != NULL:
            self.set_length(own.samples, frames)
            return own.samples
        lease = Lease.__new__(Lease)
        lease.arena = self.arena
        lease.slot = slot
        balance_add(LEASES, 1)
        root = self.make_array(slot, self.arena.a.header.blocksize, <PyObject*>lease)
        try:
            # Made at full length, as the root is: NumPy gives shorter arrays other flags.
            samples = self.make_array(slot, self.arena.a.header.blocksize, root)
        except BaseException:
            Py_XDECREF(root)
            raise
        Py_INCREF(lease)
        own.lease = <PyObject*>lease
        own.root = root
        own.samples = samples
        self.set_length(samples, frames)
        return samples

    cdef bint pristine(self, PyObject* array, uint32_t slot, PyObject* base) noexcept:
        """Tell whether an array is as it was made, but for its first dimension."""
        cdef PyArrayObject* x = <PyArrayObject*>array
        return (
            PyArray_NDIM(x) == 2
            and PyArray_DATA(x) == slot_samples_rt(&self.arena.a, slot)
            and PyArray_DIMS(x)[1] == self.channels
            and PyArray_STRIDES(x)[0] == self.strides[0]
            and PyArray_STRIDES(x)[1] == self.strides[1]
            and <PyObject*>PyArray_DESCR(x) == <PyObject*>self.dtype
            and PyArray_FLAGS(x) | self.varying == self.flags
            and PyArray_BASE(x) == base
        )

    cdef bint reusable(self, uint32_t slot) noexcept:
        """Tell whether nothing but the set refers to its objects, even weakly, and they are as they were made."""
        cdef view_set* own = &self.sets[slot]
        return (
            Py_REFCNT(own.samples) == 1
            and Py_REFCNT(own.root) == 2        # the set, and samples as its base
            and Py_REFCNT(own.lease) == 2       # the set, and the root as its base
            and self.pristine(own.samples, slot, own.root)
            and self.pristine(own.root, slot, own.lease)
            and not held_weakly(own.samples)
            and not held_weakly(own.root)
        )

    cdef bint set_frames(self, uint32_t slot, uint32_t before, uint32_t frames) noexcept:
        """Change the length of an opened `samples`; False if its shape, strides or dtype was changed in place."""
        cdef view_set* own = &self.sets[slot]
        if not self.pristine(own.samples, slot, own.root) or PyArray_DIMS(<PyArrayObject*>own.samples)[0] != before:
            return False
        self.set_length(own.samples, frames)
        return True

    cdef object view(self, uint32_t slot, Py_ssize_t frames):
        """Return a new view of an opened slot's first frames, counted as any."""
        cdef PyObject* array = self.make_array(slot, frames, self.sets[slot].root)
        result = <object>array
        Py_XDECREF(array)
        return result

    cdef bint planes_fit(self, uint32_t slot, PyObject* array) noexcept:
        """Tell whether an array can be copied into a slot plane by plane: each in one piece, and none of them there."""
        cdef PyArrayObject* x = <PyArrayObject*>array
        cdef Py_ssize_t between = PyArray_STRIDES(x)[1] * (self.channels - 1)
        cdef uintptr_t low = <uintptr_t>PyArray_DATA(x)
        cdef uintptr_t high = low + PyArray_DIMS(x)[0] * self.strides[0]
        cdef uintptr_t start = <uintptr_t>slot_samples_rt(&self.arena.a, slot)
        if between < 0:
            low += between
        else:
            high += between
        return (
            <PyObject*>PyArray_DESCR(x) == <PyObject*>self.dtype
            and PyArray_STRIDES(x)[0] == self.strides[0]
            and (high <= start or low >= start + self.arena.a.header.stride)
        )

    cdef void write_planes(self, uint32_t slot, PyObject* array) noexcept:
        """Copy the channels of an array that fits, each in one piece."""
        cdef PyArrayObject* x = <PyArrayObject*>array
        cdef unsigned char* to = slot_samples_rt(&self.arena.a, slot)
        cdef const unsigned char* source = <const unsigned char*>PyArray_DATA(x)
        cdef Py_ssize_t c
        for c in range(self.channels):
            memcpy(to + c * self.strides[1], source + c * PyArray_STRIDES(x)[1], PyArray_DIMS(x)[0] * self.strides[0])

    cdef bint detachable(self, uint32_t slot) noexcept:
        """Tell whether an opened `samples` has a dimension to detach it by, and the root still holds the lease."""
        cdef view_set* own = &self.sets[slot]
        return (
            PyArray_NDIM(<PyArrayObject*>own.samples) != 0
            and PyArray_BASE(<PyArrayObject*>own.root) == own.lease
        )

    cdef Py_ssize_t counted(self, uint32_t slot) noexcept:
        """Return how many counted views of a slot's opened set live."""
        cdef view_set* own = &self.sets[slot]
        cdef Py_ssize_t from_samples = PyArray_BASE(<PyArrayObject*>own.samples) == own.root
        return Py_REFCNT(own.root) - 1 - from_samples + Py_REFCNT(own.lease) - 2

    cdef view_set close(self, uint32_t slot) noexcept:
        """Detach a slot's `samples` before the slot is given away (I2).

        A set that somebody still refers to is pinned (I5) and returned, for `drop_set` once the move is over.
        """
        cdef view_set* own = &self.sets[slot]
        cdef view_set taken
        cdef PyArrayObject* samples = <PyArrayObject*>own.samples
        taken.lease = taken.root = taken.samples = NULL
        if PyArray_NDIM(samples):
            PyArray_DIMS(samples)[0] = 0
        if self.reusable(slot):
            return taken
        if PyArray_BASE(<PyArrayObject*>own.root) != own.lease:
            # Somebody has changed the hidden root (`__setstate__`): its views cannot be followed any more. The lease,
            # and with it the pin, stays for good, rather than that a view sees another block.
            Py_INCREF(<object>own.lease)
        slot_pin(&self.arena.a, slot)
        balance_add(PINS, 1)
        (<Lease>own.lease).pinned = True
        taken = own[0]
        own.lease = own.root = own.samples = NULL
        return taken

    cdef void reopen(self, uint32_t slot, view_set taken, uint32_t frames) noexcept:
        """Undo `close`: the move was refused and the slot is still the caller's."""
        cdef view_set* own = &self.sets[slot]
        if taken.samples != NULL:
            own[0] = taken
            (<Lease>own.lease).pinned = False
            balance_add(PINS, -1)
            slot_unpin(&self.arena.a, slot)
        if PyArray_NDIM(<PyArrayObject*>own.samples):
            # Flags are still those of this length.
            PyArray_DIMS(<PyArrayObject*>own.samples)[0] = frames
