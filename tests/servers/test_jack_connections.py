"""Whom a stream of a JACK server is connected to, and from when on: none of what is sent goes nowhere."""

import pytest
from needs import needs_all
from servers import Jackd, reports

from pong import StreamError
from pong.streams.jack_client import connect_ports

needs_all("jack", "jackd jack_lsp", "jack")

NAMES = """
import jack
opened = []
for name in ("rec", "recorder"):
    settings = pong.JackSettings(client_name=name, connect=False)
    opened.append(pong.OutputStream(backend="jack", channels=1, extra_settings=settings))
    opened[-1].start()
other = jack.Client("bridge", no_start_server=True)
for name in ("one: left", "two: left"):
    other.outports.register(name)
# The server waits for an active client that has none.
other.set_process_callback(lambda frames: None)
other.activate()
for device in pong.query_devices("jack"):
    if device.kind == "input":
        with pong.InputStream(device=device.name) as stream:
            stream.recv(30).release()
            control = other.get_ports("pong:", is_input=True)
            sources = [port.name for each in control for port in other.get_all_connections(each)]
            report(device=device.name, channels=device.channels, sources=sources)
            stream.abort()
for each in (*opened, other):
    each.close()
"""


def test_each_device_that_is_listed_is_one_client(synchronous, tmp_path):
    """Though another's name begins with its own, and whatever its ports are called."""
    found = {each["device"]: (each["channels"], each["sources"]) for each in reports(tmp_path, NAMES)}
    assert found == {
        "jack:system": (2, ["system:capture_1", "system:capture_2"]),
        "jack:rec": (1, ["rec:output_1"]),
        "jack:recorder": (1, ["recorder:output_1"]),
        "jack:bridge": (2, ["bridge:one: left", "bridge:two: left"]),
    }


# With a client that takes its time the server connects ports some time after it has said that it has. And of two ports
# one is connected already, as by a patchbay, and the other to somebody else.
LATE = """
import jack
late = jack.Client("late", no_start_server=True)
for number in "12":
    late.inports.register("in_" + number)
    late.outports.register("out_" + number)

@late.set_process_callback
def process(frames):
    for port in late.outports:
        port.get_array()[:] = 0.5
    time.sleep(0.1)

late.activate()
connect = jack.Client.connect

def connect_slowly(self, source, sink):
    if getattr(source, "name", source) == "player:output_1":
        others = [("player:output_1", "recorder:input_1"), ("player:output_2", "late:in_2")]
        jack.Client.connect = connect
        connect_ports(late, others, 60)
        jack.Client.connect = connect_slowly
    connect(self, source, sink)

jack.Client.connect = connect_slowly
BLOCK = 1024
options = {"backend": "jack", "blocksize": BLOCK, "channels": 2, "stall_timeout": 20}
names = {name: pong.JackSettings(client_name=name) for name in ("player", "listener")}
names["recorder"] = pong.JackSettings(client_name="recorder", connect=False)
with pong.InputStream(buffers=256, extra_settings=names["recorder"], **options) as recorder:
    for seed in range(3):
        sound, heard = signal_of(3 * BLOCK, 2, seed), Trimmed()
        player = pong.OutputStream(device="recorder", extra_settings=names["player"], **options)
        bufs = [player.acquire() for _ in range(3)]
        for buf, part in zip(bufs, np.split(sound, 3)):
            buf.write(part)
        player.sender.send_many(bufs)
        player.sender.close()
        player.start()
        player.wait(60)
        player.close()
        blocks = 0
        # All of it is on its way.
        while heard.frames < len(sound) and blocks < 100:
            with recorder.recv(60) as buf:
                heard.add(buf)
            blocks += 1
        with pong.InputStream(device="late", extra_settings=names["listener"], **options) as listener:
            with listener.recv(60) as buf:
                first = [bool((buf.samples == 0.5).all()), buf.position, buf.gap]
            listener.abort()
        report(exact=heard.equals(sound), first=first)
    recorder.abort()
late.deactivate()
late.close()
"""


def test_a_stream_begins_when_it_is_connected(tmp_path):
    """To what it is to be, and in all channels; what happened before is nothing to it."""
    # A server that waits for nobody: its cycles are long, so that nobody but the late client is late.
    with Jackd(48000, 1024, sync=False):
        found = reports(tmp_path, LATE)
    assert found == [{"exact": True, "first": [True, 0, 0]}] * 3


IGNORED = """
import jack, unittest.mock
other = jack.Client("other", no_start_server=True)
late = threading.Event()
late.set()

@other.set_process_callback
def process(frames):
    if not late.is_set():
        time.sleep(0.05)
        late.set()

other.activate()
# A server that has much to do may be late just when the stream begins, too.
for _ in range(5):
    with pong.InputStream(backend="jack", channels=1, stall_timeout=STALL) as stream:
        now = stream.time
        # As on a server that is half a day old.
        with unittest.mock.patch.object(jack.Client, "frame_time", 2**31 + 48000):
            old = stream.time * stream.samplerate
        late.clear()
        assert late.wait(30)
        with stream.recv(30) as buf:
            status = buf.status
            report(ahead=buf.time - now, begin=[buf.position, buf.gap], status=status, old=round(old),
                   xruns=stream.stats().xruns)
        stream.abort()
    if status == 0:
        break
other.deactivate()
other.close()
"""


@pytest.mark.parametrize("stall", [0.5, 2])
def test_a_stream_that_is_never_connected_begins_all_the_same(stall, tmp_path):
    """Which is no stall, for the server calls it. Its clock is the server's, and losses from before are not its own."""
    with Jackd(48000, 128, own="a"):
        found = reports(tmp_path, IGNORED.replace("STALL", str(stall)))
    for each in found:
        assert each["begin"] == [0, 0]
        assert each["xruns"] >= 1
        assert 0.5 < each["ahead"] < 30
        assert each["old"] == 2**31 + 48000
    assert found[-1]["status"] == 0


REFUSED = """
import jack
with pong.BufferPool(4, 64, 1) as pool:
    stream = pong.InputStream(backend="jack", pool=pool)
    try:
        stream.start()
    except pong.StreamError as error:
        report(error=str(error), home=pool.free == len(pool))
control = jack.Client("control", no_start_server=True)
try:
    connect_ports(control, [("nobody:out", "system:playback_1")], 60)
except pong.StreamError as error:
    report(error=str(error))
control.close()
"""


def test_a_server_that_refuses(tmp_path):
    """To connect what is there, and what is not."""
    with Jackd(48000, 128, own="A"):
        own, nobody = reports(tmp_path, REFUSED)
    assert own["error"].startswith("JACK refuses: ")
    assert own["home"]
    assert nobody["error"].startswith("JACK refuses: ")


def test_what_is_never_connected_is_told():
    """Where somebody else's ports are wired, and sound is sent into them at once."""

    class Ignoring:
        connect = staticmethod(lambda source, sink: None)
        get_all_connections = staticmethod(lambda source: [])

    with pytest.raises(StreamError, match="did not connect a:out to b:in within 0 s"):
        connect_ports(Ignoring, [("a:out", "b:in")], 0)
