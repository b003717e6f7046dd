"""The one signature of a native processing function, and how ctypes, cffi, Numba and C spell it.

A type is written as a short text here: NumPy's code of a number (``"u4"``, ``"f4"``), ``"void"``, ``"struct"`` (with
its size where that is known, ``"struct 72"``), ``"object"`` (Python's), ``"function"``, ``"?"`` for what is not known,
and ``*`` before what a pointer points to. A signature is the tuple of the result's type and the arguments' types.
"""

import ctypes
import itertools
import re
import sys

import numpy as np

SIGNATURE = "void (void *samples, uint32_t frames, uint32_t channels, const pong_block *block, void *user)"

# pong_block of pong/include/pong_block.h.
BLOCK = np.dtype(
    [
        ("seq", "u8"), ("position", "u8"), ("gap", "u8"), ("time", "f8"), ("samplerate", "f8"), ("tag", "i8"),
        ("frames", "u4"), ("channels", "u4"), ("status", "u4"), ("time_source", "u4"), ("plane", "u8"),
    ],
    align=True,
)

# By NumPy's character for each C type. Words of C's integers are put in order before they are looked up.
CHARACTERS = {
    "signed char": "b", "byte": "b", "unsigned char": "B", "ubyte": "B", "uchar": "B", "char": "b",
    "short": "h", "unsigned short": "H", "ushort": "H", "int": "i", "unsigned int": "I", "uint": "I",
    "long": "l", "unsigned long": "L", "ulong": "L", "long long": "q", "longlong": "q",
    "unsigned long long": "Q", "ulonglong": "Q",
    "ssize_t": "p", "Py_ssize_t": "p", "ptrdiff_t": "p", "intptr_t": "p", "intp": "p",
    "size_t": "P", "uintptr_t": "P", "uintp": "P",
    "float": "f", "double": "d", "long double": "g", "longdouble": "g", "bool": "?", "_Bool": "?",
    "float_complex": "F", "double_complex": "D",
}
INTEGER_WORDS = {"signed", "unsigned", "char", "short", "int", "long"}
QUALIFIERS = r"\b(?:const|volatile|restrict|__restrict|__restrict__|noexcept|extern|static|inline)\b"


def integer(words):
    """Return the name of a C integer whose words may stand in any order, as in ``long unsigned int``."""
    unsigned = "unsigned " if "unsigned" in words else ""
    if "char" in words:
        return "signed char" if "signed" in words else unsigned + "char"
    if "short" in words:
        return unsigned + "short"
    return unsigned + (" ".join(["long"] * words.count("long")) or "int")


def number(name):
    """Return the type that a C name without any pointer names."""
    # Cython's own spelling of a typedef: the path of its module, each part behind its length.
    while match := re.match(r"(?:__pyx_t_)?(\d+)", name):
        name = name[match.end() + int(match[1]) :].removeprefix("_")
    name = name.removeprefix("__pyx_t_").removeprefix("npy_")
    if name in CHARACTERS:
        return np.dtype(CHARACTERS[name]).str[1:]
    if match := re.fullmatch(r"(u?)(int|float|complex)(8|16|32|64|128)(?:_t)?", name):
        return (match[1] or match[2][0]) + str(int(match[3]) // 8)
    return {"void": "void", "pong_block": f"struct {BLOCK.itemsize}", "PyObject": "object"}.get(name, "?")


def c_type(text):
    """Return the type that a C declaration names, with or without the name of what it declares."""
    if "(" in text:
        return "*function"
    text = re.sub(QUALIFIERS, " ", text).replace("PY_LONG_LONG", "long long")
    pointers = text.count("*") + text.count("[")
    words = re.sub(r"\[[^]]*\]|\*", " * ", text).split()
    stars = words.index("*") if "*" in words else len(words)
    count = next((i for i, word in enumerate(words) if word not in INTEGER_WORDS), len(words))
    if words[:1] in (["struct"], ["union"], ["enum"]):
        found, count = "struct" if words[0] != "enum" else "?", 2
        if words[1:2] == ["pong_block"]:
            found = number("pong_block")
    elif words[:2] == ["long", "double"]:
        found, count = number("long double"), 2
    elif words[1:2] == ["complex"] or words[1:2] == ["_Complex"]:
        found, count = f"c{2 * int(number(words[0])[1:])}", 2
    elif count:
        found = number(integer(words[:count]))
    else:
        found, count = number(words[0]) if words else "", 1
    rest = [word for word in words[count:] if word != "*"]
    if not all(re.fullmatch(r"[A-Za-z_]\w*", word) for word in words if word != "*") or stars < count or len(rest) > 1:
        raise ValueError(f"{text.strip()!r} is no C type")
    return "*" * pointers + found


def c_signature(text):
    """Return the signature that a C declaration of a function tells; ValueError if it is none."""
    text = text.strip()
    depth = 0
    starts = []
    for place in range(len(text) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[place], 0)
        if depth == 1 and text[place] == ",":
            starts.append(place)
        elif depth == 0:
            break
    if not text.endswith(")") or depth or not text[:place].strip():
        raise ValueError(f"{text!r} is no signature of a function")
    # In front of the arguments: the result, and of a pointer to a function its star, of a declaration its name.
    result = re.sub(r"\(\s*\*\s*\w*\s*\)\s*$", "", text[:place])
    bounds = [place, *reversed(starts), len(text) - 1]
    arguments = [text[a + 1 : b] for a, b in itertools.pairwise(bounds)]
    if len(arguments) == 1 and arguments[0].strip() in ("", "void"):
        arguments = []
    return (c_type(result), *map(c_type, arguments))


def ctypes_type(given):
    """Return the type that an item of a ctypes function's ``argtypes``, or its ``restype``, stands for."""
    if given is None:
        return "void"
    if not isinstance(given, type):
        return "?"
    if issubclass(given, ctypes.c_void_p):
        dtype = getattr(given, "_dtype_", None)  # of numpy.ctypeslib.ndpointer
        return "*void" if dtype is None else f"*{dtype.str[1:]}"
    if issubclass(given, (ctypes._Pointer, ctypes.Array)):
        return "*" + ctypes_type(given._type_)
    if issubclass(given, (ctypes.Structure, ctypes.Union)):
        return f"struct {ctypes.sizeof(given)}"
    if issubclass(given, ctypes._CFuncPtr):
        return "*function"
    if issubclass(given, ctypes.py_object):
        return "object"
    if issubclass(given, ctypes._SimpleCData):
        return {"z": "*i1", "Z": "*?"}.get(given._type_) or np.dtype(given).str[1:]
    return "?"


def ctypes_signature(function):
    """Return the signature of a ctypes function; None if its arguments have not been told."""
    if function.argtypes is None:
        return None
    result = function.restype
    if not hasattr(type(function), "_argtypes_") and result is type(function)._restype_:
        # A library's function that nobody has told the result of looks as if it returned an int.
        return ("?", *map(ctypes_type, function.argtypes))
    return (ctypes_type(result), *map(ctypes_type, function.argtypes))


def cffi_type(given):
    """Return the type that a cffi ``ctype`` stands for."""
    if given.kind in ("pointer", "array"):
        return "*" + cffi_type(given.item)
    if given.kind == "function":
        return "*function"
    if given.kind in ("struct", "union"):
        try:
            return f"struct {sys.modules['_cffi_backend'].sizeof(given)}"
        except Exception:
            # An opaque struct has no size.
            return "struct"
    return c_type(given.cname) if given.kind in ("void", "primitive") else "?"


def cffi_signature(given):
    """Return the signature that the cffi ``ctype`` of a function stands for."""
    arguments = [cffi_type(each) for each in given.args]
    return (cffi_type(given.result), *arguments, *["..."] * given.ellipsis)


def numba_type(given):
    """Return the type that a Numba type stands for."""
    types = sys.modules["numba"].types
    if given == types.none:
        return "void"
    if given == types.voidptr:
        return "*void"
    if isinstance(given, types.CPointer):
        return "*" + numba_type(given.dtype)
    if isinstance(given, types.Record):
        return f"struct {given.size}"
    if isinstance(given, (types.Integer, types.Float, types.Complex, types.Boolean)):
        return np.dtype(str(given)).str[1:]
    return str(given)


def numba_signature(function):
    """Return the signature of a Numba ``cfunc``."""
    return (numba_type(function._sig.return_type), *map(numba_type, function._sig.args))


def spell(found):
    """Return a signature for a reader."""
    names = []
    for each in found:
        name = each.lstrip("*")
        stars = each[: len(each) - len(name)]
        if re.fullmatch(r"[uifcb]\d+", name):
            name = np.dtype(name).name
        names.append(f"{name} {stars}".strip())
    return f"{names[0]} ({', '.join(names[1:])})"


def fault(found, dtype):
    """Say what is wrong with a signature.

    Parameters
    ----------
    found : tuple of str
        The signature.
    dtype : numpy.dtype
        Of the samples.

    Returns
    -------
    str or None
        A clause; None if nothing is wrong, or nothing that can be known.
    """
    if len(found) != 6:
        return f"it takes {len(found) - 1} arguments, not 5"
    result, samples, frames, channels, block, user = found
    # What has no number of its own in C is looked at as bytes.
    same = [dtype.str[1:]] if dtype.kind in "uifcb" else ["u1", "i1"]
    if result not in ("void", "?"):
        return "it must return nothing"
    if samples not in ("*void", "*?", "?", *(f"*{each}" for each in same)):
        return f"samples must be a pointer to void or to {dtype}"
    for name, each in (("frames", frames), ("channels", channels)):
        if each not in ("u4", "?"):
            return f"{name} must be uint32_t"
    if block not in ("*void", "*?", "?", "*struct", f"*struct {BLOCK.itemsize}"):
        return "block must be a pointer to pong_block or to void"
    if user == "*object" or (user != "?" and not user.startswith("*")):
        return "user must be a pointer"
    return None
