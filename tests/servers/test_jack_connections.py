"""Whom a stream of a JACK server is connected to, and from when on: none of what is sent goes nowhere."""

import pytest
from needs import needs_all
from servers import Jackd, reports

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


# With a client that takes its time the server connects ports some time after it has said that it has.
LATE = """
import jack
late = jack.Client("late", no_start_server=True)

@late.set_process_callback
def process(frames):
    time.sleep(0.05)

late.inports.register("in")
late.activate()
BLOCK = 128
options = {"backend": "jack", "channels": 1, "stall_timeout": 20}
nobody = pong.JackSettings(client_name="recorder", connect=False)
with pong.InputStream(buffers=256, extra_settings=nobody, **options) as recorder:
    for seed in range(3):
        sound, heard = signal_of(5 * BLOCK, 1, seed), Trimmed()
        player = pong.OutputStream(device="recorder", **options)
        bufs = [player.acquire() for _ in range(5)]
        for buf, part in zip(bufs, np.split(sound, 5)):
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
        report(exact=heard.equals(sound))
    recorder.abort()
late.deactivate()
late.close()
"""


@pytest.mark.parametrize("sync", [True, False])
def test_a_stream_begins_when_it_is_connected(sync, tmp_path):
    with Jackd(48000, 128, sync=sync):
        found = reports(tmp_path, LATE)
    assert found == [{"exact": True}] * 3
