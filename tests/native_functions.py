"""One native function, `pong_test_note` of tests/native/_process.pyx, in every form that `process` takes."""

import ctypes

import numpy as np
from native_build import load
from needs import needs

from pong.streams.process import BLOCK

# What the function keeps of its call, behind its user pointer.
SEEN = np.dtype([*BLOCK.descr, ("frames_given", "u4"), ("channels_given", "u4"), ("calls", "u8")])

RIGHT = (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p)
RIGHT_TEXT = "void (float *, uint32_t, uint32_t, pong_block const *, void *)"
CFFI_BLOCK = """typedef struct { uint64_t seq, position, gap; double time, samplerate; int64_t tag;
    uint32_t frames, channels, status, time_source; uint64_t plane; } pong_block;"""
CFFI_NOTE = "void pong_test_note(float *, uint32_t, uint32_t, const pong_block *, void *);"


def library():
    """Open the test module as a library for ctypes, anew: what one test tells it of a function, no other sees."""
    return ctypes.CDLL(load("_process").__file__)


def address():
    return ctypes.cast(library().pong_test_note, ctypes.c_void_p).value


def capsule(pointer, name=None, context=None):
    """Make a PyCapsule as C code would; the name must outlive it."""
    made = ctypes.pythonapi.PyCapsule_New
    made.restype, made.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    text = None if name is None else ctypes.c_char_p(name.encode())
    NAMES.append(text)
    found = made(pointer, text, None)
    if context is not None:
        ctypes.pythonapi.PyCapsule_SetContext(ctypes.py_object(found), ctypes.c_void_p(context))
    return found


NAMES: list = []


def from_ctypes():
    return ctypes.CFUNCTYPE(None, *RIGHT)(address())


def from_typed_ctypes():
    pointer = np.ctypeslib.ndpointer("float32")
    return ctypes.CFUNCTYPE(None, pointer, *RIGHT[1:])(address())


def from_library():
    return library().pong_test_note


def from_declared_library():
    function = library().pong_test_note
    function.argtypes = [ctypes.POINTER(ctypes.c_float), *RIGHT[1:]]
    return function


def from_cffi():
    ffi = needs("cffi").FFI()
    ffi.cdef(CFFI_BLOCK + CFFI_NOTE)
    opened = ffi.dlopen(load("_process").__file__)
    OPENED.append(opened)
    return opened.pong_test_note


OPENED: list = []


def from_cffi_cast():
    ffi = needs("cffi").FFI()
    ffi.cdef(CFFI_BLOCK)
    return ffi.cast("void (*)(void *, unsigned int, uint32_t, struct any *, void *)", address())


def from_cffi_void():
    return needs("cffi").FFI().cast("void *", address())


def from_capsule():
    return capsule(address())


def from_named_capsule():
    return capsule(address(), RIGHT_TEXT)


def from_cython():
    return load("_process").__pyx_capi__["pong_test_note"]


def from_scipy_ctypes():
    return needs("scipy").LowLevelCallable(from_ctypes())


def from_scipy_cython():
    return needs("scipy").LowLevelCallable.from_cython(load("_process"), "pong_test_note")


def from_scipy_library():
    return needs("scipy").LowLevelCallable(from_declared_library(), signature=RIGHT_TEXT)


def numba_types(samples="float32", user=None):
    """Return the signature for ``numba.cfunc``."""
    numba = needs("numba")
    types = numba.types
    block = types.CPointer(numba.from_dtype(BLOCK))
    kind = types.CPointer(getattr(types, samples))
    return types.void(kind, types.uint32, types.uint32, block, types.voidptr if user is None else user)


def from_numba():
    numba = needs("numba")

    @numba.cfunc(numba_types(user=numba.types.CPointer(numba.from_dtype(SEEN))))
    def note(samples, frames, channels, block, user):
        x = numba.carray(samples, (frames, channels))
        known = numba.carray(block, 1)[0]
        seen = numba.carray(user, 1)[0]
        seen.seq, seen.position, seen.gap, seen.tag = known.seq, known.position, known.gap, known.tag
        seen.time, seen.samplerate, seen.time_source = known.time, known.samplerate, known.time_source
        seen.frames, seen.channels, seen.status, seen.plane = known.frames, known.channels, known.status, known.plane
        seen.frames_given, seen.channels_given = frames, channels
        seen.calls += 1
        x[0, 0] = x[frames - 1, channels - 1] = 7

    return note


KINDS = {
    "address": address,
    "NumPy integer": lambda: np.uint64(address()),
    "ctypes": from_ctypes,
    "ctypes with ndpointer": from_typed_ctypes,
    "CDLL": from_library,
    "CDLL with argtypes": from_declared_library,
    "cffi": from_cffi,
    "cffi cast": from_cffi_cast,
    "cffi void pointer": from_cffi_void,
    "PyCapsule": from_capsule,
    "PyCapsule with a name": from_named_capsule,
    "Cython": from_cython,
    "LowLevelCallable of ctypes": from_scipy_ctypes,
    "LowLevelCallable of Cython": from_scipy_cython,
    "LowLevelCallable with a signature": from_scipy_library,
    "Numba": from_numba,
}
