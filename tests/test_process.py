"""Chains of native functions: every form of function runs, in order, on the right memory, with the right metadata."""

import ctypes
import gc
import os
import subprocess
import sys
import weakref

import numpy as np
import pytest
from native_build import load
from native_functions import CFFI_BLOCK, CFFI_NOTE, KINDS, SEEN, address, capsule, from_ctypes, library, numba_types
from needs import needs

import pong
from pong.streams.process import BLOCK, Chain

FACTORS = np.array([0.5, 3.0, -2.0], "float32")


@pytest.fixture
def buf():
    """A buffer of 5 frames and 3 channels whose every metadata is told, and no two are alike."""
    with pong.BufferPool(2, 8, 3, "float32") as pool, pool.acquire() as buf:
        buf.write(np.arange(1, 16, dtype="float32").reshape(5, 3))
        buf.position, buf.gap, buf.time, buf.time_source = 1 << 40, 12, 3.25, "device"
        buf.status, buf.tag = 6, -9
        yield buf


def run(process, buf, seq=41, samplerate=44100.0):
    load("_process").run_chain(Chain(process, buf.samples.shape[1], buf.samples.dtype), buf, seq, samplerate)


def exported(name):
    """Return a ``cdef`` function of the native test module."""
    return load("_process").__pyx_capi__[name]


def check_call(seen, buf, calls=1, seq=41):
    """A function was called with what the buffer and the stream know, and reached the buffer's samples."""
    assert seen.tolist() == [(seq, 1 << 40, 12, 3.25, 44100.0, -9, 5, 3, 6, 3, 0, 5, 3, calls)]
    np.testing.assert_array_equal(buf.samples.ravel(), [7, *range(2, 15), 7])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_function_runs(kind, buf):
    seen = np.zeros(1, SEEN)
    run((KINDS[kind](), seen), buf)
    check_call(seen, buf)


@pytest.mark.parametrize("kind", KINDS)
def test_a_chain_keeps_alive_what_it_runs(kind, buf):
    """Nothing of a function or its user data is held by anybody else when it runs."""
    seen = np.zeros(1, SEEN)
    chain = Chain([(KINDS[kind](), seen)], 3, "float32")
    where, alive = seen.ctypes.data, weakref.ref(seen)
    del seen
    gc.collect()
    load("_process").run_chain(chain, buf, 41, 44100.0)
    load("_process").run_chain(chain, buf, 42, 44100.0)
    assert alive() is not None
    check_call(np.ctypeslib.as_array((ctypes.c_char * SEEN.itemsize).from_address(where)).view(SEEN), buf, 2, 42)
    del chain
    gc.collect()
    assert alive() is None


def test_a_compiled_cffi_function_runs(buf, tmp_path):
    """Functions of a module that cffi has compiled are built-in functions, not pointers."""
    needs("cffi")
    program = (
        "import cffi, sys; ffi = cffi.FFI(); ffi.cdef(sys.argv[1] + sys.argv[2]);"
        "ffi.set_source('_compiled_note', sys.argv[1] + '''static void pong_test_note(float *x, uint32_t frames,"
        "uint32_t channels, const pong_block *block, void *user) { *x = frames + channels + block->tag; }''');"
        "ffi.compile(sys.argv[3])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    command = [sys.executable, "-c", program, CFFI_BLOCK, CFFI_NOTE, tmp_path]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    sys.path.append(str(tmp_path))
    try:
        import _compiled_note
    finally:
        sys.path.remove(str(tmp_path))
    run(_compiled_note.lib.pong_test_note, buf)
    assert buf.samples[0, 0] == 5 + 3 - 9
    run(_compiled_note.ffi.addressof(_compiled_note.lib, "pong_test_note"), buf)


def test_nothing_to_do(buf):
    before = buf.copy()
    for process in (None, []):
        assert len(Chain(process, 3, "float32")) == 0
        run(process, buf)
    np.testing.assert_array_equal(buf.samples, before)


def test_functions_run_in_the_order_of_the_list(buf):
    before = buf.copy()
    gain, add = exported("pong_test_gain"), exported("add")
    assert len(Chain([gain, add, gain], 3, "float32")) == 3
    run([gain, add, (gain, FACTORS), add], buf)
    np.testing.assert_array_equal(buf.samples, (before * 2 + 1) * 0.5 + 1)


def test_what_a_step_writes_into_the_metadata_reaches_no_other(buf):
    seen = np.zeros(1, SEEN)
    run([exported("spoil"), (exported("pong_test_note"), seen)], buf)
    check_call(seen, buf)
    assert buf.frames == 5




def test_frames_behind_a_short_block_stay(buf):
    pool = pong.BufferPool(1, 8, 1, "float32", on_empty="raise")
    sender, receiver = pool.link()
    with pool.acquire() as whole:
        whole.samples[:] = 1
        whole.frames = 3
        run(exported("pong_test_gain"), whole)
        memory = (ctypes.c_float * 8).from_address(whole.samples.ctypes.data)
        assert list(memory) == [2, 2, 2, 1, 1, 1, 1, 1]
    sender.close()
    receiver.close()


def test_block_is_c_s_struct():
    size, members = load("_process").block_layout()
    assert BLOCK.itemsize == size
    assert {name: (offset, dtype.itemsize) for name, (dtype, offset) in BLOCK.fields.items()} == members


def user_pointers():
    """Return the same memory, which holds 3.0, as every kind of user pointer."""
    value = ctypes.c_float(3)
    numbers = (ctypes.c_float * 2)(3, 4)
    ones = np.full((2, 2), 3, "float32")
    where = ctypes.addressof(value)
    return {
        "address": (where, value),
        "NumPy integer": (np.uint64(where), value),
        "ctypes number": (value, None),
        "ctypes array": (numbers, None),
        "wide text": (ctypes.cast(numbers, ctypes.c_wchar_p), None),
        "ctypes pointer": (ctypes.pointer(value), None),
        "c_void_p": (ctypes.c_void_p(where), value),
        "cast": (ctypes.cast(numbers, ctypes.c_void_p), None),
        "ndarray": (ones, None),
        "Fortran order": (np.asfortranarray(ones), None),
        "PyCapsule": (capsule(where), value),
        "named PyCapsule": (capsule(where, "any name"), value),
    }


@pytest.mark.parametrize("kind", user_pointers())
def test_user_pointers(kind, buf):
    before = buf.copy()
    user, keep = user_pointers()[kind]
    run((exported("pong_test_gain"), user), buf)
    np.testing.assert_array_equal(buf.samples, before * 3)
    del keep


def test_no_user_pointer_is_null(buf):
    before = buf.copy()
    for user in (None, 0, ctypes.c_void_p()):
        run((exported("pong_test_gain"), user), buf)
    np.testing.assert_array_equal(buf.samples, before * 8)


def test_cffi_user_pointers(buf):
    ffi = needs("cffi").FFI()
    before = buf.copy()
    numbers = ffi.new("float[2]", [3, 4])
    for user in (numbers, numbers + 1, ffi.new("float *", 5), ffi.cast("void *", numbers)):
        run((exported("pong_test_gain"), user), buf)
    np.testing.assert_array_equal(buf.samples, before * 180)
    ffi.cdef("struct pair { float a, b; };")
    pair = ffi.new("struct pair *")
    with pytest.raises(TypeError, match="must be a pointer"):
        run((exported("pong_test_gain"), pair[0]), buf)


def test_a_capsule_s_context_is_its_user_pointer(buf):
    """As in SciPy; a user pointer that is given goes before it."""
    before = buf.copy()
    where = ctypes.cast(library().pong_test_gain, ctypes.c_void_p).value
    function = capsule(where, None, FACTORS.ctypes.data)
    run([function, (function, FACTORS[1:])], buf)
    np.testing.assert_array_equal(buf.samples, before * 1.5)


def test_scipy_s_user_data(buf):
    scipy = needs("scipy")
    before = buf.copy()
    user = ctypes.cast(FACTORS.ctypes.data, ctypes.c_void_p)
    gain = exported("pong_test_gain")
    run(scipy.LowLevelCallable(gain, user), buf)
    run((scipy.LowLevelCallable(gain, user), FACTORS[1:]), buf)
    np.testing.assert_array_equal(buf.samples, before * 1.5)


def filter_in_blocks(process, sound, blocksize):
    """Run a chain over a long sound, block by block, as a stream would."""
    found = []
    chain = Chain(process, sound.shape[1], sound.dtype)
    with pong.BufferPool(1, blocksize, sound.shape[1], sound.dtype) as pool:
        for start in range(0, len(sound), blocksize):
            with pool.acquire() as buf:
                buf.write(sound[start : start + blocksize])
                load("_process").run_chain(chain, buf, start // blocksize, 48000.0)
                found.append(buf.copy())
    return np.concatenate(found)


def test_a_numba_gain_is_numpy_s():
    numba = needs("numba")

    @numba.cfunc(numba_types())
    def gain(samples, frames, channels, block, user):
        x = numba.carray(samples, (frames, channels))
        factor = numba.carray(user, 1, numba.types.float32)
        x *= factor[0]

    sound = np.random.default_rng(1).uniform(-1, 1, (1000, 2)).astype("float32")
    found = filter_in_blocks((gain, FACTORS), sound, 64)
    np.testing.assert_allclose(found, sound * 0.5, rtol=0, atol=1e-6)


def test_a_cython_biquad_is_scipy_s():
    signal = needs("scipy.signal")
    b, a = signal.butter(2, 0.1)
    state = np.zeros(4)

    class Biquad(ctypes.Structure):
        _fields_ = (*((name, ctypes.c_double) for name in "b0 b1 b2 a1 a2".split()), ("z", ctypes.c_void_p))

    user = Biquad(*b, *a[1:], state.ctypes.data)
    sound = np.random.default_rng(2).uniform(-1, 1, (1000, 2)).astype("float32")
    found = filter_in_blocks([(exported("biquad"), user)], sound, 64)
    np.testing.assert_allclose(found, signal.lfilter(b, a, sound, axis=0), rtol=0, atol=1e-6)


def test_a_failure_changes_nothing(buf):
    """The user data of the steps before the wrong one is let go, and a chain cannot be made again."""
    before = buf.copy()
    user = np.ones(1)
    alive = weakref.ref(user)
    with pytest.raises(TypeError, match=r"process\[1\]"):
        Chain([(exported("pong_test_gain"), user), print], 3, "float32")
    del user
    gc.collect()
    assert alive() is None
    chain = Chain(exported("pong_test_gain"), 3, "float32")
    with pytest.raises(RuntimeError, match="once"):
        chain.__init__(None, 3, "float32")
    load("_process").run_chain(chain, buf, 0, 0.0)
    np.testing.assert_array_equal(buf.samples, before * 2)


def test_a_list_that_changes_later_changes_nothing(buf):
    before = buf.copy()
    process = [exported("pong_test_gain")]
    chain = Chain(process, 3, "float32")
    process.clear()
    gc.collect()
    load("_process").run_chain(chain, buf, 0, 0.0)
    np.testing.assert_array_equal(buf.samples, before * 2)


def test_nothing_is_imported_that_was_not_there(tmp_path):
    program = (
        "import ctypes, sys; from pong.streams.process import Chain\n"
        "Chain([1234, (1234, 5), (ctypes.CDLL(None).memset, ctypes.c_int())], 1, 'f4')\n"
        "print([name for name in ('numba', 'scipy', 'cffi', '_cffi_backend') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_the_helpers_make_what_they_say():
    assert from_ctypes()._objects is None
    assert ctypes.cast(from_ctypes(), ctypes.c_void_p).value == address()
