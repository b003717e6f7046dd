"""ALSA's null and file plugins through PortAudio: devices that nothing paces, and files that are heard bit by bit."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from needs import needs_all
from servers import reports

needs_all("sounddevice", "gcc", "portaudio asound")

CONFIGURATION = """
pcm.!default {{ type null }}
ctl.!default {{ type null }}
pcm.pongnull {{ type null hint {{ show on description "nothing" }} }}
pcm.pongfile {{
    type file
    slave.pcm "pongnull"
    file "{folder}/played.raw"
    infile "{folder}/heard.raw"
    format raw
    hint {{ show on description "files" }}
}}
"""


@pytest.fixture
def alsa(tmp_path, monkeypatch):
    """Programs started meanwhile see these devices, and no other."""
    configuration = tmp_path / "asound.conf"
    configuration.write_text(CONFIGURATION.format(folder=tmp_path))
    (tmp_path / "heard.raw").write_bytes(b"")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(configuration))
    return tmp_path


RATE = """
import ctypes, statistics, sounddevice
from sounddevice import _StreamBase, _ffi
empty = ctypes.CDLL(LIBRARY).pong_test_empty
count = ctypes.c_ulonglong()
FRAMES = 64
common = {"samplerate": 48000, "device": "pongnull", "channels": 1, "dtype": "float32"}

CALLBACKS = 1_500_000

def per_second(number, work):
    "Return callbacks per second over a number of them; work is done meanwhile, again and again."
    until(lambda: number() > 0)
    began, before = time.perf_counter(), number()
    while number() < before + CALLBACKS:
        work()
    return (number() - before) / (time.perf_counter() - began)

def bare():
    count.value = 0
    stream = _StreamBase(
        kind="input", blocksize=FRAMES, callback=ctypes.cast(empty, ctypes.c_void_p).value, wrap_callback=None,
        userdata=_ffi.cast("void*", ctypes.addressof(count)), **common)
    try:
        stream.start()
        return per_second(lambda: count.value, os.sched_yield)
    finally:
        stream.abort()
        stream.close()

def whole():
    # Delivered and taken: the whole way of a block to a receiver.
    stream = pong.InputStream(backend="portaudio", blocksize=1024, callback_size=FRAMES, buffers=64, **common)
    received = 0
    def take():
        nonlocal received
        for buf in stream.drain():
            buf.release()
            received += 1
    with stream:
        found = per_second(lambda: stream.position // FRAMES, take)
        stream.abort()
    assert received > 0
    return found, received * 1024 / (CALLBACKS * FRAMES)

found = [(bare(), whole()) for _ in range(7)]
report(empty=statistics.median(a for a, _ in found), pong=statistics.median(b for _, (b, _) in found),
       ratio=statistics.median(b / a for a, (b, _) in found), share=statistics.median(c for _, (_, c) in found))
"""


def test_capture_beside_an_empty_callback(alsa, capsys):
    library = alsa / "alsa_null.so"
    source = Path(__file__).with_name("alsa_null.c")
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", source, "-o", library], check=True)
    (found,) = reports(alsa, f"LIBRARY = {str(library)!r}\n" + RATE)
    with capsys.disabled():
        print(
            f"\nALSA null: {found['pong']:.0f} callbacks/s, empty {found['empty']:.0f}: {found['ratio']:.2f}; "
            f"{found['share']:.0%} of the blocks were received"
        )
    assert found["ratio"] >= 0.3


SIZES = {"int16": 2, "int24": 3, "int32": 4, "float32": 4}

HEARD = """
pool = pong.BufferPool(1024, 512, 2, DTYPE, on_empty="raise")
heard = []
# The file ends in silence that has no end. The device does not wait: the pool holds what matters.
with pong.InputStream(backend="portaudio", device="pongfile", samplerate=48000, blocksize=512, pool=pool) as stream:
    while len(heard) < 200:
        with stream.recv(30) as buf:
            assert buf.position == 512 * len(heard), "the device's own time has a hole"
            heard.append(buf.samples.tobytes())
    stream.abort()
with open("captured.raw", "wb") as file:
    file.write(b"".join(heard))
"""


@pytest.mark.parametrize("dtype", ["int16", "int24", "int32", "float32"])
def test_a_file_is_heard_bit_by_bit(dtype, alsa):
    sound = np.random.default_rng(1).integers(0, 255, 100 * 512 * 2 * SIZES[dtype], "uint8")
    if dtype == "float32":
        sound = np.random.default_rng(1).uniform(-1, 1, 100 * 512 * 2).astype("float32").view("uint8")
    (alsa / "heard.raw").write_bytes(sound.tobytes())
    # NumPy's name for packed 24-bit integers.
    name = "V3" if dtype == "int24" else dtype
    reports(alsa, f"DTYPE = {name!r}\n" + HEARD)
    assert (alsa / "captured.raw").read_bytes()[: len(sound)] == sound.tobytes()
    assert os.path.getsize(alsa / "captured.raw") > len(sound)
