"""A chain of native functions, made from what `process` of a stream was given."""
from pong.streams.chain cimport chain


cdef class Chain:
    cdef chain c                 # what `process_rt` takes; it lives as long as this object
    cdef tuple kept              # the functions and user data as they were given
