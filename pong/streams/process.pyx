"""What `process` of a stream may be given, and the chain of native functions that it becomes."""
import ctypes
import operator
import sys
from types import BuiltinFunctionType

import numpy as np

cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.pycapsule cimport PyCapsule_CheckExact, PyCapsule_GetContext, PyCapsule_GetName, PyCapsule_GetPointer
from libc.stdint cimport uintptr_t

from pong._arena cimport as_count
from pong._pool cimport sample_dtype
from pong._pool import MAX_CHANNELS
from pong.streams.chain cimport pong_process, step
from pong.streams.signatures import (
    BLOCK, SIGNATURE, c_signature, cffi_signature, ctypes_signature, fault, numba_signature, spell,
)

__all__ = ["BLOCK", "SIGNATURE", "Chain"]

FUNCTIONS = (
    "a Numba cfunc, a ctypes or cffi function, a scipy.LowLevelCallable, a PyCapsule (as in a Cython module's "
    "__pyx_capi__) or an address"
)
USERS = "None, an address, a ctypes object, a cffi pointer, an ndarray or a PyCapsule"
NEEDS_GIL = "it would need the GIL, which the callback never waits for"

# Flags of a ctypes function that is called with the GIL held.
PYTHONAPI = 4


@cython.final
@cython.internal
cdef class Native:
    """What is known about one function: its address, its signature, and a user pointer that it brings along."""

    cdef uintptr_t address
    cdef object signature        # None: not known
    cdef uintptr_t user


cdef Native native(uintptr_t address, object signature=None, uintptr_t user=0):
    cdef Native made = Native()
    made.address = address
    made.signature = signature
    made.user = user
    return made


cdef object as_address(object value, object least, str name):
    """Return an integer that an address may be, or raise an error that says the range."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an address, not {value!r}")
    number = operator.index(value)
    if not least <= number <= <uintptr_t>-1:
        raise ValueError(f"{name} must be an address from {least} up that fits a pointer, not {value!r}")
    return number


cdef object cffi_backend_of(object item):
    """Return cffi's C module if ``item`` is a piece of C data of it, or a function of a library compiled with it."""
    backend = sys.modules.get("_cffi_backend")
    if backend is None:
        return None
    if isinstance(item, backend._CDataBase):
        return backend
    return backend if isinstance(item, BuiltinFunctionType) and isinstance(item.__self__, backend.Lib) else None


cdef bint made_by(object item, str module, str name):
    """Tell whether ``item`` is of a class in a module, without importing the module."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(item, getattr(loaded, name))


cdef bint holds_thunk(object kept):
    """Tell whether what a ctypes function keeps alive includes the thunk that calls a Python function."""
    if isinstance(kept, dict):
        return any([holds_thunk(each) for each in kept.values()])
    return type(kept).__name__ == "CThunkObject"


cdef Native from_ctypes(object item, str name):
    if holds_thunk(item._objects):
        raise TypeError(f"{name} is a ctypes callback into Python, {item!r}: {NEEDS_GIL}; allowed: {FUNCTIONS}")
    if item._flags_ & PYTHONAPI:
        raise TypeError(f"{name} is a ctypes function that is called with the GIL held, {item!r}: {NEEDS_GIL}")
    return native(ctypes.cast(item, ctypes.c_void_p).value or 0, ctypes_signature(item))


cdef Native from_cffi(object item, object backend, str name):
    ffi = backend.FFI()
    if not isinstance(item, backend._CDataBase):
        item = ffi.addressof(item.__self__, item.__name__)
    kind = ffi.typeof(item)
    if kind.kind == "pointer" and kind.item.kind == "void":
        return native(int(ffi.cast("uintptr_t", item)))
    if kind.kind != "function":
        raise TypeError(f"{name} is {item!r}, which is no function; allowed: {FUNCTIONS}")
    # Of all pointers to functions only a callback into Python is owned by its object.
    if type(item).__name__ == "__CDataOwnGC":
        raise TypeError(f"{name} is a cffi callback into Python, {item!r}: {NEEDS_GIL}; allowed: {FUNCTIONS}")
    return native(int(ffi.cast("uintptr_t", item)), cffi_signature(kind))


cdef object read_signature(object text, str name):
    """Return the signature that a text tells; None if there is none."""
    if not text:
        return None
    try:
        return c_signature(text)
    except ValueError as error:
        raise TypeError(f"{name}: {error}; it must be {SIGNATURE}") from None


cdef Native from_capsule(object item, str name):
    cdef const char* label = PyCapsule_GetName(item)
    text = label.decode("utf-8", "replace") if label != NULL else None
    return native(
        <uintptr_t>PyCapsule_GetPointer(item, label), read_signature(text, name), <uintptr_t>PyCapsule_GetContext(item)
    )


cdef Native from_scipy(object item, str name):
    cdef Native found
    if PyCapsule_CheckExact(item.function):
        # SciPy's signature goes before the name of the capsule.
        found = native(
            <uintptr_t>PyCapsule_GetPointer(item.function, PyCapsule_GetName(item.function)),
            read_signature(item.signature, name), <uintptr_t>PyCapsule_GetContext(item.function)
        )
    else:
        found = native_of(item.function, name)
        if found.signature is None:
            found.signature = read_signature(item.signature, name)
    if item.user_data is not None:
        found.user = user_of(item.user_data, name)
    return found


cdef Native native_of(object item, str name):
    """Return what is known about a function, whatever it comes as."""
    backend = cffi_backend_of(item)
    if backend is not None:
        return from_cffi(item, backend, name)
    if isinstance(item, ctypes._CFuncPtr):
        return from_ctypes(item, name)
    if made_by(item, "numba.core.ccallback", "CFunc"):
        return native(item.address, numba_signature(item))
    if made_by(item, "scipy._lib._ccallback", "LowLevelCallable"):
        return from_scipy(item, name)
    if PyCapsule_CheckExact(item):
        return from_capsule(item, name)
    if hasattr(type(item), "__index__") and not isinstance(item, np.ndarray):
        return native(as_address(item, 1, name))
    if callable(item):
        raise TypeError(f"{name} is a Python function, {item!r}: {NEEDS_GIL}; allowed: {FUNCTIONS}")
    raise TypeError(f"{name} must be {FUNCTIONS}, or a tuple of one and its user pointer, not {item!r}")


cdef object user_of(object user, str name):
    """Return the address that a step's user pointer is given as."""
    backend = cffi_backend_of(user)
    if backend is not None:
        kind = backend.typeof(user).kind
        if kind not in ("pointer", "array", "function"):
            raise TypeError(f"the user pointer of {name} must be a pointer, not {user!r}; try ffi.addressof")
        return int(backend.FFI().cast("uintptr_t", user))
    if isinstance(user, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_wchar_p, ctypes._Pointer, ctypes._CFuncPtr)):
        return ctypes.cast(user, ctypes.c_void_p).value or 0
    if isinstance(user, ctypes.Structure.__base__):
        return ctypes.addressof(user)
    if isinstance(user, np.ndarray):
        if user.dtype.hasobject:
            raise TypeError(f"the user array of {name} must be plain memory, not {user.dtype}")
        if not user.flags.forc or not user.flags.writeable:
            raise ValueError(f"the user array of {name} must be contiguous and writeable")
        return user.ctypes.data
    if PyCapsule_CheckExact(user):
        return <uintptr_t>PyCapsule_GetPointer(user, PyCapsule_GetName(user))
    if hasattr(type(user), "__index__"):
        return as_address(user, 0, f"the user pointer of {name}")
    raise TypeError(f"the user pointer of {name} must be {USERS}, not {user!r}")


cdef step step_of(object item, object dtype, str name) except *:
    """Return one step of a chain; raise where a function cannot be called from native code as a step is."""
    cdef Native found
    cdef step made
    user = None
    if type(item) is tuple:
        if len(item) != 2:
            raise TypeError(f"{name} must be a function or a tuple of a function and its user pointer, not {item!r}")
        item, user = item
    found = native_of(item, name)
    if not found.address:
        raise ValueError(f"{name} is a null pointer: {item!r}")
    wrong = None if found.signature is None else fault(found.signature, dtype)
    if wrong:
        raise TypeError(f"{name} is {spell(found.signature)}: {wrong}; its signature must be {SIGNATURE}")
    made.function = <pong_process>found.address
    made.user = <void*>(found.user if user is None else <uintptr_t>user_of(user, name))
    return made


# What a chain keeps is in use until the native thread that runs it has ended, even when it is found to be garbage.
@cython.final
@cython.no_gc_clear
cdef class Chain:
    """Native functions that a stream runs on each block, in order, inside its callback and without the GIL.

    Each is called as
    ``void (void *samples, uint32_t frames, uint32_t channels, const pong_block *block, void *user)``: ``samples`` are
    the block's ``frames * channels`` samples, frame by frame, to be changed in place (in a planar pool channel by
    channel, each ``block.plane`` samples after the one before); ``block`` is what is known about them, valid during the
    call (``pong/include/pong_block.h``; in NumPy and Numba the dtype `BLOCK`).

    Parameters
    ----------
    process : None, function, tuple, or list of them
        A function is a Numba ``cfunc``, a ctypes or cffi function, a ``scipy.LowLevelCallable``, a PyCapsule (its name
        is the signature; that of a Cython ``cdef`` function stands in its module's ``__pyx_capi__``), or an address.
        A tuple is a function and its user pointer: None, an address, a ctypes object (a pointer's value, else the
        object's own address), a cffi pointer, a contiguous, writeable ndarray (its data), or a PyCapsule. Without one,
        a ``LowLevelCallable`` brings its ``user_data`` along, and a PyCapsule its context.
    channels : int
        Audio channels of the samples, 1 to 1024.
    dtype : dtype_like
        Of the samples.

    Raises
    ------
    TypeError
        Something is no native function, calls into Python, or is known to have another signature.
    ValueError
        A null pointer; a user array that is not contiguous or not writeable; channels out of range.

    Notes
    -----
    What cannot be known is believed: the signature behind an address, an unnamed PyCapsule or a ctypes function without
    ``argtypes``; that a Cython function is ``noexcept nogil``, that a Numba function raises nothing, and that an
    address does not lead into Python, all of which would take the GIL. A function must return within the time of a
    callback: no waiting, no locks, no allocation. Everything given is kept alive as long as the chain; the library of a
    cffi function opened by ``dlopen`` is not, for the function does not know it.

    Thread: any. Blocks: no. Allocates: yes.
    """

    def __init__(self, process, channels, dtype):
        cdef uintptr_t i
        cdef step* steps
        if self.kept is not None:
            raise RuntimeError("a chain is made once")
        several = isinstance(process, list)
        items = tuple(process) if several else () if process is None else (process,)
        dtype = sample_dtype(dtype)
        self.c.channels = as_count(channels, "channels", 1, MAX_CHANNELS)
        steps = <step*>PyMem_Calloc(len(items), sizeof(step))
        if steps == NULL:
            raise MemoryError
        try:
            for i in range(len(items)):
                steps[i] = step_of(items[i], dtype, f"process[{i}]" if several else "process")
        except BaseException:
            PyMem_Free(steps)
            raise
        self.c.steps = steps
        self.c.number = len(items)
        self.kept = items

    def __len__(self):
        return self.c.number

    def __dealloc__(self):
        PyMem_Free(self.c.steps)
