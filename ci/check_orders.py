"""Check that every ordered atomic operation says which other one it pairs with, and that the other agrees.

    python ci/check_orders.py [root]

The label stands on the operation's line or in the comment block directly above it::

    # R1: pairs with A1. The samples and the header, written before.
    store_release_u32(&ring.entries[at], entry)

Several operations below one block take its labels in order. Relaxed operations order nothing and have no label.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

from source import only, place, run, sources

# Any width is matched, so that one added to atomic.h later cannot slip through.
_CALL = re.compile(r"\b(load|store|exchange|cas|fetch_[a-z]+)_(acquire|release|acq_rel|seq_cst)_[a-z]+\d*\s*\(")
_LABEL = re.compile(r"^[ \t]*([A-Z]+\d+):[ \t]*pairs[ \t]+with\b", re.M)
_PARTNERS = re.compile(r"\s*([A-Z]+\d+(?:,\s*[A-Z]+\d+)*)\.(?:\s+|$)(.*)", re.S)
_FENCE = re.compile(r"atomic_thread_fence|__sync_synchronize|_mm_[lms]fence")
_FORM = "'# R1: pairs with A1. What becomes visible'"


class Label(NamedTuple):
    """What a comment promises: its name, the names it pairs with, the explanation, and where it stands."""

    name: str
    partners: tuple[str, ...]
    text: str
    place: str


class Call(NamedTuple):
    """An ordered atomic operation: the operation, its order, and where it stands."""

    operation: str
    order: str
    place: str

    @property
    def publishes(self) -> bool:
        """Whether an earlier write of this thread can become visible through it."""
        return self.operation != "load" and self.order != "acquire"

    @property
    def observes(self) -> bool:
        """Whether another thread's earlier writes can be seen after it."""
        return self.operation != "store" and self.order != "release"


def labels(comment: str, file: str, line: int) -> list[Label]:
    """Read the labels in a comment block.

    Parameters
    ----------
    comment : str
        The block without its ``#``; a label begins a line.
    file : str
        The file's name, for reports.
    line : int
        The line the block begins at.

    Returns
    -------
    list of Label
        One whose partners cannot be read has none.
    """
    found = []
    starts = list(_LABEL.finditer(comment))
    ends = [match.start() for match in starts[1:]] + [len(comment)]
    for match, end in zip(starts, ends, strict=False):
        rest = _PARTNERS.match(comment[match.end() : end])
        names = tuple(re.split(r",\s*", rest[1])) if rest else ()
        where = f"{file}:{line + comment.count(chr(10), 0, match.start())}"
        found.append(Label(match[1], names, rest[2].strip() if rest else "", where))
    return found


def pair_up(root: Path, path: Path) -> tuple[list[tuple[Label, Call]], list[str]]:
    """Give each ordered operation in a file its label.

    Parameters
    ----------
    root, path : Path
        The repository and a ``.pxd`` or ``.pyx`` file in it.

    Returns
    -------
    tuple of (list of (Label, Call), list of str)
        The pairs, and the faults: an operation without label, a label without operation.
    """
    code, comments = only(path, "code"), only(path, "comment")
    file = path.relative_to(root).as_posix()
    paired: list[tuple[Label, Call]] = []
    faults: list[str] = []
    waiting: list[Label] = []
    block: list[str] = []
    depth = 0
    extern: int | None = None

    def drop() -> None:
        for label in waiting:
            faults.append(f"{label.place}: label {label.name} has no ordered operation on its line or right below")
        waiting.clear()

    for number, (line, comment) in enumerate(zip(code.split("\n"), comments.split("\n"), strict=True), 1):
        where = f"{file}:{number}"
        if not line.strip():
            # Inside brackets a blank line or a comment belongs to the statement around it.
            if comment.strip():
                if not block and not depth:
                    drop()
                block.append(comment.strip().lstrip("#"))
            elif not depth:
                waiting += labels("\n".join(block), file, number - len(block))
                block.clear()
                drop()
            continue
        waiting += labels("\n".join(block), file, number - len(block))
        block.clear()
        waiting += labels(comment.strip().lstrip("#"), file, number)
        indent = len(line) - len(line.lstrip())
        if extern is not None and indent <= extern:
            extern = None
        if re.match(r"\s*cdef\s+extern\b", line):
            extern = indent
        calls = [Call(m[1], m[2], where) for m in _CALL.finditer(line)] if extern is None else []
        for call in calls:
            if waiting:
                paired.append((waiting.pop(0), call))
            else:
                name = f"{call.operation}_{call.order}"
                faults.append(f"{where}: {name} has no label; write {_FORM} on its line or right above")
        depth += len(re.findall(r"[([{]", line)) - len(re.findall(r"[)\]}]", line))
        # A statement that goes on may still come to its operation; one that has ended without any may not.
        if not calls and not depth and not line.rstrip().endswith("\\"):
            drop()
    waiting += labels("\n".join(block), file, code.count("\n") + 2 - len(block))
    drop()
    return paired, faults


def disagreements(paired: list[tuple[Label, Call]]) -> list[str]:
    """Hold the labels against each other.

    Parameters
    ----------
    paired : list of (Label, Call)
        All labels of the project, each with its operation.

    Returns
    -------
    list of str
        The faults.
    """
    faults = []
    known: dict[str, tuple[Label, Call]] = {}
    for label, call in paired:
        if label.name in known:
            first = known[label.name][0].place
            faults.append(f"{label.place}: label {label.name} is also at {first}; each names one operation")
        known.setdefault(label.name, (label, call))
    for label, call in paired:
        if re.fullmatch(r"I\d+", label.name):
            faults.append(f"{label.place}: label {label.name} reads as an invariant; use other letters")
        if not label.partners:
            faults.append(f"{label.place}: label {label.name} names no partner; write {_FORM}")
        elif not label.text:
            faults.append(f"{label.place}: label {label.name} does not say what becomes visible; write {_FORM}")
        for name in label.partners:
            if name not in known:
                faults.append(f"{label.place}: {label.name} pairs with {name}, which does not exist")
                continue
            other, theirs = known[name]
            if label.name not in other.partners:
                faults.append(
                    f"{label.place}: {label.name} pairs with {name}, but {name} ({other.place}) does not name it back"
                )
            if not ((call.publishes and theirs.observes) or (call.observes and theirs.publishes)):
                faults.append(
                    f"{call.place}: {label.name} ({call.operation}_{call.order}) and {name} "
                    f"({theirs.operation}_{theirs.order}) cannot pair; one must publish (release or stronger, no load) "
                    "and the other observe (acquire or stronger, no store)"
                )
    return faults


def fences(root: Path) -> list[str]:
    """Find stand-alone fences, which thread sanitizers cannot see.

    Parameters
    ----------
    root : Path
        The repository.

    Returns
    -------
    list of str
        The faults. Strings count, since C can stand in them; comments do not.
    """
    faults = []
    for path in sources(root / "pong", ".py", ".pyx", ".pxd", ".pxi", ".h", ".c"):
        text = only(path, "code", "string")
        for match in _FENCE.finditer(text):
            where = place(root, path, text, match.start())
            faults.append(f"{where}: stand-alone fence {match[0]}; order the operation itself")
    return faults


def check(root: Path) -> tuple[list[str], str]:
    """Check labels, pairs and fences.

    Parameters
    ----------
    root : Path
        The repository.

    Returns
    -------
    tuple of (list of str, str)
        The faults, and how much was checked.
    """
    paired: list[tuple[Label, Call]] = []
    faults: list[str] = []
    # atomic.pxd declares the operations; it calls none.
    files = [p for p in sources(root / "pong", ".pxd", ".pyx") if p.name != "atomic.pxd"]
    for path in files:
        more, wrong = pair_up(root, path)
        paired += more
        faults += wrong
    faults += disagreements(paired)
    faults += fences(root)
    if not paired:
        faults.append("pong/:1: nothing to check: no labelled atomic operation in any .pxd or .pyx")
    return faults, f"{len(files)} files, {len(paired)} labelled atomic operations"


if __name__ == "__main__":
    sys.exit(run(check))
