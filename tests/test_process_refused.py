"""What cannot run in a callback is refused where that can be known, with the one right signature in the error."""

import ctypes
import functools
import re

import numpy as np
import pytest
from native_build import load
from native_functions import CFFI_BLOCK, RIGHT, address, capsule, library
from needs import needs

from pong.streams.process import BLOCK, SIGNATURE, Chain
from pong.streams.signatures import c_signature, fault

FLOAT = np.dtype("float32")


class Short(ctypes.Structure):
    """A struct that is not pong_block."""

    _fields_ = (("seq", ctypes.c_uint64),)


class Mirror(ctypes.Structure):
    """pong_block for ctypes."""

    _fields_ = tuple((name, np.ctypeslib.as_ctypes_type(BLOCK[name])) for name in BLOCK.names)


def refused(process, dtype="float32"):
    """Return the error's text."""
    with pytest.raises(TypeError) as error:
        Chain(process, 2, dtype)
    return str(error.value)


def changed(place, other):
    """Return the right ctypes arguments with another one at a place."""
    return [*RIGHT[:place], other, *RIGHT[place + 1 :]]


WRONG_CTYPES = {
    "a result": (ctypes.c_int, RIGHT),
    "no arguments": (None, ()),
    "too few": (None, RIGHT[:4]),
    "too many": (None, [*RIGHT, ctypes.c_int]),
    "double samples": (None, changed(0, ctypes.POINTER(ctypes.c_double))),
    "ndpointer": (None, changed(0, np.ctypeslib.ndpointer("float64"))),
    "pointers to pointers": (None, changed(0, ctypes.POINTER(ctypes.POINTER(ctypes.c_float)))),
    "samples by value": (None, changed(0, ctypes.c_float)),
    "text": (None, changed(0, ctypes.c_char_p)),
    "signed frames": (None, changed(1, ctypes.c_int32)),
    "wide frames": (None, changed(1, ctypes.c_uint64)),
    "channels as a float": (None, changed(2, ctypes.c_float)),
    "another struct": (None, changed(3, ctypes.POINTER(Short))),
    "a struct by value": (None, changed(3, Mirror)),
    "a number for the user": (None, changed(4, ctypes.c_int)),
    "a Python object": (None, changed(4, ctypes.py_object)),
}


@pytest.mark.parametrize("kind", WRONG_CTYPES)
def test_wrong_ctypes(kind):
    result, arguments = WRONG_CTYPES[kind]
    made = ctypes.CFUNCTYPE(result, *arguments)(address())
    assert SIGNATURE in refused(made)
    declared = library().pong_test_note
    declared.argtypes = arguments
    # An int as the result is what ctypes believes of any function.
    declared.restype = ctypes.c_double if result else None
    assert SIGNATURE in refused([declared])


@pytest.mark.parametrize(
    "arguments",
    [
        RIGHT,
        changed(0, ctypes.POINTER(ctypes.c_float)),
        changed(0, np.ctypeslib.ndpointer("float32")),
        changed(0, np.ctypeslib.ndpointer()),
        changed(3, ctypes.POINTER(Mirror)),
        changed(4, ctypes.POINTER(Short)),
        changed(4, ctypes.c_char_p),
    ],
)
def test_right_ctypes(arguments):
    assert len(Chain(ctypes.CFUNCTYPE(None, *arguments)(address()), 2, "float32")) == 1


def test_callbacks_into_python_through_ctypes():
    """They would take the GIL; a pointer made from one is found too, an address is not."""
    kind = ctypes.CFUNCTYPE(None, *RIGHT)
    callback = kind(lambda *_: None)
    for each in (callback, ctypes.cast(callback, kind), ctypes.cast(ctypes.cast(callback, ctypes.c_void_p), kind)):
        assert "GIL" in refused(each)
    assert "GIL" in refused(ctypes.PYFUNCTYPE(None, *RIGHT)(address()))
    assert "GIL" in refused(ctypes.pythonapi.Py_IncRef)


def wrong_declarations():
    """Return C declarations with one thing wrong each, for anything that reads C."""
    right = ["float *", "uint32_t", "uint32_t", "const pong_block *", "void *"]
    wrong = ["double *", "int32_t", "unsigned long long", "const float *", "int"]
    for place, other in enumerate(wrong):
        yield f"void (*)({', '.join([*right[:place], other, *right[place + 1 :]])})"
    yield f"int (*)({', '.join(right)})"
    yield f"void (*)({', '.join(right[:4])})"
    yield f"void (*)({', '.join([*right, 'int'])})"
    yield "void (*)(void)"
    yield f"void (*)({', '.join(['float', *right[1:]])})"
    yield f"void (*)({', '.join(['float **', *right[1:]])})"
    yield f"void *(*)({', '.join(right)})"


@pytest.mark.parametrize("text", list(wrong_declarations()))
def test_wrong_cffi(text):
    ffi = needs("cffi").FFI()
    ffi.cdef(CFFI_BLOCK)
    assert SIGNATURE in refused(ffi.cast(text, address()))


def test_other_cffi():
    ffi = needs("cffi").FFI()
    ffi.cdef(CFFI_BLOCK + "struct other { int a; };")
    right = "void (*)(float *, uint32_t, uint32_t, %s *, void *)"
    assert SIGNATURE in refused(ffi.cast(right % "struct other", address()))
    assert SIGNATURE in refused(ffi.cast(right.replace("void *)", "void *, ...)") % "void", address()))
    assert "GIL" in refused(ffi.callback(right % "pong_block", lambda *_: None))
    assert "no function" in refused(ffi.new("float *"))
    assert "no function" in refused(ffi.cast("int", 5))
    for null in (ffi.NULL, ffi.cast(right % "void", 0)):
        with pytest.raises(ValueError, match="null"):
            Chain(null, 2, "float32")


@pytest.mark.parametrize("text", [*wrong_declarations(), "numpy._core._multiarray_umath._ARRAY_API", "void", "f(", "("])
def test_wrong_capsules(text):
    found = refused(capsule(address(), text))
    assert SIGNATURE in found
    assert "process" in found


@pytest.mark.parametrize("name", ["returns", "takes_python", "takes_double"])
def test_wrong_cython(name):
    assert SIGNATURE in refused([load("_process").__pyx_capi__[name]])


def test_wrong_scipy():
    scipy = needs("scipy")
    unnamed = capsule(address())
    wrong = "void (double *, uint32_t, uint32_t, void *, void *)"
    assert SIGNATURE in refused(scipy.LowLevelCallable(unnamed, signature=wrong))
    assert SIGNATURE in refused(scipy.LowLevelCallable(capsule(address(), wrong)))
    assert SIGNATURE in refused(scipy.LowLevelCallable(ctypes.CFUNCTYPE(None, ctypes.c_int)(address())))
    assert SIGNATURE in refused(scipy.LowLevelCallable.from_cython(load("_process"), "takes_double"))
    assert "GIL" in refused(scipy.LowLevelCallable(ctypes.CFUNCTYPE(None, *RIGHT)(lambda *_: None)))


def test_wrong_numba():
    numba = needs("numba")
    types = numba.types
    block = types.CPointer(numba.from_dtype(BLOCK))
    right = [types.CPointer(types.float32), types.uint32, types.uint32, block, types.voidptr]
    other = types.CPointer(numba.from_dtype(np.dtype([("seq", "u8")])))
    wrong = [types.CPointer(types.float64), types.int32, types.uint64, other, types.intp]
    five = numba.cfunc(types.void(*right))(lambda a, b, c, d, e: None)
    assert len(Chain(five, 2, "float32")) == 1
    assert SIGNATURE in refused(five, "int16")
    for place, each in enumerate(wrong):
        signature = types.void(*right[:place], each, *right[place + 1 :])
        assert SIGNATURE in refused(numba.cfunc(signature)(lambda a, b, c, d, e: None)), place
    assert SIGNATURE in refused(numba.cfunc(types.int32(*right))(lambda a, b, c, d, e: 0))
    assert SIGNATURE in refused(numba.cfunc(types.void(*right[:4]))(lambda a, b, c, d: None))
    assert "GIL" in refused(numba.njit(lambda a, b, c, d, e: None))


@pytest.mark.parametrize("function", [print, lambda *_: None, Chain, functools.partial(print), np.add])
def test_python_functions(function):
    found = refused([function])
    assert "process[0]" in found
    assert "GIL" in found
    assert "Numba cfunc" in found


@pytest.mark.parametrize("process", [[None], 2.5, "gain", {}, [[1]], (1, 2, 3), (), (1,), np.zeros(3), True, [False]])
def test_what_is_no_function(process):
    assert "process" in refused(process)


@pytest.mark.parametrize("process", [0, -1, 1 << 64, ctypes.CFUNCTYPE(None, *RIGHT)()])
def test_null_and_what_no_pointer_can_hold(process):
    with pytest.raises(ValueError, match="process"):
        Chain(process, 2, "float32")


@pytest.mark.parametrize("user", ["text", 1.5, [1], True, b"bytes", np.zeros(2, object), print])
def test_wrong_user_pointers(user):
    assert "user" in refused([(address(), user)])


@pytest.mark.parametrize("user", [-1, 1 << 64, np.zeros((4, 4))[:, 1], np.frombuffer(b"1234", "u1")])
def test_user_pointers_that_cannot_be(user):
    with pytest.raises(ValueError, match="user"):
        Chain((address(), user), 2, "float32")


def test_channels_and_dtype():
    for channels in ("2", 2.0, None):
        with pytest.raises(TypeError, match="channels"):
            Chain(None, channels, "float32")
    for channels in (0, -1, 1025):
        with pytest.raises(ValueError, match="channels"):
            Chain(None, channels, "float32")
    for dtype in ("sound", None, object):
        with pytest.raises(TypeError, match="dtype"):
            Chain(None, 2, dtype)


def test_an_error_says_what_was_given():
    made = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_double), *RIGHT[1:])(address())
    found = refused([address(), made])
    assert "process[1] is int32 (float64 *, uint32, uint32, void *, void *)" in found
    assert "it must return nothing" in found
    made.restype = None
    assert "samples must be a pointer to void or to float32" in refused(made)


ARGUMENTS = "uint32_t, uint32_t, pong_block const *, void *"

# Spellings of pointers to the samples of each format.
SPELLINGS = {
    "float32": "float float32_t npy_float32 npy_float __pyx_t_5numpy_float32_t __pyx_t_4pong_5inner_float32_t",
    "float64": "double npy_double npy_float64 float64_t",
    "int16": "short int16_t npy_int16 npy_short",
    "int32": "int int32_t signed npy_int",
    "uint8": "uint8_t npy_ubyte npy_uint8",
    "int8": "int8_t char npy_byte",
    "int64": "int64_t npy_longlong",
    "complex64": "complex64_t __pyx_t_float_complex",
    "V3": "char uint8_t",
}


@pytest.mark.parametrize("dtype", SPELLINGS)
def test_spellings_of_samples(dtype):
    for name in SPELLINGS[dtype].split():
        assert fault(c_signature(f"void ({name} *, {ARGUMENTS})"), np.dtype(dtype)) is None, name
    others = [name for each in SPELLINGS for name in SPELLINGS[each].split() if each not in (dtype, "V3")]
    wrong = [name for name in others if fault(c_signature(f"void ({name} *, {ARGUMENTS})"), np.dtype(dtype))]
    same = {"char", "int8_t", "npy_byte", "uint8_t", "npy_ubyte", "npy_uint8"} if dtype == "V3" else set()
    assert set(others) - set(wrong) == same


@pytest.mark.parametrize(
    "text",
    [
        SIGNATURE,
        SIGNATURE.replace("void (", "void gain(", 1),
        SIGNATURE.replace("void (", "void (*)(", 1),
        SIGNATURE.replace("void (", "void (*gain)(", 1),
        "  void  ( float*x,unsigned frames,unsigned int,struct pong_block*,const void*const )  ",
        "void (float [], npy_uint32, unsigned, void *, char **)",
        "void (const volatile float *restrict s, uint32_t, __pyx_t_5numpy_uint32_t, struct mine const *, my_state *)",
        "void (float s[2], int unsigned, uint32_t, pong_block const *, void (*)(int, int))",
        "void (__pyx_t_4mine_sample *, __pyx_t_4mine_count, uint32_t, __pyx_t_4mine_block *, void *)",
    ],
)
def test_spellings_of_the_right_signature(text):
    assert fault(c_signature(text), FLOAT) is None


@pytest.mark.parametrize("number", ["long int", "int long", "long long unsigned int", "unsigned PY_LONG_LONG", "size_t",
                                    "short unsigned int", "signed char", "long double", "float complex", "Py_ssize_t",
                                    "enum mode", "bool", "PyObject *"])  # fmt: skip
def test_numbers_that_are_not_uint32(number):
    found = fault(c_signature(f"void (float *, {number}, uint32_t, void *, void *)"), FLOAT)
    assert found == ("frames must be uint32_t" if number != "enum mode" else None)


@pytest.mark.parametrize("text", ["", "void", "(int)", "void (int", "void (a b c)", "void (1)", "void) (",
                                  "void (int,)", "void (*, int)", "void (int &)", "x y z (int)"])  # fmt: skip
def test_what_is_no_signature(text):
    with pytest.raises(ValueError, match=re.escape(repr(text)) if "(" not in text else "no signature|no C type"):
        c_signature(text)


def test_the_size_of_long_is_the_platform_s():
    found = fault(c_signature("void (float *, unsigned long, uint32_t, void *, void *)"), FLOAT)
    assert (found is None) == (ctypes.sizeof(ctypes.c_ulong) == 4)
