"""The checks in ci/: each passes on a small correct tree, and is seen to fail on every kind of fault it names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from planted import PACKAGES, plant

CI = Path(__file__).resolve().parent.parent / "ci"
sys.path.insert(0, str(CI))

import check_invariants  # noqa: E402
import check_layers  # noqa: E402
import check_orders  # noqa: E402


def names_only(faults: list[str], place: str, words: str) -> bool:
    """Tell whether faults were found, all of them at the place and in the words expected."""
    return bool(faults) and all(fault.startswith(place) and words in fault for fault in faults)


LAYERS = PACKAGES | {
    "pong/__init__.py": "from ._pool import BufferPool\nfrom . import aio, cli\n",
    "pong/errors.py": '"""\nimport pong._pool\ncdef extern from "pong/_pool.h":\n"""\nimport queue\n',
    "pong/stats.py": "from .errors import DetachedError\n",
    "pong/kernel/atomic.h": "#include <stdint.h>\n/* #include \"pong/kernel/ring.h\" */\n",
    "pong/kernel/atomic.pxd": (
        'from libc.stdint cimport uint32_t\ncdef extern from "pong/kernel/atomic.h" nogil:\n    pass\n'
    ),
    "pong/kernel/layout.h": '#include "atomic.h"\n#include "pong/kernel/atomic.h"\n',
    "pong/kernel/ring.pxd": (
        "cimport cython\nfrom libc.string cimport memcpy\n"
        "from pong.kernel.atomic cimport (  # all\n    load, store,\n)\n"
        "from .layout cimport slot\nfrom pong.kernel cimport atomic as a, layout\n"
    ),
    "pong/_pool.pyx": (
        "import numpy\nfrom cpython.mem cimport PyMem_Malloc\ncimport pong.kernel.ring\nfrom . import errors\n"
    ),
    "pong/_pool.c": '#include "pong/cli.h"\n',
    "pong/_pool.pyi": "from ._link import Sender\n",
    "pong/streams/base.pxd": "from pong.kernel.ring cimport ring\n",
    "pong/streams/jack.pyx": "from pong.streams.base cimport capture_rt\nfrom ..kernel cimport ring\n",
    "pong/streams/__init__.py": "from . import jack\n",
    "pong/aio.py": "from ._pool import BufferPool\n",
    "pong/cli.py": "import pong\nfrom . import cli_record\n",
    "pong/cli_record.py": "from pong import BufferPool\n",
    "pong/__main__.py": "from .cli import main\n",
    "pong/examples/echo.py": "import pong\n",
}

UPWARD = [
    ("pong/errors.py", "import os\nfrom . import stats\n", 2, "errors imports stats"),
    ("pong/stats.py", "from pong.kernel.ring cimport x\n", 1, "stats cimports kernel/ring"),
    ("pong/stats.py", "import pong\n", 1, "stats imports __init__"),
    ("pong/stats.py", "def f():\n    import os, pong._pool as p\n", 2, "stats imports _pool"),
    ("pong/kernel/atomic.pxd", "cimport pong.kernel.ring\n", 1, "kernel/atomic cimports kernel/ring"),
    ("pong/kernel/atomic.pxd", "from pong.kernel cimport (\n    ring,\n)\n", 1, "kernel/atomic cimports kernel/ring"),
    ("pong/kernel/atomic.pxd", "from pong.kernel cimport \\\n    ring\n", 1, "kernel/atomic cimports kernel/ring"),
    ("pong/kernel/atomic.pxd", 'cdef extern from "pong/kernel/layout.h":\n    pass\n', 1, "includes kernel/layout"),
    ("pong/kernel/atomic.pxd", 'cdef extern from *:\n    """\n    #include "layout.h"\n    """\n', 3, "includes k"),
    ("pong/kernel/atomic.h", '\n#  include "layout.h"\n', 2, "kernel/atomic includes kernel/layout"),
    ("pong/kernel/ring.pxd", "from pong.errors import ClosedError\n", 1, "the kernel imports errors"),
    ("pong/kernel/ring.pxd", "from pong._pool cimport Pool\n", 1, "the kernel cimports _pool"),
    ("pong/kernel/ring.pxd", "import os\n", 1, "the kernel imports Python module os"),
    ("pong/kernel/ring.pxd", "from cpython.mem cimport PyMem_Malloc\n", 1, "the kernel cimports cpython.mem"),
    ("pong/kernel/ring.pxd", "from cpython cimport mem\n", 1, "the kernel cimports cpython"),
    ("pong/kernel/ring.pxd", "cimport numpy as cnp\n", 1, "the kernel cimports numpy"),
    ("pong/kernel/ring.pxd", "from libcpp.atomic cimport atomic\n", 1, "the kernel cimports libcpp.atomic"),
    ("pong/kernel/ring.pxd", 'cdef extern from "Python.h":\n    pass\n', 1, "the kernel includes Python.h"),
    ("pong/kernel/layout.h", "#include <numpy/arrayobject.h>\n", 1, "the kernel includes numpy/arrayobject.h"),
    ("pong/_pool.pyx", "from ._link import Sender\n", 1, "_pool imports _link"),
    ("pong/_pool.pyx", "from pong cimport unheard\n", 1, "_pool cimports __init__"),
    ("pong/_pool.pyx", "from .unheard import of\n", 1, "which is in no layer"),
    ("pong/streams/jack.pyx", "from .virtual cimport run\n", 1, "streams/jack cimports streams/virtual"),
    ("pong/streams/base.pxd", "from . cimport jack\n", 1, "streams/base cimports streams/jack"),
    ("pong/aio.py", "from . import monitor\n", 1, "aio imports monitor"),
    ("pong/aio.py", "from pong.examples import echo\n", 1, "aio imports examples/echo"),
    ("pong/__init__.py", "from . import __main__\n", 1, "it may import anything else"),
    ("pong/extra.py", "", 1, "extra is in no layer"),
]


def test_layers_pass(tmp_path: Path) -> None:
    faults, summary = check_layers.check(plant(tmp_path, LAYERS))
    assert faults == []
    assert "imports" in summary


@pytest.mark.parametrize(("path", "text", "line", "words"), UPWARD)
def test_layers_fail(tmp_path: Path, path: str, text: str, line: int, words: str) -> None:
    faults, _ = check_layers.check(plant(tmp_path, LAYERS, {path: text}))
    assert names_only(faults, f"{path}:{line}:", words), faults


ORDERED = '''\
"""The ring.

load_acquire_u32(p) in a docstring is no call.
"""
from pong.kernel.atomic cimport load_acquire_u32, store_release_u32

cdef extern from "pong/kernel/atomic.h" nogil:
    void store_release_u32(uint32_t* p, uint32_t v) noexcept


cdef inline void publish_rt(uint32_t* p) noexcept nogil:
    # Written last.
    # R1: pairs with A1,
    # A2. The samples, and the header
    # that goes with them.
    store_release_u32(p, 1)
    store_relaxed_u32(p, 2)


cdef inline int look_rt(uint32_t* p) noexcept nogil:
    # A1: pairs with R1. What was written before.
    # A2: pairs with R1. The same, later.
    a = load_acquire_u32(p)
    b = load_acquire_u32(p)
    # W1: pairs with W2. Either this waiter is seen,
    # W2: pairs with W1. or it sees.
    c = fetch_or_seq_cst_u64(p) + load_seq_cst_u64(p)
    if (a
            # X1: pairs with X1. The other side's exchange.
            and exchange_acq_rel_u32(p, 1)):
        pass
    return cas_release_u32(p, 0, 1)  # R2: pairs with A3. Everything.


cdef inline int take_rt(uint32_t* p) noexcept nogil:
    return load_acquire_u32(p)  # A3: pairs with R2. Everything.
'''
R2 = "  # R2: pairs with A3. Everything."

# What is replaced in the correct file, by what, and the words of the fault.
DISORDER = [
    (R2, "", "cas_release has no label"),
    ("    # A2: pairs with R1. The same, later.\n", "", "load_acquire has no label"),
    ("    # W2: pairs with W1. or it sees.\n", "", "load_seq_cst has no label"),
    ("# R2: pairs with A3. E", "# R2 pairs with A3. E", "cas_release has no label"),
    ("    store_release_u32(p, 1)\n", "\n    store_release_u32(p, 1)\n", "store_release has no label"),
    ("    store_release_u32(p, 1)\n", "", "label R1 has no ordered"),
    ("store_relaxed_u32(p, 2)\n", "store_relaxed_u32(p, 2)  # Z1: pairs with A1. x\n", "label Z1 has no ordered"),
    ("    pass\n", "    pass\n    # Z1: pairs with A1. Nothing.\n\n", "label Z1 has no ordered"),
    ("# X1: pairs with X1", "# W1: pairs with W1", "label W1 is also at pong/kernel/ring.pxd:25"),
    ("# R2: pairs with A3.", "# R2: pairs with A3, A9.", "A9, which does not exist"),
    ("# A2: pairs with R1.", "# A2: pairs with X1.", "does not name it back"),
    ("# R2: pairs with A3. Everything.", "# R2: pairs with A3.", "does not say what becomes visible"),
    ("# R2: pairs with A3. Everything.", "# R2: pairs with nobody. Everything.", "names no partner"),
    ("X1: pairs with X1", "I1: pairs with I1", "reads as an invariant"),
    ("return load_acquire_u32(p)", "return cas_release_u32(p)", "A3 (cas_release) cannot pair"),
    ("return load_acquire_u32(p)", "store_seq_cst_u32(p)", "A3 (store_seq_cst) cannot pair"),
    ("cas_release_u32", "cas_acquire_u32", "A3 (load_acquire) cannot pair"),
    ("cas_release_u32", "load_seq_cst_u32", "A3 (load_acquire) cannot pair"),
    ("    pass\n", "    atomic_thread_fence(5)\n", "stand-alone fence atomic_thread_fence"),
]


def test_orders_pass(tmp_path: Path) -> None:
    declared = "cdef extern from *:\n    int load_acquire_u32(p)\ncdef int load_acquire_u8(p)\n"
    header = "/* no __sync_synchronize() */\n"
    tree = {"pong/kernel/ring.pxd": ORDERED, "pong/kernel/atomic.pxd": declared, "pong/kernel/atomic.h": header}
    faults, summary = check_orders.check(plant(tmp_path, tree))
    assert faults == []
    assert summary == "1 files, 8 labelled atomic operations"


@pytest.mark.parametrize(("old", "new", "words"), DISORDER)
def test_orders_fail(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in ORDERED
    faults, _ = check_orders.check(plant(tmp_path, {"pong/kernel/ring.pxd": ORDERED.replace(old, new, 1)}))
    assert any(fault.startswith("pong/kernel/ring.pxd:") and words in fault for fault in faults), faults


def test_orders_pair_across_files(tmp_path: Path) -> None:
    halves = ORDERED.partition("cdef inline int take_rt")
    tree = {"pong/kernel/ring.pxd": halves[0], "pong/_link.pyx": halves[1] + halves[2]}
    assert check_orders.check(plant(tmp_path, tree))[0] == []


@pytest.mark.parametrize("fence", ["atomic_thread_fence(x)", "__sync_synchronize()", "_mm_mfence()"])
def test_orders_refuse_fences_in_c(tmp_path: Path, fence: str) -> None:
    verbatim = f'cdef extern from *:\n    """\n    static void f(void) {{ {fence}; }}\n    """\n'
    tree = {"pong/kernel/ring.pxd": ORDERED, "pong/kernel/atomic.h": f"\n{fence};\n", "pong/_pool.pyx": verbatim}
    faults, _ = check_orders.check(plant(tmp_path, tree))
    assert [fault.split(" ")[0] for fault in faults] == ["pong/_pool.pyx:3:", "pong/kernel/atomic.h:2:"]


LAYOUT = "/* Rules:\n *\n * I1 Only a slot's owner writes.\n * I2 Nothing can reach it, (see I1)\n *    ever.\n */\n"
INVARIANTS = {
    "pong/kernel/layout.h": LAYOUT,
    "pong/kernel/ring.pxd": "cdef int f():  # only here\n    r'''Uses (I1).'''\n    return 'I7' + 1\n",
    "pong/_pool.pyx": "# I2: says why\n",
    "tests/test_ring.py": '"""I1 and I2."""\nx = ["I8"]\n',
    "tests/test_ci_checks.py": '"""I9"""\n',
}
BROKEN = [
    ("pong/_pool.pyx", "I2\n", "layout.h:4", "I2 is cited in no .pxd or .pyx"),
    ("tests/test_ring.py", '"""I2, I11"""\n', "layout.h:3", "I1 is cited in no test"),
    ("tests/test_ring.py", "# I1, I2\nx = 'I3'\n# I4\n", "tests/test_ring.py:3", "I4 is not defined"),
    ("pong/_pool.pyx", '"""I2"""\n\n# I3\n', "pong/_pool.pyx:3", "I3 is not defined"),
    ("pong/kernel/layout.h", LAYOUT.replace("* I2", "* I3"), "layout.h:1", "I2 is missing"),
    ("pong/kernel/layout.h", LAYOUT.replace("   ever", "I1 ever"), "layout.h:5", "I1 is also defined at"),
    ("pong/kernel/layout.h", LAYOUT.replace("Only a slot's owner writes.", ""), "layout.h:3", "I1 has no text"),
]


def test_invariants_pass(tmp_path: Path) -> None:
    assert check_invariants.check(plant(tmp_path, INVARIANTS)) == ([], "2 invariants, citations in 4 files")


@pytest.mark.parametrize(("path", "text", "place", "words"), BROKEN)
def test_invariants_fail(tmp_path: Path, path: str, text: str, place: str, words: str) -> None:
    faults, _ = check_invariants.check(plant(tmp_path, INVARIANTS, {path: text}))
    assert any(f"{place}: " in fault and words in fault for fault in faults), faults


def test_invariants_of_this_file_do_not_count(tmp_path: Path) -> None:
    moved = INVARIANTS | {"tests/test_ring.py": "", "tests/test_ci_checks.py": "# I1, I2\n"}
    faults, _ = check_invariants.check(plant(tmp_path, moved))
    assert len(faults) == 2
    assert all("is cited in no test" in fault for fault in faults)


@pytest.mark.parametrize("name", ["layers", "orders", "invariants", "rt"])
@pytest.mark.parametrize("tree", [{}, PACKAGES])
def test_commands_fail_with_nothing_to_check(tmp_path: Path, name: str, tree: dict[str, str]) -> None:
    command = [sys.executable, CI / f"check_{name}.py", plant(tmp_path, tree)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "nothing to check" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"check_{name}: ")


@pytest.mark.parametrize(
    ("name", "tree"),
    [("layers", LAYERS), ("orders", {"pong/kernel/ring.pxd": ORDERED}), ("invariants", INVARIANTS)],
)
def test_commands_pass_in_the_current_directory(tmp_path: Path, name: str, tree: dict[str, str]) -> None:
    command = [sys.executable, CI / f"check_{name}.py"]
    done = subprocess.run(command, cwd=plant(tmp_path, tree), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(": ok\n")
