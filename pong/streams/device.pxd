"""What all devices share: how they are waited for, and who may use them."""
from libc.stdint cimport uint32_t


cdef class Device:
    cdef object __weakref__
    cdef const uint32_t* over    # not 0 once the device has ended; who waits for that sleeps on it
    cdef object closing          # held while the device is ended
    cdef object _error           # what has ended it before its time
    cdef list ends               # the program's ends of links, closed with the device
    cdef list bound              # which sides of which links are the device's
    cdef list kept               # what its thread uses
    cdef bint started
    cdef int process             # where its threads are

    cdef bint is_over(self) noexcept
    cdef bint wiped(self)
    cdef int begin_wait(self) except -1
    cdef int end_wait(self) except -1
