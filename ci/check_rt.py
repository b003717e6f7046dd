"""Check on compiled code that nothing a ``*_rt`` function can reach touches Python, allocates, locks or prints.

    python ci/check_rt.py [root]

The kernel inlines into its callers, so the check builds an object of its own, in which each function of the kernel
stands alone, and walks that object's call graph.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import NamedTuple

from callgraph import CallGraph
from source import only, place, run, sources

# What may be called though pong does not define it, and why.
ALLOWED = {
    "memcpy": "bounded by the block size; gcc also makes it from structure copies",
    "memmove": "bounded by the block size",
    "memset": "bounded by the block size; gcc also makes it from loops",
    "clock_gettime": "answered in user space through the vDSO",
    "syscall": "the flag-gated wake-up of a waiter (futex)",
    "write": "the flag-gated wake-up of an eventfd",
}

# Functions, as "pong.module.name", that may call through a pointer, and why that cannot reach Python.
INDIRECT_ALLOWED: dict[str, str] = {
    "pong.streams.chain.process_rt": "the program's own functions; `process` refuses what it knows to call Python",
    "pong.streams.jack.begin_cycle_rt": "jack_port_get_buffer, which JACK means for its process callback",
    "pong.streams.jack.wired_rt": "jack_port_connected_to, until a stream begins; JACK 2's waits for nothing there",
    "pong.streams.jack.jack_jump_rt": "jack_last_frame_time, which JACK means for its process callback",
}

_PYTHON = re.compile(r"_?Py")
_FORBIDDEN = re.compile(
    r"(?:malloc|calloc|realloc|reallocarray|free|aligned_alloc|posix_memalign|memalign|mmap|munmap|abort|exit|__assert\w*"
    r"|pthread_(?:mutex|cond|rwlock|spin)_\w+|sem_\w+|(?:__)?v?[fsd]?n?printf(?:_chk)?|puts|putchar|fputs|fputc|putc|fwrite|fflush"
    r"|perror|v?syslog)$"
)

# A definition, with or without `inline`; `=` and `(` before the name would be a variable's start value or a pointer.
_DEFINITION = r"^([ \t]*)c(?:p)?def[ \t]+%s(?:\([^)\n]*\)[ \t]*)?[^=(\n]*?\b(\w+_rt)[ \t]*\("
_INLINE = re.compile(_DEFINITION % r"inline\b[ \t]*", re.M)
_ANY = re.compile(_DEFINITION % r"(?:inline\b[ \t]*)?", re.M)

# A member of a table of functions, and what is put there.
_MEMBER = re.compile(r"\(\*(\w+_rt)\)[ \t]*\(")
_ENTRY = re.compile(r"^\w+\.(\w+_rt)[ \t]*=[ \t]*(\w+)[ \t]*$", re.M)

# Nothing may hide inside a caller, and nothing may go because nobody in this object calls it.
_FLAGS = (
    "-O1 -c -w -fno-inline -fkeep-inline-functions -fkeep-static-functions -ffunction-sections -fno-jump-tables "
    "-fno-ipa-cp -fno-ipa-sra -fno-ipa-icf -fno-partial-inlining -fno-pic -fno-pie -fno-stack-protector "
    "-U_FORTIFY_SOURCE"
).split()


class Function(NamedTuple):
    """A ``*_rt`` function in the source: its name, its module and where it stands."""

    name: str
    module: str
    place: str


def symbol(module: str, name: str) -> re.Pattern[str]:
    """Match what Cython calls a function, in a class or not, or its bare name where it is public.

    Parameters
    ----------
    module, name : str
        Where it is defined, and its name there.

    Returns
    -------
    re.Pattern
        For `fullmatch` on a symbol of the object.
    """
    scope = "".join(f"{len(part)}{part}_" for part in module.split("."))
    return re.compile(rf"__pyx_f_{scope}(?:\d+[A-Za-z]\w*_)?{name}|{name}")


def _module(root: Path, path: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts)


def _functions(root: Path, path: Path, pattern: re.Pattern[str]) -> list[Function]:
    code = only(path, "code")
    return [Function(m[2], _module(root, path), place(root, path, code, m.start(2))) for m in pattern.finditer(code)]


def inline_functions(root: Path) -> list[Function]:
    """Find the ``*_rt`` functions that have their bodies in ``.pxd`` files.

    Parameters
    ----------
    root : Path
        The repository.

    Returns
    -------
    list of Function
        In the order of files and lines.
    """
    return [function for path in sources(root / "pong", ".pxd") for function in _functions(root, path, _INLINE)]


def extension_functions(root: Path) -> dict[Path, list[Function]]:
    """Find the ``*_rt`` functions in ``.pyx`` files.

    Parameters
    ----------
    root : Path
        The repository.

    Returns
    -------
    dict of Path to list of Function
        Only files that have any.
    """
    found = {path: _functions(root, path, _ANY) for path in sources(root / "pong", ".pyx")}
    return {path: functions for path, functions in found.items() if functions}


def probe(functions: list[Function]) -> str:
    """Write a Cython module that keeps functions alive by their addresses.

    Parameters
    ----------
    functions : list of Function
        Functions that can be cimported.

    Returns
    -------
    str
        The module's source.
    """
    lines = [f"from {f.module} cimport {f.name} as probe_{i}" for i, f in enumerate(functions)]
    table = f"pong_rt_table[{len(functions)}]"
    # Cython cannot say that the elements are volatile; gcc drops a table that is only written.
    lines += ["cdef extern from *:", f'    """static void *volatile {table};"""', f"    void* {table}"]
    lines += [f"pong_rt_table[{i}] = <void*>probe_{i}" for i in range(len(functions))]
    return "\n".join(lines) + "\n"


def build(root: Path, source: Path, module: str, work: Path) -> CallGraph:
    """Compile a Cython module with every function on its own.

    Parameters
    ----------
    root : Path
        The repository, from where modules are cimported and headers included.
    source : Path
        The ``.pyx`` file.
    module : str
        Its full name.
    work : Path
        Where the C and the object go.

    Returns
    -------
    CallGraph
        The object's.

    Raises
    ------
    RuntimeError
        With the compiler's words, if it does not compile.
    """
    c_file, object_file = work / f"{module}.c", work / f"{module}.o"
    includes = [f"-I{root}", f"-I{root}/pong/include", f"-I{sysconfig.get_paths()['include']}"]
    if importlib.util.find_spec("numpy"):
        import numpy

        includes.append(f"-I{numpy.get_include()}")
    cython = [sys.executable, "-m", "cython", "-3", "--module-name", module, f"-I{root}"]
    for command in (
        [*cython, str(source), "-o", str(c_file)],
        ["gcc", *_FLAGS, *includes, str(c_file), "-o", str(object_file)],
    ):
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
    return CallGraph(object_file)


def table_faults(root: Path, extensions: dict[Path, list[Function]]) -> list[str]:
    """Hold the C table of the public headers against what is put into it: a member ``*_rt`` is a ``*_rt`` function.

    Parameters
    ----------
    root : Path
        The repository.
    extensions : dict of Path to list of Function
        As `extension_functions` returns it.

    Returns
    -------
    list of str
        The faults.
    """
    given: dict[str, str] = {}
    for path in sources(root / "pong", ".pyx"):
        given.update(_ENTRY.findall(only(path, "code")))
    safe = {function.name for functions in extensions.values() for function in functions}
    faults = []
    for path in sources(root / "pong/include", ".h"):
        code = only(path, "code")
        for member in _MEMBER.finditer(code):
            if given.get(member[1]) not in safe:
                where = place(root, path, code, member.start())
                got = given.get(member[1], "nothing")
                faults.append(f"{where}: member {member[1]} is {got}; it must be a *_rt function of a .pyx file")
    return faults


def judge(graph: CallGraph, declared: list[Function], indirect: dict[str, str]) -> tuple[list[str], set[str]]:
    """Walk an object from each of its ``*_rt`` functions.

    Parameters
    ----------
    graph : CallGraph
        The object's.
    declared : list of Function
        The functions that the source says are in it.
    indirect : dict of str to str
        The functions that may call through a pointer, as in `INDIRECT_ALLOWED`.

    Returns
    -------
    tuple of (list of str, set of str)
        The faults, and all symbols reached.
    """
    faults = []
    reached: set[str] = set()
    where = {}
    for function in declared:
        spelt = symbol(function.module, function.name)
        found = [name for name in graph.edges if spelt.fullmatch(name)]
        where.update(dict.fromkeys(found, function.place))
        if not found:
            faults.append(f"{function.place}: {function.name} is declared here but absent from the compiled object")
    for start in sorted(name for name in graph.edges if name.endswith("_rt")):
        seen: dict[str, str] = {}
        for name, path in graph.reach(start).items():
            reached.add(name)
            wrong = _wrong(graph, name, indirect)
            # One call into Python reaches a hundred symbols; the nearest of each kind says where to look.
            if wrong and wrong not in seen:
                seen[wrong] = " -> ".join(path)
        faults += [f"{where.get(start, start)}: {path}: {wrong}" for wrong, path in seen.items()]
    return faults, reached


def _wrong(graph: CallGraph, name: str, indirect: dict[str, str]) -> str | None:
    """Say what is wrong with reaching a symbol, if anything is."""
    if name in graph.indirect and not any(symbol(*ok.rpartition(".")[::2]).fullmatch(name) for ok in indirect):
        instruction = " ".join(graph.indirect[name].split())
        return f"an indirect call ({instruction}) cannot be judged; allowed in: {', '.join(indirect) or 'no function'}"
    if _PYTHON.match(name):
        return "this is Python; no *_rt function may reach it"
    if _FORBIDDEN.match(name):
        return "this allocates, locks, prints or ends the process; no *_rt function may reach it"
    if name in graph.undefined and name not in ALLOWED:
        return f"not known to be safe; allowed: {', '.join(ALLOWED)}"
    return None


def check(root: Path, indirect: dict[str, str] = INDIRECT_ALLOWED) -> tuple[list[str], str]:
    """Check all ``*_rt`` functions.

    Parameters
    ----------
    root : Path
        The repository.
    indirect : dict of str to str, optional
        The functions that may call through a pointer, as ``"pong.module.name"``, with the reason.

    Returns
    -------
    tuple of (list of str, str)
        The faults, and how much was checked.
    """
    inline, extensions = inline_functions(root), extension_functions(root)
    faults = table_faults(root, extensions)
    reached: set[str] = set()
    outside: set[str] = set()
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        units = [(path, _module(root, path), functions) for path, functions in extensions.items()]
        if inline:
            source = work / "pong_rt_probe.pyx"
            source.write_text(probe(inline), encoding="utf-8")
            units.append((source, "pong_rt_probe", inline))
        for source, module, functions in units:
            try:
                graph = build(root, source, module, work)
            except RuntimeError as error:
                faults.append(f"{functions[0].place}: {module} does not compile, so nothing in it was checked\n{error}")
                continue
            wrong, symbols = judge(graph, functions, indirect)
            faults += wrong
            reached |= symbols & graph.edges.keys()
            outside |= symbols & graph.undefined
    count = len(inline) + sum(map(len, extensions.values()))
    if not count:
        faults.append("pong/:1: nothing to check: no *_rt function in any .pxd or .pyx")
    return faults, (
        f"{count} *_rt functions, {len(reached)} functions reachable, "
        f"undefined symbols reached: {', '.join(sorted(outside)) or 'none'}"
    )


if __name__ == "__main__":
    sys.exit(run(check))
