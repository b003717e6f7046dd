"""The arrays through which Python reaches a slot's samples."""
from cpython.object cimport PyObject
from libc.stdint cimport uint32_t

from pong._arena cimport Arena


cdef extern from "numpy/arrayobject.h":
    ctypedef struct PyArrayObject:
        pass


ctypedef struct view_set:
    # Lease <- root <- samples: each the base of the next.
    PyObject* lease
    PyObject* root
    PyObject* samples


cdef class Lease:
    cdef Arena arena
    cdef uint32_t slot
    cdef bint pinned


cdef class Views:
    cdef Arena arena
    cdef object dtype
    cdef object blocksize        # as an object, so that the usual answer of `write` is not made anew each time
    cdef view_set* sets
    cdef uint32_t slots
    cdef Py_ssize_t channels
    cdef Py_ssize_t strides[2]
    cdef int flags
    cdef int whole               # the flag of an array that can be written in one piece; 0: none
    cdef int varying             # which of them tells whether all frames are there: 0, but for several planes

    cdef PyObject* make_array(self, uint32_t slot, Py_ssize_t frames, PyObject* base) except NULL
    cdef void set_length(self, PyObject* samples, uint32_t frames) noexcept
    cdef PyObject* open(self, uint32_t slot, uint32_t frames) except NULL
    cdef bint pristine(self, PyObject* array, uint32_t slot, PyObject* base) noexcept
    cdef bint reusable(self, uint32_t slot) noexcept
    cdef bint set_frames(self, uint32_t slot, uint32_t before, uint32_t frames) noexcept
    cdef object view(self, uint32_t slot, Py_ssize_t frames)
    cdef bint planes_fit(self, uint32_t slot, PyObject* array) noexcept
    cdef void write_planes(self, uint32_t slot, PyObject* array) noexcept
    cdef bint detachable(self, uint32_t slot) noexcept
    cdef Py_ssize_t counted(self, uint32_t slot) noexcept
    cdef view_set close(self, uint32_t slot) noexcept
    cdef void reopen(self, uint32_t slot, view_set taken, uint32_t frames) noexcept


cdef void drop_set(view_set taken) noexcept
