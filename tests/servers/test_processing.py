"""A Numba gain and a Cython biquad in the callback of a JACK client, while other threads hold the GIL."""

from native_build import native_folder
from needs import needs_all
from servers import reports

needs_all("jack numba scipy", "jackd jack_lsp", "jack")

PROGRAM = """
import ctypes, jack, numba
from scipy import signal
from pong.streams.process import BLOCK as KNOWN
import _process

FACTOR = np.array([0.5], "float32")

types = numba.types

@numba.cfunc(types.void(types.CPointer(types.float32), types.uint32, types.uint32,
                        types.CPointer(numba.from_dtype(KNOWN)), types.voidptr))
def gain(samples, frames, channels, block, user):
    x = numba.carray(samples, (frames, channels))
    x *= numba.carray(user, 1, numba.types.float32)[0]

class Biquad(ctypes.Structure):
    _fields_ = (*((name, ctypes.c_double) for name in "b0 b1 b2 a1 a2".split()), ("z", ctypes.c_void_p))

b, a = signal.butter(2, 0.1)
state = np.zeros(4)
filter = (_process.__pyx_capi__["biquad"], Biquad(*b, *a[1:], state.ctypes.data))
control = jack.Client("control", no_start_server=True)
BLOCK, NUMBER = 1000, 60
sound, heard = signal_of(NUMBER * BLOCK, 2), Trimmed()
pools = [pong.BufferPool(count, BLOCK, 2, "float32", on_empty="raise") for count in (1024, NUMBER)]
hold = holders()
with pong.Stream(backend="jack", blocksize=BLOCK, channels=2, pool=tuple(pools), prefill=0, stall_timeout=30,
                 process=filter, process_output=(gain, FACTOR),
                 extra_settings=pong.JackSettings(connect=False)) as stream:
    wire(control, "pong", "pong")
    bufs = []
    for at in range(0, len(sound), BLOCK):
        bufs.append(stream.acquire())
        bufs[-1].write(sound[at:at + BLOCK])
    with hold:
        stream.sender.send_many(bufs)
        while heard.frames < len(sound):
            with stream.recv(60) as buf:
                heard.add(buf)
    stream.abort()
# Silence goes through the filter as silence, so that the sound's first frame is the first that is heard.
expected = signal.lfilter(b, a, sound * FACTOR[0], axis=0)
found = np.concatenate(heard.parts)[:len(sound)]
report(frames=len(found), blocks=heard.blocks, gap=heard.gap, error=float(np.abs(found - expected).max()))
"""


def test_numba_and_cython_in_the_callback(synchronous, tmp_path):
    (found,) = reports(tmp_path, PROGRAM, native=native_folder())
    assert found["frames"] == 60000
    assert found["blocks"] >= 60
    assert found["gap"] == 0
    assert found["error"] < 1e-6
