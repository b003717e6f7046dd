"""What ``import pong`` adds to ``import numpy``, which it needs anyway."""

import subprocess
import sys
from time import perf_counter_ns

from measure import compare

ROUNDS = 40
IMPORTS = {"bare": "pass", "numpy": "import numpy", "pong": "import pong"}


def test_import(report, tmp_path):
    """At most 10 %: times of whole processes in turn, the start of the bare interpreter subtracted.

    The working directory is empty, so that the installed package is imported.
    """

    def run(code):
        begin = perf_counter_ns()
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
        return perf_counter_ns() - begin

    loaded = "import sys, pong; sys.exit(not {'numpy', 'pong._pool', 'pong._link'} <= set(sys.modules))"
    subprocess.run([sys.executable, "-c", loaded], cwd=tmp_path, check=True)
    times = {name: [] for name in IMPORTS}
    for i in range(-2, ROUNDS):
        names = list(IMPORTS)
        # Who begins changes, so that nobody always follows the same one.
        turn = i % len(names)
        for name in names[turn:] + names[:turn]:
            taken = run(IMPORTS[name])
            if i >= 0:
                times[name].append(taken)
    ours, rival = ([a - b for a, b in zip(times[name], times["bare"], strict=True)] for name in ("pong", "numpy"))
    report(compare("import pong / import numpy", ours, rival, "<= 1.1"))
