"""Line coverage of the kernel and the extension classes, by gcov over the generated code.

Cython's own plug-in misses .pxd files and native threads. gcov counts lines of the generated C; Cython says in a
comment before each piece which line of a .pyx or .pxd file it is made from. (Line directives say it for the first C
line of a piece only: the compiler counts on from there, into lines that have nothing to do with it.) A line has run if
any C line made from it has, in any of the modules: an inline function of the kernel is part of several.

Usage: ``python ci/line_coverage.py [--least PERCENT] [pytest arguments]`` from the root of the repository, with the
packages of the ``test`` extra installed.
"""

import argparse
import collections
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

SOURCES = (".pyx", ".pxd")

# What Cython writes before the C of each line, and where a function's own lines are over.
MARKER = re.compile(r'\s*/\* "(?P<file>[^"]+)":(?P<line>\d+)$')
END = "/* function exit code */"


def build(into):
    """Build the extension modules for coverage under ``into``; return (library folder, object folder)."""
    library, objects = into / "lib", into / "objects"
    command = [sys.executable, "setup.py", "-q", "build", "--build-lib", library, "--build-temp", objects]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "PONG_BUILD": "cover"})
    return library, objects


def origins(generated):
    """Return {line of generated C: (source file, line)} for one C file."""
    found, origin = {}, None
    for number, text in enumerate(generated.read_text(encoding="utf-8").splitlines(), 1):
        marker = MARKER.match(text)
        if marker:
            name = "pong/" + marker["file"].rpartition("pong/")[2]
            origin = (name, int(marker["line"])) if name.endswith(SOURCES) and (ROOT / name).is_file() else None
        elif END in text or text.startswith(("static ", "}")):
            # What follows belongs to no line: it would run although the line before it did not.
            origin = None
        elif origin:
            found[number] = origin
    return found


def count_lines(folders):
    """Return {source file: {line: times run}}, read from what the runs have left in ``folders``."""
    lines = collections.defaultdict(lambda: collections.defaultdict(int))
    for folder in folders:
        for data in sorted(folder.rglob("*.gcda")):
            command = ["gcov", "--json-format", "--stdout", data.name]
            out = subprocess.run(command, cwd=data.parent, check=True, capture_output=True, text=True).stdout
            for report in map(json.loads, out.splitlines()):
                for file in report["files"]:
                    generated = Path(report["current_working_directory"], file["file"])
                    if generated.suffix != ".c" or not generated.is_file():
                        continue
                    made_from = origins(generated)
                    for line in file["lines"]:
                        if line["line_number"] in made_from:
                            name, number = made_from[line["line_number"]]
                            lines[name][number] = max(lines[name][number], line["count"])
    return lines


def main():
    """Build, run the suite, and judge the coverage; return the exit code."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--least", type=float, default=95.0, help="percent of lines that must have run")
    options, pytest_arguments = options.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="pong-cover-") as folder:
        library, objects = build(Path(folder))
        native = Path(folder) / "native"
        native.mkdir()
        path = os.pathsep.join([str(library), str(native)])
        environment = {**os.environ, "PONG_BUILD": "cover", "PYTHONPATH": path}
        # Built here and not by the tests, so that what it counts is still there when they have ended.
        subprocess.run(
            [sys.executable, ROOT / "tests" / "native_build.py", native], cwd=ROOT, check=True, env=environment
        )
        command = [sys.executable, "-m", "pytest", "-q", *pytest_arguments]
        result = subprocess.run(command, cwd=ROOT, env=environment)
        if result.returncode:
            print("coverage: the suite fails in the coverage build")
            return 1
        lines = count_lines([objects, native])
    if not lines:
        print("coverage: nothing was measured")
        return 1
    run = total = 0
    for name, counts in sorted(lines.items()):
        hit = sum(count > 0 for count in counts.values())
        run, total = run + hit, total + len(counts)
        missed = [str(line) for line, count in sorted(counts.items()) if not count]
        print(f"{100 * hit / len(counts):6.1f} %  {name}  {'missed: ' + ' '.join(missed) if missed else ''}")
    share = 100 * run / total
    print(f"{share:6.1f} %  of {total} lines; at least {options.least:g} % must run")
    return 0 if share >= options.least else 1


if __name__ == "__main__":
    sys.exit(main())
