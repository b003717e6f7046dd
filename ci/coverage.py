"""Line coverage of the kernel and the extension classes, by gcov over the generated code.

Cython's own plug-in misses .pxd files and native threads. The generated code carries line directives, so gcov counts
lines of the .pyx and .pxd files; a line of an inline function counts as run if any of the modules ran it.

Usage: ``python ci/coverage.py [--least PERCENT] [pytest arguments]`` from the root of the repository, with the packages
of the ``test`` extra installed.
"""

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

SOURCES = (".pyx", ".pxd")


def build(into):
    """Build the extension modules for coverage under ``into``; return (library folder, object folder)."""
    library, objects = into / "lib", into / "objects"
    command = [sys.executable, "setup.py", "-q", "build", "--build-lib", library, "--build-temp", objects]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "PONG_BUILD": "cover"})
    return library, objects


def count_lines(folders, root=ROOT):
    """Return {source file: {line: times run}}, read from what the runs have left in ``folders``."""
    lines = collections.defaultdict(lambda: collections.defaultdict(int))
    for folder in folders:
        for data in sorted(folder.rglob("*.gcda")):
            command = ["gcov", "--json-format", "--stdout", data.name]
            out = subprocess.run(command, cwd=data.parent, check=True, capture_output=True, text=True).stdout
            for report in map(json.loads, out.splitlines()):
                for file in report["files"]:
                    # The tests' own modules include the kernel from where the package was built.
                    name = "pong/" + file["file"].rpartition("pong/")[2]
                    if not name.endswith(SOURCES) or not (root / name).is_file():
                        continue
                    for line in file["lines"]:
                        lines[name][line["line_number"]] += line["count"]
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
