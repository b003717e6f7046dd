"""The call graph of a compiled object, read from ``objdump -tdr``.

Every function must be in a section of its own (``-ffunction-sections``), so that each reference to another one is
a relocation: a call, a tail jump and an address taken all look alike, on any machine.
"""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from pathlib import Path

_SECTION = re.compile(r"Disassembly of section (\S+):")
_FUNCTION = re.compile(r"[0-9a-f]+ <([^>]+)>:")
_INSTRUCTION = re.compile(r"\s+[0-9a-f]+:\t(.*)")
_RELOCATION = re.compile(r"\s+[0-9a-f]+: R_\w+\s+([^\s+]+?)(?:[+-]0x[0-9a-f]+)?$")
_DIRECT = re.compile(r"(?:call|j[a-z]+|bl|b)\s.*<([^>+]+)(?:\+0x[0-9a-f]+)?>")
_INDIRECT = re.compile(r"(?:(?:notrack|bnd) )*(?:call|jmp)\w*\s+\*|(?:blr|br)[a-z]*\s")
_SPLIT = re.compile(r"\.(?:cold|part|constprop|isra|lto_priv)(?:\.\d+)*")


class CallGraph:
    """Who refers to whom in one object.

    Attributes
    ----------
    edges : dict of str to set of str
        For each function, the functions and symbols that it calls, jumps to or takes the address of.
    indirect : dict of str to str
        The functions that jump to an address held in a register or in memory, with the instruction.
    undefined : set of str
        The symbols that the object does not define.
    """

    def __init__(self, object_file: Path) -> None:
        listing = subprocess.run(
            ["objdump", "-tdr", "--no-show-raw-insn", str(object_file)], check=True, capture_output=True, text=True
        ).stdout
        self.edges: dict[str, set[str]] = {}
        self.indirect: dict[str, str] = {}
        self.undefined = set(re.findall(r"\*UND\*\s+[0-9a-f]+ (\S+)$", listing, re.M))
        self._read(listing.splitlines())

    def _read(self, lines: list[str]) -> None:
        inside: dict[str, set[str]] = defaultdict(set)
        section = function = ""
        for line, following in zip(lines, [*lines[1:], ""], strict=True):
            if match := _SECTION.match(line):
                section = match[1]
            elif match := _FUNCTION.match(line):
                function = self._whole(match[1])
                self.edges.setdefault(function, set())
                inside[section].add(function)
            elif match := _RELOCATION.match(line):
                self.edges[function].add(match[1])
            elif match := _INSTRUCTION.match(line):
                if _INDIRECT.match(match[1]):
                    self.indirect[function] = match[1]
                # Where a relocation follows, it names the target, and the one printed here means nothing yet.
                direct = _DIRECT.match(match[1])
                if direct and not _RELOCATION.match(following):
                    self.edges[function].add(self._whole(direct[1]))
        # A static function is referred to by its section.
        for function, targets in self.edges.items():
            self.edges[function] = {self._whole(name) for t in targets for name in inside.get(t, {t})} - {function}

    @staticmethod
    def _whole(name: str) -> str:
        """Name the function that a part split off by the compiler belongs to."""
        return _SPLIT.sub("", name)

    def reach(self, root: str) -> dict[str, list[str]]:
        """Walk from one function.

        Parameters
        ----------
        root : str
            A function's symbol.

        Returns
        -------
        dict of str to list of str
            Each symbol reached, the root included, with a shortest path to it from the root.
        """
        paths = {root: [root]}
        queue = [root]
        for name in queue:
            for target in sorted(self.edges.get(name, ())):
                if target not in paths:
                    paths[target] = [*paths[name], target]
                    queue.append(target)
        return paths
