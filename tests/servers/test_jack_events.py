"""What a JACK server does to a running stream: another period, xruns, freewheel on and off."""

import pytest
from native_build import native_folder
from needs import needs_all
from servers import Jackd, reports

needs_all("jack", "jackd jack_lsp", "jack")

# A sound from one client to another while something happens, and what is told of it. A client's own loop would not do:
# what is under way in it when the period changes is the server's to lose.
LOOP = """
import jack
control = jack.Client("control", no_start_server=True)
BLOCK = 256
sound, heard = signal_of(400 * BLOCK, 1), Trimmed()

pools = [pong.BufferPool(count, BLOCK, 1, "float32", on_empty="raise") for count in (1024, 512)]
positions = []
options = {"backend": "jack", "blocksize": BLOCK, "channels": 1}
settings = [pong.JackSettings(client_name=name, connect=False) for name in ("recorder", "player")]
with (pong.InputStream(pool=pools[0], extra_settings=settings[0], **options) as stream,
      pong.OutputStream(pool=pools[1], extra_settings=settings[1], **options) as player):
    wire(control, "player", "recorder")
    bufs = []
    for at in range(0, len(sound), BLOCK):
        bufs.append(player.acquire())
        bufs[-1].write(sound[at:at + BLOCK])
    # All at once: however busy Python is, none of it comes late.
    player.sender.send_many(bufs)
    happened = False
    while heard.frames < len(sound):
        with stream.recv(30) as buf:
            heard.add(buf)
            positions.append((buf.position, buf.frames, buf.gap))
        if heard.frames > 50 * BLOCK and not happened:
            happened = True
            happen()
    stream.abort()
    player.abort()
    stats = stream.stats()
# Where a block begins: after the one before, and the gap between them.
steady = all(at + frames + gap == next_at for (at, frames, _), (next_at, _, gap) in zip(positions, positions[1:]))
report(exact=heard.equals(sound), blocks=heard.blocks, gap=heard.gap, steady=steady, xruns=stats.xruns,
       blocksize=control.blocksize, lost=stats.lost, home=[pool.free == len(pool) for pool in pools])
"""


def during(what, folder):
    (found,) = reports(folder, f"def happen():\n    {what}\n" + LOOP)
    assert found["blocks"] >= 400
    assert found["steady"]
    assert found["home"] == [True, True]
    return found


def test_another_period(synchronous, tmp_path):
    """The server misses time while it changes, which is told; of the sound nothing is lost: both clients miss it."""
    found = during("control.blocksize = 512", tmp_path)
    assert found["blocksize"] == 512
    assert found["exact"]
    assert found["gap"] <= found["lost"]


def test_freewheel_on_and_off(synchronous, tmp_path):
    found = during("control.set_freewheel(True); control.set_freewheel(False)", tmp_path)
    assert found["exact"]


XRUN = """
import jack
late = jack.Client("late", no_start_server=True)
turns = 0

@late.set_process_callback
def process(frames):
    global turns
    turns += 1
    if turns % 20 == 0:
        # Longer than a period: the server's clock goes on without its clients.
        end = time.monotonic() + 0.02
        while time.monotonic() < end:
            pass

late.inports.register("in")
with pong.InputStream(backend="jack", blocksize=128, channels=1, buffers=512, stall_timeout=10) as stream:
    late.activate()
    flagged = 0
    while not (stream.stats().xruns and flagged):
        with stream.recv(30) as buf:
            flagged += bool(pong.CallbackFlags(buf.status).input_overflow)
    late.deactivate()
    report(xruns=stream.stats().xruns, flagged=flagged)
late.close()
"""


def test_xruns_are_counted_and_flagged(tmp_path):
    with Jackd(48000, 128, sync=True):
        (found,) = reports(tmp_path, XRUN)
    assert found["xruns"] >= 1
    assert found["flagged"] >= 1


TIMES = """
import jack
control = jack.Client("control", no_start_server=True)
rate = control.samplerate
with pong.Stream(backend="jack", blocksize=256, channels=1, extra_settings=pong.JackSettings(connect=False)) as stream:
    times = []
    for _ in range(50):
        with stream.recv(30) as buf:
            # A block ends at the latest a period before it is received.
            times.append((buf.time - buf.position / rate, buf.time * rate <= control.frame_time, buf.time_source))
        stream.recv(30).release()
    begin, now, end = control.frame_time, stream.time * rate, control.frame_time
    latency, load = stream.latency, stream.cpu_load
    stream.abort()
report(steady=max(each[0] for each in times) - min(each[0] for each in times), past=all(each[1] for each in times),
       sources=sorted({each[2] for each in times}), now=[begin, now, end], latency=latency, load=load,
       time=times[-1][0])
"""


def test_times_are_the_server_s(synchronous, tmp_path):
    """Of blocks and of the stream: on one clock, the one that every client of the server reads."""
    (found,) = reports(tmp_path, TIMES)
    assert found["steady"] < 1e-9
    assert found["past"]
    assert found["time"] > 0
    assert found["sources"] == ["device"]
    begin, now, end = found["now"]
    assert begin - 1 <= now <= end + 1
    assert found["latency"] == [128 / 48000] * 2
    assert 0 < found["load"] <= 1


# What is played goes back into the same client, which hears it in the cycle after: at the time that was foretold.
PLAYED = """
import jack, _process
from pong.streams.process import BLOCK
control = jack.Client("control", no_start_server=True)
rate = control.samplerate
# What `pong_test_note` keeps.
seen = np.zeros(1, [*BLOCK.descr, ("given", "u4", 2), ("calls", "u8")])
heard = []
pools = tuple(pong.BufferPool(count, 100, 1) for count in (64, BLOCKS))
if FREE:
    control.set_freewheel(True)
# Blocks begin anywhere in a callback of 128 frames.
with pong.Stream(backend="jack", blocksize=100, channels=1, pool=pools, prefill=0, stall_timeout=30,
                 process_output=(_process.__pyx_capi__["pong_test_note"], seen),
                 extra_settings=pong.JackSettings(connect=False, freewheel=FREE)) as stream:
    wire(control, "pong", "pong")
    bufs = [stream.acquire() for _ in range(BLOCKS)]
    for buf in bufs:
        buf.samples[:] = 0.5
    stream.sender.send_many(bufs)
    stream.sender.close()
    while len(heard) < 2 * BLOCKS:
        with stream.recv(60) as buf:
            # The function has marked the first and the last frame of each block.
            heard += [buf.time + int(at) / rate for at in np.flatnonzero(buf.samples == 7)]
    if FREE:
        control.set_freewheel(False)
    stream.abort()
report(calls=int(seen["calls"][0]), told=float(seen["time"][0]), source=int(seen["time_source"][0]), heard=heard,
       rate=rate)
"""


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("blocks", [1, 2, 9])
def test_blocks_are_played_when_functions_are_told_so(free, blocks, synchronous, tmp_path):
    (found,) = reports(tmp_path, f"FREE, BLOCKS = {free}, {blocks}\n" + PLAYED, native=native_folder())
    assert (found["calls"], found["source"]) == (blocks, 3)
    assert found["told"] > 0
    assert abs(found["told"] - found["heard"][-2]) * found["rate"] < 1e-3


READINGS = """
with pong.Stream(samplerate=48000, backend="portaudio", blocksize=256, channels=1) as stream:
    for _ in range(20):
        with stream.recv(30) as buf:
            heard = buf.time
    report(now=stream.time, heard=heard, load=stream.cpu_load)
    stream.abort()
"""


def test_readings_of_portaudio(synchronous, tmp_path):
    """Its own, on the clock of the blocks' times."""
    (found,) = reports(tmp_path, READINGS)
    assert 0 < found["heard"] < found["now"]
    assert 0 < found["load"] <= 1


RATE_CHANGES = """
import ctypes
from pong.streams import jack as backend
with pong.InputStream(backend="jack", blocksize=64, channels=1) as stream:
    stream.recv(30).release()
    # No server that runs here changes its rate: its call is made in its place.
    change = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint32, ctypes.c_void_p)(backend.rate_callback_address())
    change(int(stream.samplerate), stream._device.address())
    active = stream.active
    change(44100, stream._device.address())
    try:
        while True:
            stream.recv(30).release()
    except pong.StreamError as error:
        report(active=active, error=str(error), home=stream.pool.free == len(stream.pool))
"""


def test_another_sample_rate_ends_the_stream(synchronous, tmp_path):
    (found,) = reports(tmp_path, RATE_CHANGES)
    assert found == {"active": True, "error": "the server's sample rate has changed", "home": True}


# One program takes its time for each block, the other hears the same server's cycles, which come as seldom.
SLOW = """
import jack
control = jack.Client("control", no_start_server=True)
options = {"backend": "jack", "channels": 1, "stall_timeout": STALL}
settings = [pong.JackSettings(client_name=name, connect=False) for name in ("slow", "other")]
with (pong.InputStream(blocksize=64, buffers=1, extra_settings=settings[0], **options) as slow,
      pong.InputStream(blocksize=1024, extra_settings=settings[1], **options) as other):
    control.set_freewheel(True)
    other.recv(60).release()
    begin = time.monotonic()
    buf = slow.recv(60)
    while time.monotonic() < begin + 4 * STALL:
        # A block in hand for longer than the other stream's patience: the server waits meanwhile.
        time.sleep(0.9)
        buf.release()
        buf = slow.recv(60)
    buf.release()
    report(active=other.active)
    slow.abort()
    other.recv(60).release()
    control.set_freewheel(False)
    other.abort()
    stats = other.stats()
report(callbacks=stats.callbacks, position=stats.position)
"""


def test_one_client_s_patience_is_no_stall_of_another(tmp_path):
    """In freewheel the server waits for all; and a callback that waits is one callback."""
    # A server with more patience would take a minute to let these clients go.
    with Jackd(48000, 1024, patience=1000):
        active, stats = reports(tmp_path, SLOW.replace("STALL", "0.5"))
    assert active == {"active": True}
    assert stats["position"] == 1024 * stats["callbacks"]


# The handler of Ctrl-C raises as soon as libjack has done what is named.
INTERRUPTED = """
import gc, jack
control = jack.Client("control", no_start_server=True)

class Interrupting:
    def __init__(self, library):
        self.library = library

    def __getattr__(self, name):
        return getattr(self.library, name)

    def FUNCTION(self, *args):
        done = self.library.FUNCTION(*args)
        jack._lib = self.library
        os.kill(os.getpid(), signal.SIGINT)
        # Handlers run in the main thread, which may be another one.
        until(lambda: interrupted or threading.current_thread() is threading.main_thread())
        return done

def interrupt(*_):
    interrupted.append(True)
    raise KeyboardInterrupt

def is_client(name):
    try:
        return bool(control.get_uuid_for_client_name(name))
    except jack.JackError:
        return False

interrupted = []
signal.signal(signal.SIGINT, interrupt)
jack._lib = Interrupting(jack._lib)
try:
    CALL
except KeyboardInterrupt:
    gc.collect()
    until(lambda: not is_client("pong"))
    report(interrupted=True)
control.close()
"""


@pytest.mark.parametrize("function", ["jack_client_open", "jack_client_close"])
@pytest.mark.parametrize(
    "call", ['pong.query_devices("jack")', 'pong.InputStream(backend="jack", channels=1, samplerate=1)']
)
def test_a_client_that_ctrl_c_interrupts_is_closed_once(synchronous, tmp_path, function, call):
    """Closed twice it would crash the program, and never it would be taken for a defect by its server."""
    assert reports(tmp_path, INTERRUPTED.replace("FUNCTION", function).replace("CALL", call)) == [{"interrupted": True}]
