"""Check that every module of pong imports only from the layers above it.

    python ci/check_layers.py [root]

Type stubs (``.pyi``) are not judged: they name types and run nothing.
"""

from __future__ import annotations

import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path

from source import only, place, run, sources

# A module imports from earlier rows only. Modules of one row do not know each other, except in a row with a
# star, which is one program in several files.
ROWS = (
    "errors",
    "stats",
    "include/pong_block",
    "include/pong",
    "kernel/__init__",
    "kernel/atomic",
    "kernel/platform",
    "kernel/layout",
    "kernel/arena",
    "kernel/meter",
    "kernel/wait",
    "kernel/freeset",
    "kernel/ring",
    "kernel/transfer",
    "kernel/opening",
    "kernel/recovery",
    "include/*",
    "_arena",
    "_views",
    "_buffer",
    "_batch",
    "_readings",
    "_pool",
    "_link",
    "_capi",
    "streams/at_exit",
    "streams/chain",
    "streams/signatures",
    "streams/process",
    "streams/base",
    "streams/callback streams/virtual_loop",
    "streams/unpaced",
    "streams/ends",
    "streams/device",
    "streams/settings",
    "streams/hush",
    "streams/extras",
    "streams/int24",
    "streams/jack_client streams/jack_names",
    "streams/opening",
    "streams/native",
    "streams/virtual streams/portaudio streams/jack streams/miniaudio",
    "streams/signals",
    "streams/sources",
    "streams/sinks",
    "streams/carriers",
    "streams/files",
    "streams/virtual_card",
    "streams/virtual_setup",
    "streams/device_stream",
    "streams/stream streams/devices",
    "streams/__init__",
    "aio monitor shared",
    "__init__",
    "live interruption",
    "recording loopback",
    "demo*",
    "cli*",
    "examples/*",
    "bench/*",
    "__main__",
)

# `cython` names compiler directives only; the two libc modules declare types and what gcc has built in.
KERNEL_MAY_CIMPORT = {"cython", "libc.stdint", "libc.string"}

_FROM = re.compile(r"(?:^|[;:])[ \t]*from\s+(\.*[\w.]*)\s+(c?import)\b\s*(\([^)]*\)|(?:\\\n|[^\n\\;])*)", re.M)
_IMPORT = re.compile(r"(?:^|[;:])[ \t]*(c?import)[ \t]+((?:\\\n|[^\n\\;])*)", re.M)
_HEADER = re.compile(r"^[ \t]*(?:cdef\s+extern\s+from|include)\s*[\"']<?([^\"'<>\n]+)>?[\"']", re.M)
_SUFFIXES = (".py", ".pyx", ".pxd", ".pxi", ".h", ".c")
_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*[\"<]([^\">\n]+)[\">]", re.M)


def row(module: str) -> int | None:
    """Find a module's layer.

    Parameters
    ----------
    module : str
        The path below ``pong/`` without an ending, such as ``"kernel/ring"``.

    Returns
    -------
    int or None
        The number of its row in `ROWS`; None if it is in no layer.
    """
    for number, patterns in enumerate(ROWS):
        if any(fnmatchcase(module, pattern) for pattern in patterns.split()):
            return number
    return None


def module_of(root: Path, path: Path) -> str:
    """Name the module a file belongs to; a header belongs to the module of the same name.

    Parameters
    ----------
    root, path : Path
        The repository and a file below its ``pong/``.

    Returns
    -------
    str
        Such as ``"kernel/ring"``.
    """
    return path.relative_to(root / "pong").with_suffix("").as_posix()


def imports(root: Path, path: Path) -> list[tuple[int, str, str]]:
    """List what a file imports, cimports and includes.

    Parameters
    ----------
    root, path : Path
        The repository and a file below its ``pong/``.

    Returns
    -------
    list of (int, str, str)
        The offset in the file, the kind (``"import"``, ``"cimport"``, ``"include"``), and ``"pong/"`` with the
        module, or the name of something outside.
    """
    found = []
    code = only(path, "code")
    if path.suffix not in (".h", ".c"):
        package = list(path.relative_to(root).parent.parts)
        for match in _FROM.finditer(code):
            base, kind, names = match.groups()
            for name in re.split(r",", re.sub(r"[()\\]", " ", names)):
                if name.strip():
                    found.append((match.start(1), kind, _target(root, package, base, name.split()[0])))
        for match in _IMPORT.finditer(code):
            for name in match[2].replace("\\", " ").split(","):
                if name.strip():
                    found.append((match.start(1), match[1], _target(root, package, name.split()[0])))
    text = only(path, "code", "string")
    # What looks like an extern block inside a string is prose; what looks like a C include there is verbatim C.
    headers = [m for m in _HEADER.finditer(text) if code[m.start() : m.start(1)].strip()]
    verbatim = only(path, "string") if path.suffix not in (".h", ".c") else text
    for match in headers + list(_INCLUDE.finditer(verbatim)):
        beside = path.parent / match[1]
        header = beside if beside.exists() else root / match[1]
        inside = header.resolve().is_relative_to(root.resolve() / "pong")
        name = header.resolve().relative_to(root.resolve()).with_suffix("").as_posix() if inside else match[1]
        found.append((match.start(1), "include", name))
    return found


def _target(root: Path, package: list[str], base: str, name: str = "") -> str:
    """Resolve ``from base import name``, or ``import base``, to ``"pong/module"`` or an outside dotted name."""
    dots = len(base) - len(base.lstrip("."))
    parts = package[: len(package) - dots + 1] if dots else []
    parts = parts + [part for part in base.split(".") if part]
    if parts[:1] != ["pong"]:
        return ".".join([*parts, name] if not base.strip(".") else parts)
    # A name that is a module is meant as one; any other is something that the package or module defines.
    inner = "/".join([*parts[1:], name]) if name else ""
    if inner and (row(inner) is not None or any((root / f"pong/{inner}{suffix}").exists() for suffix in _SUFFIXES)):
        return f"pong/{inner}"
    module = "/".join(parts)
    return f"{module}/__init__" if (root / module).is_dir() else module


def _fault(module: str, kind: str, target: str) -> str | None:
    """Say what is wrong with one import, if anything is."""
    in_kernel = module.startswith("kernel/")
    if not target.startswith("pong/"):
        if not in_kernel:
            return None
        if kind == "import":
            return f"the kernel imports Python module {target}; it may import none"
        if kind == "cimport" and target not in KERNEL_MAY_CIMPORT:
            return f"the kernel cimports {target}; allowed: {', '.join(sorted(KERNEL_MAY_CIMPORT))}"
        if kind == "include" and re.match(r"Python\.h|numpy/", target):
            return f"the kernel includes {target}; it may not name Python"
        return None
    target = target.removeprefix("pong/")
    mine, theirs = row(module), row(target)
    if theirs is None:
        return f"{module} {kind}s {target}, which is in no layer; name it in ROWS of ci/check_layers.py"
    if mine is None or target == module:
        return None
    if in_kernel and not target.startswith("kernel/"):
        return f"the kernel {kind}s {target}; it may use modules of the kernel only"
    if module == "__init__":
        return "the package imports __main__; it may import anything else" if target == "__main__" else None
    if theirs > mine or (theirs == mine and "*" not in ROWS[mine]):
        return f"{module} {kind}s {target}; allowed are the layers above it: {', '.join(ROWS[:mine]) or 'none'}"
    return None


def check(root: Path) -> tuple[list[str], str]:
    """Check the order of the layers.

    Parameters
    ----------
    root : Path
        The repository.

    Returns
    -------
    tuple of (list of str, str)
        The faults, and how much was checked.
    """
    faults = []
    files = sources(root / "pong", *_SUFFIXES)
    count = 0
    for path in files:
        module = module_of(root, path)
        text = path.read_text(encoding="utf-8")
        if row(module) is None:
            where = place(root, path, text, 0)
            faults.append(f"{where}: {module} is in no layer; name it in ROWS of ci/check_layers.py")
        for offset, kind, target in dict.fromkeys(imports(root, path)):
            count += 1
            fault = _fault(module, kind, target)
            if fault:
                faults.append(f"{place(root, path, text, offset)}: {fault}")
    if not count:
        faults.append("pong/:1: nothing to check: no file below pong/ imports anything")
    return faults, f"{len(files)} files, {count} imports"


if __name__ == "__main__":
    sys.exit(run(check))
