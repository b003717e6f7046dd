"""tests/downstream, a package of its own: built against the installed pong, it runs audio threads of its own."""

from __future__ import annotations

import ctypes as c
import importlib
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from programs import MILLION, Thread
from table import CLOSED, EMPTY, OK, Api, api

import pong
from pong import _capi

HERE = Path(__file__).resolve().parent
RATE = 44100.0
BLOCKS = MILLION // 100


@pytest.fixture(scope="module")
def downstream(tmp_path_factory):
    """Install the package into a folder of its own, from a copy: setuptools writes beside its sources."""
    folder = tmp_path_factory.mktemp("downstream")
    shutil.copytree(HERE / "downstream", folder / "source")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-build-isolation", "--no-deps", "--target"]
    done = subprocess.run([*command, folder / "site", folder / "source"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.append(str(folder / "site"))
    yield importlib.import_module("c_card"), importlib.import_module("cython_card")
    sys.path.remove(str(folder / "site"))


class CCard:
    """The functions of c_card as a class, like that of cython_card."""

    def __init__(self, module, sender):
        self.module, self.card = module, module.open(sender)

    def start(self, callbacks, waits=False, finishes=False):
        self.module.start(self.card, callbacks, waits, finishes)

    def join(self, hold_gil=False):
        return self.module.join(self.card, hold_gil)

    def close(self):
        self.module.close(self.card)


@pytest.fixture(params=["C", "Cython"])
def make_card(request, downstream):
    in_c, in_cython = downstream
    return (lambda sender: CCard(in_c, sender)) if request.param == "C" else in_cython.Card


def make(count=8, blocksize=64, channels=2):
    pool = pong.BufferPool(count, blocksize, channels, "uint32", samplerate=RATE, on_empty="raise")
    return pool, *pool.link()


def numbers(position, frames, channels):
    return np.arange(position * channels, (position + frames) * channels, dtype="uint32").reshape(frames, channels)


class Checker:
    """Follows what a card sends, and knows each sample and each field of the next block."""

    def __init__(self, blocksize=64):
        self.blocksize, self.n, self.position, self.seq, self.lost = blocksize, 0, 0, 0, 0

    def frames(self):
        return self.blocksize - self.n % 3

    def lose(self, blocks):
        """Expect that the next callbacks lose their blocks."""
        for _ in range(blocks):
            self.lost += self.frames()
            self.position += self.frames()
            self.n += 1

    def check(self, block):
        with block:
            assert (block.seq, block.position, block.frames) == (self.seq, self.position, self.frames())
            assert (block.gap, block.tag, block.status) == (self.lost, -self.n, self.n % 32)
            assert (block.time, block.time_source) == (self.position / RATE, "stream")
            assert block.samples.tobytes() == numbers(self.position, self.frames(), 2).tobytes()
        self.lost = 0
        self.position += self.frames()
        self.n += 1
        self.seq += 1


def test_every_block_arrives_as_it_was_sent(make_card):
    """Sample by sample and field by field, with the native side as fast as it can be."""
    pool, sender, receiver = make()
    card, checker = make_card(sender), Checker()
    card.start(BLOCKS, waits=True, finishes=True)
    for block in receiver:
        checker.check(block)
    assert checker.n == BLOCKS
    assert card.join() == (OK, BLOCKS, 0)
    card.close()
    assert pool.free == 8


def test_what_an_empty_pool_loses_is_told_in_the_gap(make_card):
    """I6: lost frames are counted once, in the block after them."""
    pool, sender, receiver = make(4)
    card, checker = make_card(sender), Checker()
    card.start(10)
    lost = sum(64 - n % 3 for n in range(4, 10))
    assert card.join() == (EMPTY, 4, lost)
    for _ in range(4):
        checker.check(receiver.recv_nowait())
    card.start(2)
    assert card.join() == (OK, 6, lost)
    checker.lose(6)
    for _ in range(2):
        checker.check(receiver.recv_nowait())
    assert pool.free == 4
    card.close()


def test_the_gil_is_not_needed(make_card):
    """Python waits for the thread's end and does not let go of it: whoever wanted it would wait for ever."""
    _pool, sender, receiver = make()
    card, checker = make_card(sender), Checker()
    card.start(8, finishes=True)
    assert card.join(hold_gil=True) == (OK, 8, 0)
    for block in receiver:
        checker.check(block)
    assert checker.n == 8
    card.close()


@pytest.mark.parametrize("closed", ["receiver", "sender", "pool"])
def test_python_closes_while_the_card_runs(make_card, closed):
    """The thread ends by itself; every slot comes home."""
    pool, sender, receiver = make()
    card, checker = make_card(sender), Checker()
    card.start(2**62, waits=True)
    for _ in range(20):
        checker.check(receiver.recv())
    {"receiver": receiver, "sender": sender, "pool": pool}[closed].close()
    result, sent, lost = card.join()
    assert result == CLOSED
    assert sent >= 20
    # What is lost is the one callback that found it closed, or none if that was seen in the wait.
    assert lost in (0, 62, 63, 64)
    if closed != "receiver":
        for block in receiver:
            checker.check(block)
        assert checker.n == sent
    card.close()
    assert pool.free == 8


def test_the_card_closes_first(make_card):
    pool, sender, receiver = make()
    card, checker = make_card(sender), Checker()
    card.start(5)
    assert card.join() == (OK, 5, 0)
    card.close()
    for block in receiver:
        checker.check(block)
    assert checker.n == 5
    assert pool.acquire(), "Python acquires again"


def test_python_drops_everything_but_the_receiver(make_card):
    """An open end keeps its sender, and so the link, open; its close ends the loop."""
    pool, sender, receiver = make()
    card, checker = make_card(sender), Checker()
    del pool, sender
    card.start(5)
    card.join()
    for _ in range(5):
        checker.check(receiver.recv_nowait())
    assert not receiver.poll()
    card.close()
    assert list(receiver) == []


def test_what_cannot_be_opened(make_card):
    _pool, sender, receiver = make()
    with pytest.raises(TypeError, match=r"sender must be a pong\.Sender, not Receiver"):
        make_card(receiver)
    card = make_card(sender)
    with pytest.raises(RuntimeError, match="another native stream sends"):
        make_card(sender)
    card.close()
    with pytest.raises(pong.ClosedError, match="the sender is closed"):
        make_card(sender)


def test_an_effect_works_in_place(downstream):
    """Python's blocks through a native receiver and sender of the same pool, and back."""
    pool, sender, receiver = make()
    onward, end = pool.link()
    effect = downstream[1].Effect(receiver, onward)
    sent = []
    for n in range(20):
        block = pool.acquire()
        block.write(numbers(n, 64 - n, 2))
        block.position, block.gap, block.time, block.status = n, n + 1, n / 7, n + 2
        sent.append(block.samples.tobytes())
        sender.send(block, tag=n)
        with end.recv() as block:
            assert (~block.samples).tobytes() == sent[-1]
            assert (block.tag, block.position, block.gap) == (n + 1, n, n + 1)
            assert (block.time, block.status, block.frames) == (n / 7, n + 2, 64 - n)
    sender.close()
    assert effect.close() == (CLOSED, 20)
    assert list(end) == []
    assert pool.free == 8


def test_an_effect_that_cannot_be_made_changes_nothing(downstream):
    pool, sender, receiver = make()
    onward, end = pool.link()
    end.close()
    with pytest.raises(pong.ClosedError):
        downstream[1].Effect(receiver, onward)
    with pytest.raises(pong.ClosedError):
        sender.send(pool.acquire())
    assert pool.free == 8


def test_both_directions_at_once(make_card, downstream):
    """A card that records, an effect that plays back, and Python at all four ends, each in a thread of its own."""
    pool, sender, receiver = make()
    card, checker = make_card(sender), Checker()
    played, there, here = make(4, 32)
    onward, end = played.link()
    effect = downstream[1].Effect(here, onward)

    def play():
        for n in range(BLOCKS):
            block = played.acquire(None)
            block.write(numbers(n, 32, 2))
            there.send(block, tag=n)
        there.close()

    def listen():
        number = 0
        for block in end:
            with block:
                assert (block.seq, block.tag) == (number, number + 1)
                assert (~block.samples).tobytes() == numbers(number, 32, 2).tobytes()
            number += 1
        return number

    threads = [Thread(play), Thread(listen)]
    card.start(BLOCKS, waits=True, finishes=True)
    for block in receiver:
        checker.check(block)
    assert card.join() == (OK, BLOCKS, 0)
    assert [thread.join() for thread in threads] == [None, BLOCKS]
    assert effect.close() == (CLOSED, BLOCKS)
    card.close()
    assert (pool.free, played.free) == (8, 4)


def test_close_keeps_the_exception_that_is_set(downstream):
    """C code that closes because of an error still raises that error."""
    pool, sender, _receiver = make()
    with pytest.raises(KeyError, match="the next step"):
        downstream[0].fail(sender)
    assert sender.closed
    assert pool.acquire()


def capsule(memory, name=b"pong._capi.table"):
    """Return a capsule of the table's name, and what must live as long as it."""
    new = c.pythonapi.PyCapsule_New
    new.restype, new.argtypes = c.py_object, [c.c_void_p, c.c_char_p, c.c_void_p]
    return new(c.addressof(memory), name, None)


@pytest.mark.parametrize("language", [0, 1], ids=["C", "Cython"])
def test_another_table_is_refused(downstream, monkeypatch, language):
    """One of another version, or a shorter one; a longer one of the same version has what is needed."""
    import_pong = downstream[language].import_pong
    other = Api.from_buffer_copy(api)
    other.version += 1
    monkeypatch.setattr(_capi, "table", capsule(other))
    with pytest.raises(ImportError, match="has version 3 of the C table, this module was built for version 2"):
        import_pong()
    other = Api.from_buffer_copy(api)
    other.size -= 8
    monkeypatch.setattr(_capi, "table", capsule(other))
    with pytest.raises(ImportError, match=rf"has {other.size} bytes, .* built for {api.size}: pong is too old"):
        import_pong()
    other = Api.from_buffer_copy(api)
    other.size += 8
    monkeypatch.setattr(_capi, "table", capsule(other))
    import_pong()
    name = b"another.table"
    monkeypatch.setattr(_capi, "table", capsule(other, name))
    with pytest.raises(ImportError, match=r"no table of C functions, pong\._capi\.table"):
        import_pong()
    monkeypatch.delattr(_capi, "table")
    with pytest.raises(ImportError, match=r"no table of C functions, pong\._capi\.table"):
        import_pong()


def test_the_capsule_is_found_without_importing_its_module(tmp_path):
    """As PyCapsule_Import looks for it, from any language: an attribute of an attribute of `pong`."""
    program = (
        "import ctypes; get = ctypes.pythonapi.PyCapsule_Import; get.restype = ctypes.c_void_p;"
        "print(get(b'pong._capi.table', 0) is not None)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "True\n"


COMPILERS = {
    "C99": ["gcc", "-x", "c", "-std=c99", "-pedantic"],
    "C11": ["gcc", "-x", "c", "-std=c11", "-pedantic"],
    "C++11": ["g++", "-x", "c++", "-std=c++11", "-pedantic"],
    "C++20": ["g++", "-x", "c++", "-std=c++20", "-pedantic"],
}
SOURCES = {
    "alone": '#include "pong.h"\nint f(const pong_api *p, pong_end *e, pong_buffer *b) { return p->send_rt(e, b); }\n',
    "block alone": '#include "pong_block.h"\nuint32_t f(const pong_block *b) { return b->frames; }\n',
    "twice, with Python": '#include <Python.h>\n#include "pong.h"\n#include "pong.h"\n'
    "const pong_api *f(PyObject *s) { const pong_api *p = pong_import(); p->close(p->open_sender(s, 1)); return p; }\n",
}


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("source", SOURCES)
def test_the_header_compiles(compiler, source):
    include = [f"-I{pong.get_include()}", "-isystem", sysconfig.get_paths()["include"]]
    command = [*COMPILERS[compiler], "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *include, "-"]
    done = subprocess.run(command, input=SOURCES[source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
