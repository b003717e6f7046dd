"""ci/check_rt.py: passes on a small correct tree, and is seen to fail on every kind of fault it names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from planted import PACKAGES, plant

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "ci"))

import check_rt

SOUND = PACKAGES | {
    "pong/kernel/atomic.h": (
        "#include <stdint.h>\n"
        "static inline void store_release_u32(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }\n"
    ),
    "pong/kernel/atomic.pxd": (
        "from libc.stdint cimport uint32_t\n"
        'cdef extern from "pong/kernel/atomic.h" nogil:\n    void store_release_u32(uint32_t* p, uint32_t v) noexcept\n'
    ),
    "pong/kernel/ring.pxd": """\
from libc.stdint cimport uint32_t
from libc.string cimport memcpy
from pong.kernel.atomic cimport store_release_u32

cdef extern from *:
    '''
    #include <stdlib.h>
    static void *pong_grow(size_t n) { return malloc(n); }
    '''
    void* pong_grow(size_t n) noexcept nogil

cdef inline void fill(char* to, const char* source, size_t n) noexcept nogil:
    memcpy(to, source, n)

cdef inline void publish_rt(uint32_t* p, char* to,
                            const char* source, size_t n) noexcept nogil:
    fill(to, source, n)
    store_release_u32(p, 1)

cdef inline int chain_rt(int (*step)() noexcept nogil) noexcept nogil:
    return step()

cdef inline int choose_rt(int x) noexcept nogil:
    if x == 0: return 7
    elif x == 1: return 3
    elif x == 2: return 9
    elif x == 3: return 1
    elif x == 4: return 8
    elif x == 5: return 2
    return 0

cdef inline void* open_arena(size_t n) noexcept nogil:
    return pong_grow(n)
""",
    "pong/_stream.pyx": """\
from pong.kernel.ring cimport publish_rt

cdef class Stream:
    cdef unsigned int word
    cdef void callback_rt(self, char* to, const char* source) noexcept nogil:
        publish_rt(&self.word, to, source, 8)

    def open(self):
        cdef int started = 1
        return [self, started]
""",
}

# For each fault: what is written below the declarations, and the words of the fault.
UNSOUND = {
    "raises_rt": ("int {0}(int x):\n    complain()\n    return x", "complain -> Py"),
    "divides_rt": ("int {0}(int x, int y):\n    return x % y", "this is Python"),
    "python_memory_rt": ("void* {0}(size_t n):\n    return PyMem_Malloc(n)", "-> PyMem_Malloc: this is Python"),
    "python_object_rt": ("void* {0}():\n    return PyExc_ValueError", "-> PyExc_ValueError: this is Python"),
    "address_rt": ("void {0}():\n    remember(<void*>complain)", "complain -> Py"),
    "allocates_rt": ("void* {0}(size_t n):\n    return allocate(n)", "allocate -> malloc: this allocates"),
    "frees_rt": ("void {0}(void* p):\n    free(p)", "-> free: this allocates"),
    "locks_rt": ("void {0}(void* p):\n    pthread_mutex_lock(p)", "-> pthread_mutex_lock: this allocates, locks"),
    "prints_rt": ('void {0}(int x):\n    printf("%d %d", x, x)', "-> printf: this allocates, locks, prints"),
    "aborts_rt": ("void {0}():\n    abort()", "-> abort: this allocates, locks, prints or ends"),
    "asserts_rt": ("void {0}(int x):\n    must_be(x)", "must_be -> __assert_fail: this allocates"),
    "unknown_rt": ("int {0}():\n    return getpid()", "-> getpid: not known to be safe; allowed: memcpy"),
    "pointer_rt": ("int {0}(int (*f)() noexcept nogil):\n    return f() + 1", "cannot be judged; allowed in: no f"),
    "pair_rt": ("(int, int) {0}():\n    abort()\n    return 1, 2", "-> abort: this allocates"),
}
DECLARED = """\
from libc.stdio cimport printf
from libc.stdlib cimport abort, free, malloc
cdef extern from *:
    '''
    #include <assert.h>
    #include <pthread.h>
    #include <unistd.h>
    static void *volatile remembered;
    static inline void remember(void *f) { remembered = f; }
    static inline void must_be(int x) { assert(x); }
    static inline void *written_in_c_rt(void) { return malloc(9); }
    '''
    void remember(void* f) noexcept nogil
    void must_be(int x) noexcept nogil
    int pthread_mutex_lock(void* p) noexcept nogil
    int getpid() noexcept nogil
cdef extern from "Python.h" nogil:
    void* PyMem_Malloc(size_t n) noexcept
    void* PyExc_ValueError

cdef inline void complain() noexcept nogil:
    with gil:
        raise ValueError("helper")

cdef inline void* allocate(size_t n) noexcept nogil:
    return malloc(n)

"""


def written(name: str) -> str:
    """Write a faulty function as the kernel would have it."""
    return "cdef inline " + UNSOUND[name][0].format(name).replace(":\n", " noexcept nogil:\n", 1) + "\n\n"


@pytest.fixture(scope="module")
def unsound(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Compile all the faulty functions at once; return the faults found."""
    extension = (
        "from libc.stdlib cimport malloc\n"
        "cdef extern from *:\n    '#define __pyx_f_4pong_7_stream_absent_rt __pyx_f_4pong_7_stream_renamed'\n"
        "cdef int absent_rt() noexcept nogil:\n    return 1\n"
        "cdef class Stream:\n    cdef void* method_rt(self) noexcept nogil:\n        return malloc(1)\n"
        "def python_rt():\n    return []\n"
    )
    tree = {
        "pong/kernel/ring.pxd": DECLARED + "".join(map(written, UNSOUND)),
        "pong/streams/base.pxd": "cdef inline int capture_rt(int x) noexcept nogil:\n    return x\n",
        "pong/_stream.pyx": extension,
    }
    return check_rt.check(plant(tmp_path_factory.mktemp("unsound"), PACKAGES, tree), indirect={})[0]


def test_rt_passes(tmp_path: Path) -> None:
    steps = {"pong.kernel.ring.chain_rt": "the test's own step"}
    faults, summary = check_rt.check(plant(tmp_path, SOUND), indirect=steps)
    assert faults == []
    # publish, chain, choose, callback; and fill and the store below them.
    assert summary == "4 *_rt functions, 6 functions reachable, undefined symbols reached: memcpy"


@pytest.mark.parametrize("name", UNSOUND)
def test_rt_fails(unsound: list[str], name: str) -> None:
    line = DECLARED.count("\n") + "".join(map(written, UNSOUND)).split(name)[0].count("\n") + 1
    found = [fault for fault in unsound if fault.startswith(f"pong/kernel/ring.pxd:{line}: ")]
    assert any(f"{name} -> " in fault or "indirect" in fault for fault in found), unsound
    assert any(UNSOUND[name][1] in fault for fault in found), found


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("pong/_stream.pyx:4:", "absent_rt is declared here but absent"),
        ("pong/_stream.pyx:7:", "method_rt -> malloc: this allocates"),
        ("written_in_c_rt:", "written_in_c_rt -> malloc: this allocates"),
        ("__pyx_pf_4pong_7_stream_python_rt:", "this is Python"),
    ],
)
def test_rt_fails_outside_the_kernel(unsound: list[str], place: str, words: str) -> None:
    assert any(fault.startswith(place) and words in fault for fault in unsound), unsound


def test_rt_finds_no_fault_in_a_sound_neighbour(unsound: list[str]) -> None:
    assert not [fault for fault in unsound if "capture_rt" in fault]


@pytest.mark.parametrize(
    ("put", "fault"),
    [
        ("functions.send_rt = give_rt", None),
        ("functions.send_rt = give", "member send_rt is give;"),
        ("", "member send_rt is nothing;"),
    ],
)
def test_rt_holds_the_table_of_c_functions_to_its_names(tmp_path: Path, put: str, fault: str | None) -> None:
    """What a caller may call on the audio thread is judged like everything else there, under whatever name."""
    tree = {
        "pong/include/pong.h": "struct pong_api {\n    int (*send_rt)(int);\n    int (*wait)(int);\n};\n",
        "pong/_table.pyx": "cdef int give(int x) noexcept nogil:\n    return x\n"
        "cdef int give_rt(int x) noexcept nogil:\n    return x\n"
        "ctypedef struct pong_api:\n    int (*send_rt)(int) noexcept nogil\ncdef pong_api functions\n"
        f"{put}\n",
    }
    faults, _ = check_rt.check(plant(tmp_path, PACKAGES, tree))
    assert [f"pong/include/pong.h:2: {fault}" in line for line in faults] == ([True] if fault else []), faults


def test_rt_fails_where_it_cannot_compile(tmp_path: Path) -> None:
    tree = {"pong/kernel/ring.pxd": "cdef inline int broken_rt() noexcept nogil:\n    return missing()\n"}
    faults, _ = check_rt.check(plant(tmp_path, PACKAGES, tree))
    assert len(faults) == 1
    assert faults[0].startswith("pong/kernel/ring.pxd:1: pong_rt_probe does not compile")
