"""The table of C functions, called from Python by ctypes as a program without Python.h would: from its memory alone."""

from __future__ import annotations

import ctypes as c
from contextlib import contextmanager

import pong
from pong import _capi

VERSION = 2
OK, EMPTY, CLOSED, STALE, INVALID = range(5)
NEVER_SENT = 2**64 - 1


class Block(c.Structure):
    """pong_block"""

    _fields_ = [
        ("seq", c.c_uint64), ("position", c.c_uint64), ("gap", c.c_uint64), ("time", c.c_double),
        ("samplerate", c.c_double), ("tag", c.c_int64), ("frames", c.c_uint32), ("channels", c.c_uint32),
        ("status", c.c_uint32), ("time_source", c.c_uint32), ("plane", c.c_uint64),
    ]  # fmt: skip


class Buffer(c.Structure):
    """pong_buffer"""

    _fields_ = [
        ("samples", c.c_void_p), ("block", Block), ("pool", c.c_void_p), ("word", c.c_uint64), ("slot", c.c_uint32),
        ("limit", c.c_uint32),
    ]  # fmt: skip

    def bytes(self, itemsize: int) -> bytes:
        return c.string_at(self.samples, self.block.frames * self.block.channels * itemsize)

    def fill(self, data: bytes) -> None:
        c.memmove(self.samples, data, len(data))

    def copy(self) -> Buffer:
        return Buffer.from_buffer_copy(self)


class Format(c.Structure):
    """pong_format"""

    _fields_ = [
        ("count", c.c_uint32), ("blocksize", c.c_uint32), ("channels", c.c_uint32), ("itemsize", c.c_uint32),
        ("samplerate", c.c_double), ("dtype", c.c_char * 16), ("plane", c.c_uint64),
    ]  # fmt: skip


# With the GIL, and with Python's exceptions; without it.
HELD, FREE = c.PYFUNCTYPE, c.CFUNCTYPE
MOVE = FREE(c.c_int, c.c_void_p, c.POINTER(Buffer))
ASK = FREE(c.c_int, c.c_void_p)


class Api(c.Structure):
    """pong_api"""

    _fields_ = [
        ("version", c.c_uint32),
        ("size", c.c_uint32),
        ("open_sender", HELD(c.c_void_p, c.py_object, c.c_int)),
        ("open_receiver", HELD(c.c_void_p, c.py_object)),
        ("close", HELD(None, c.c_void_p)),
        ("acquire_rt", MOVE),
        ("send_rt", MOVE),
        ("recv_rt", MOVE),
        ("release_rt", MOVE),
        ("finish_rt", ASK),
        ("is_closed_rt", ASK),
        ("format_rt", FREE(c.POINTER(Format), c.c_void_p)),
        ("wait", FREE(c.c_int, c.c_void_p, c.c_double)),
    ]


_get = c.pythonapi.PyCapsule_GetPointer
_get.restype, _get.argtypes = c.c_void_p, [c.py_object, c.c_char_p]
api = Api.from_address(_get(_capi.table, b"pong._capi.table"))


@contextmanager
def opened(end, acquires=1):
    """Open a Sender or Receiver as native code does, and close it at the end."""
    native = api.open_sender(end, acquires) if isinstance(end, pong.Sender) else api.open_receiver(end)
    try:
        yield native
    finally:
        api.close(native)


def make(count=4, blocksize=8, channels=2, dtype="int16", **more):
    pool = pong.BufferPool(count, blocksize, channels, dtype, on_empty="raise", **more)
    return pool, *pool.link()
