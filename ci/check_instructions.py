"""Count the instructions of pong's cycles with callgrind, and fail where one takes over 5 % more than recorded.

    python ci/check_instructions.py [--record]

The counts in instructions.json were taken with the interpreter, compiler and packages that it names; ``--record``
writes it anew. In an environment where a release build of pong is installed, with valgrind.

What the C library does in the way that suits the processor's model, such as memcpy, does not count, but all that is
pong's and the interpreter's. So the counts are those of any machine with the same compilers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path

CI = Path(__file__).resolve().parent
PROGRAM = CI / "instruction_loops.py"
RECORD = CI / "instructions.json"
LIMIT = 1.05
CYCLES = 3200
PATIENCE = 600  # seconds for the whole program

# For each loop, in the order of the program, the objects whose instructions are not of the cycle.
LOOPS = {"native cycle": (), "Python cycle": (), "capture_rt": ("_bench",)}

# The functions of libc that have variants; where its debugging symbols are not installed these have no names.
_CHOSEN = re.compile(r"0x[0-9a-f]+$|_*(?:mem|str|stp|wcs|wmem)")


def count(program: Path, loops: dict[str, tuple[str, ...]], folder: Path) -> dict[str, float]:
    """Run the loops under callgrind.

    Parameters
    ----------
    program : Path
        Gets ``folder`` and `CYCLES`, and runs each loop three times, as `instruction_loops.py` does.
    loops : dict
        As `LOOPS`.
    folder : Path
        For what callgrind writes.

    Returns
    -------
    dict of str to float
        Instructions of one cycle.

    Raises
    ------
    RuntimeError
        The program has failed.
    """
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", "--dump-after=getppid"]
    command += ["--compress-strings=no", "--compress-pos=no", sys.executable, str(program), str(folder), str(CYCLES)]
    # One hash for each name, and no threads that count beside the loops.
    environment = {**os.environ, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    dumps = [folder / f"out.{number}" for number in range(1, 3 * len(loops) + 1)]
    if done.returncode or not all(path.exists() for path in dumps):
        raise RuntimeError(f"{program.name} under callgrind: exit code {done.returncode}\n{done.stderr}")
    counts = {}
    for place, (name, outside) in enumerate(loops.items()):
        once, twice = (cost(path, outside) for path in dumps[3 * place + 1 : 3 * place + 3])
        counts[name] = round((twice - once) / CYCLES, 1)
    return counts


def cost(path: Path, outside: tuple[str, ...]) -> int:
    """Add up the instructions in a file of callgrind's, without those that do not count.

    Parameters
    ----------
    path : Path
        The file; names and positions in it are not compressed.
    outside : tuple of str
        How the names of objects begin that do not count.

    Returns
    -------
    int
        The instructions.
    """
    costs: Counter[tuple[str, str]] = Counter()
    place = {"ob": "", "fn": ""}
    called = False
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        key, equals, name = line.partition("=")
        if equals and key in place:
            place[key] = name
        elif key == "calls":
            called = True
        elif line[:1].isdigit():
            # The line after a call repeats what the function called has counted itself.
            if not called:
                costs[place["ob"], place["fn"]] += int(line.split()[1])
            called = False
    return sum(number for (ob, fn), number in costs.items() if counts_here(ob, fn, outside))


def counts_here(ob: str, fn: str, outside: tuple[str, ...]) -> bool:
    """Tell whether a function's instructions count.

    Parameters
    ----------
    ob, fn : str
        Path of the object, and the function.
    outside : tuple of str
        As for `cost`.

    Returns
    -------
    bool
        False for what libc chooses by the processor, and for objects outside.
    """
    name = Path(ob).name
    return not name.startswith(outside) and not (name.startswith("libc.") and _CHOSEN.match(fn))


def tools() -> dict[str, str]:
    """Name what the counts depend on.

    Returns
    -------
    dict of str to str
        Versions.
    """
    cc = (sysconfig.get_config_var("CC") or "cc").split()[0]
    compiler = subprocess.run([cc, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return {
        "python": platform.python_version(),
        "python's compiler": platform.python_compiler(),
        "compiler": compiler,
        "cython": version("cython"),
        "numpy": version("numpy"),
        "machine": platform.machine(),
    }


def judge(counts: dict[str, float], recorded: dict[str, float]) -> list[str]:
    """Compare counts with those recorded.

    Parameters
    ----------
    counts, recorded : dict of str to float
        Instructions of one cycle.

    Returns
    -------
    list of str
        The faults.
    """
    faults = [f"{name} is not recorded; run this with --record" for name in counts if name not in recorded]
    for name, before in recorded.items():
        now = counts.get(name, 0)
        if now <= 0:
            faults.append(f"{name} was not counted")
        elif now > LIMIT * before:
            growth = 100 * (now / before - 1)
            faults.append(f"{name}: {now:g} instructions, {growth:.1f} % more than the {before:g} recorded")
    return faults


def main(arguments: list[str] | None = None) -> int:
    """Count, and compare or record.

    Parameters
    ----------
    arguments : list of str, optional
        Of the command line.

    Returns
    -------
    int
        The exit code.
    """
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--record", action="store_true", help="write the counts into instructions.json")
    record = options.parse_args(arguments).record
    with tempfile.TemporaryDirectory(prefix="pong-count-") as folder:
        build(Path(folder))
        counts = count(PROGRAM, LOOPS, Path(folder))
    if record:
        RECORD.write_text(json.dumps({"instructions": counts, "taken with": tools()}, indent=2) + "\n")
    before = json.loads(RECORD.read_text())
    recorded = before["instructions"]
    for name, number in counts.items():
        print(f"{name}: {number:g} instructions a cycle, {recorded.get(name, 0):g} recorded")
    for name, now in tools().items():
        if now != before["taken with"].get(name):
            print(f"note: {name} is {now}; the counts were recorded with {before['taken with'].get(name)}")
    faults = judge(counts, recorded)
    print(*faults, sep="\n", end="\n" * bool(faults))
    print(f"check_instructions: {len(counts)} cycles: {f'{len(faults)} fault(s)' if faults else 'ok'}")
    return 1 if faults else 0


def build(folder: Path) -> None:
    """Build the native loops of the benchmarks.

    Parameters
    ----------
    folder : Path
        Where to.

    Raises
    ------
    RuntimeError
        What is installed is not a release.
    """
    sys.path.append(str(CI.parent / "benchmarks"))
    from building import build as build_loops

    if build_loops(folder).DEBUG:
        raise RuntimeError("a debug build of pong is installed; its checks would be counted")


if __name__ == "__main__":
    sys.exit(main())
