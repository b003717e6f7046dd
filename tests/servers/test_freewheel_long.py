"""Many minutes of sound through record and play in freewheel: every bit of it, and no more memory at the end."""

import pytest
from needs import needs_all
from servers import FULL, reports

needs_all("jack", "jackd jack_lsp", "jack")

# Seconds of wall time.
LIMIT = 1200 if FULL else 120
MINUTES = 30 if FULL else 2
FRAMES = MINUTES * 60 * 48000

# The sound is one block over and over, marked with its number, so that no two are alike.
PROGRAM = f"""
import jack, zlib
control = jack.Client("control", no_start_server=True)
BLOCK, NUMBER = 4096, {FRAMES} // 4096
noise = signal_of(BLOCK, 1)

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def send():
    global played
    for number in range(NUMBER + 8):
        with stream.acquire() as buf:
            if number < NUMBER:
                buf.samples[:] = noise
                buf.samples[1, 0] = number
                played = zlib.crc32(buf.samples, played)
            else:
                buf.samples[:] = 0
            stream.send(buf)

played = heard = frames = gap = 0
grown = []
pools = [pong.BufferPool(16, BLOCK, 1, "float32", on_empty="raise") for _ in range(2)]
with pong.Stream(backend="jack", blocksize=BLOCK, channels=1, pool=tuple(pools), prefill=0, buffers=16,
                 extra_settings=pong.JackSettings(connect=False)) as stream:
    wire(control, "pong", "pong")
    control.set_freewheel(True)
    thread = threading.Thread(target=send)
    thread.start()
    while frames < NUMBER * BLOCK:
        with stream.recv(60) as buf:
            samples = buf.samples
            if not frames:
                loud = np.flatnonzero(samples[:, 0])
                if not len(loud):
                    continue
                samples = samples[loud[0]:]
            else:
                gap += buf.gap
            samples = samples[:NUMBER * BLOCK - frames]
            heard = zlib.crc32(samples, heard)
            frames += len(samples)
            if frames // BLOCK in (NUMBER // 10, NUMBER - 1):
                grown.append(resident())
        del samples
    stream.abort()
    thread.join(30)
    control.set_freewheel(False)
report(same=heard == played, frames=frames, blocks=NUMBER, gap=gap, growth=grown[-1] - grown[0],
       home=[pool.free == len(pool) for pool in pools])
"""


@pytest.mark.timeout(LIMIT)
def test_a_long_recording_of_what_is_played(synchronous, tmp_path):
    (found,) = reports(tmp_path, PROGRAM, timeout=LIMIT)
    assert found["frames"] == found["blocks"] * 4096
    assert found["same"]
    assert found["gap"] == 0
    assert found["home"] == [True, True]
    assert found["growth"] < 4 << 20
