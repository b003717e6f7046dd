"""Check that each invariant of layout.h is cited where code relies on it and in a test.

    python ci/check_invariants.py [root]
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from source import only, pieces, place, run, sources

LAYOUT = "pong/kernel/layout.h"

_DEFINITION = re.compile(r"^[ \t]*\*[ \t]+I(\d+)(?:[ \t]+(\S)|[ \t]*$)", re.M)
_CITATION = re.compile(r"\bI(\d+)\b")


def prose(path: Path) -> str:
    """Read a file's comments and docstrings; other strings can hold letters that mean something else.

    Parameters
    ----------
    path : Path
        A Python, Cython or C file.

    Returns
    -------
    str
        The file with all else blanked.
    """
    if path.suffix == ".h":
        return only(path, "comment")
    kept = []
    before = ""
    for kind, text in pieces(path):
        # A docstring is the first thing in a file, or follows the colon of its function or class.
        docstring = kind == "string" and (not before or before.endswith(":"))
        kept.append(text if kind == "comment" or docstring else re.sub(r"[^\n]", " ", text))
        if kind != "comment":
            before = (before + text.rstrip())[-1:] if text.strip() else before
    return "".join(kept)


def check(root: Path) -> tuple[list[str], str]:
    """Check definitions and citations.

    Parameters
    ----------
    root : Path
        The repository.

    Returns
    -------
    tuple of (list of str, str)
        The faults, and how much was checked.
    """
    layout = root / LAYOUT
    faults: list[str] = []
    defined: dict[int, str] = {}
    if layout.exists():
        text = only(layout, "comment")
        for match in _DEFINITION.finditer(text):
            number, where = int(match[1]), place(root, layout, text, match.start(1))
            if number in defined:
                faults.append(f"{where}: I{number} is also defined at {defined[number]}; each is defined once")
            if not match[2]:
                faults.append(f"{where}: I{number} has no text")
            defined.setdefault(number, where)
    if not defined:
        return [f"{LAYOUT}:1: nothing to check: no comment line ' * I1 text'"], "0 invariants"
    for number in sorted(set(range(1, max(defined) + 1)) - set(defined)):
        faults.append(f"{LAYOUT}:1: I{number} is missing; invariants are numbered without a hole")

    relied: set[int] = set()
    tested: set[int] = set()
    # The tests of this check cite invariants of their own.
    tests = [p for p in sources(root / "tests", ".py", ".pyx", ".pxd") if p.name != "test_ci_checks.py"]
    files = sources(root / "pong", ".py", ".pyx", ".pxd", ".h") + tests
    for path in files:
        text = prose(path)
        for match in _CITATION.finditer(text):
            number = int(match[1])
            if number not in defined:
                faults.append(f"{place(root, path, text, match.start())}: I{number} is not defined in {LAYOUT}")
            if path in tests:
                tested.add(number)
            elif path.suffix in (".pxd", ".pyx"):
                relied.add(number)
    for number, where in sorted(defined.items()):
        if number not in relied:
            faults.append(f"{where}: I{number} is cited in no .pxd or .pyx; cite it where code relies on it")
        if number not in tested:
            faults.append(f"{where}: I{number} is cited in no test; cite it in the test that fails without it")
    return faults, f"{len(defined)} invariants, citations in {len(files)} files"


if __name__ == "__main__":
    sys.exit(run(check))
