"""What the checks share: source text taken apart, and one way to report."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

_TOKEN = {
    "cython": re.compile(
        r'(?P<comment>#[^\n]*)|(?P<string>(?:\b[rbufRBUF]{1,2})?'
        r'(?:"""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'))',
        re.S,
    ),
    "c": re.compile(
        r'(?P<comment>/\*.*?\*/|//[^\n]*)|(?P<string>"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')',
        re.S,
    ),
}


def sources(root: Path, *suffixes: str) -> list[Path]:
    """Find the hand-written files below a directory.

    Parameters
    ----------
    root : Path
        Where to look, in all subdirectories too.
    *suffixes : str
        File name endings, with the dot.

    Returns
    -------
    list of Path
        Sorted. C that Cython wrote beside its ``.pyx`` is left out: its source is what is judged.
    """
    found = (p for p in root.rglob("*") if p.suffix in suffixes and p.is_file())
    return sorted(p for p in found if not (p.suffix == ".c" and p.with_suffix(".pyx").exists()))


def pieces(path: Path) -> Iterator[tuple[str, str]]:
    """Take a Python, Cython or C file apart.

    Parameters
    ----------
    path : Path
        The file; its ending tells the language.

    Yields
    ------
    tuple of (str, str)
        ``"code"``, ``"comment"`` or ``"string"``, and the text. All texts joined are the file.
    """
    text = path.read_text(encoding="utf-8")
    end = 0
    for match in _TOKEN["c" if path.suffix in (".h", ".c") else "cython"].finditer(text):
        yield "code", text[end : match.start()]
        yield str(match.lastgroup), match.group()
        end = match.end()
    yield "code", text[end:]


def only(path: Path, *kinds: str) -> str:
    """Read a file with everything but some kinds of text blanked, so that lines and columns stay.

    Parameters
    ----------
    path : Path
        The file.
    *kinds : str
        What to keep: ``"code"``, ``"comment"``, ``"string"``.

    Returns
    -------
    str
        As long as the file, with the same line ends.
    """
    return "".join(text if kind in kinds else re.sub(r"[^\n]", " ", text) for kind, text in pieces(path))


def place(root: Path, path: Path, text: str, offset: int) -> str:
    """Name the place of a fault.

    Parameters
    ----------
    root, path : Path
        The repository and a file in it.
    text : str
        The file's text, or a masked copy of it.
    offset : int
        Where in the text.

    Returns
    -------
    str
        ``file:line``, as editors and CI logs turn into a link.
    """
    return f"{path.relative_to(root).as_posix()}:{text.count(chr(10), 0, offset) + 1}"


def run(check: Callable[[Path], tuple[list[str], str]]) -> int:
    """Run a check from the command line.

    Parameters
    ----------
    check : callable
        Takes the repository's root; returns the faults, a line each, and what was checked.

    Returns
    -------
    int
        The exit code: 1 if there is any fault.
    """
    faults, summary = check(Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve())
    for fault in faults:
        print(fault)
    print(f"{Path(sys.argv[0]).stem}: {summary}: {f'{len(faults)} fault(s)' if faults else 'ok'}")
    return 1 if faults else 0
