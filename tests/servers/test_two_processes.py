"""A player and a recorder in two processes, through a synchronous JACK server, while Python is busy in both."""

import json
import subprocess
import sys

import numpy as np
from needs import needs, needs_all
from observe import wait_until
from programs import PATIENCE, finish, program
from servers import CONTROL

needs_all("jack soundfile", "jackd jack_lsp jack_connect jack_capture", "jack")

FRAMES = 96000
OPTIONS = 'backend="jack", blocksize=256, channels=2, buffers=512'

# As fast as real time at most: in freewheel the server would wait for each of two programs by turns.
PLAYER = f"""
import jack
spin()
control = jack.Client("control", no_start_server=True)
sound = signal_of({FRAMES}, 2)
settings = pong.JackSettings(client_name="player", connect=False)
with pong.OutputStream({OPTIONS}, extra_settings=settings) as stream:
    report(ready=True)
    # Wait until somebody hears both channels.
    until(lambda: all(control.get_all_connections(port) for port in ports(control, "player", "is_output")))
    # All that is to be played is there before the first of it: nothing is late, however busy Python is.
    bufs = []
    for at in range(0, len(sound), 256):
        bufs.append(stream.acquire())
        bufs[-1].write(sound[at:at + 256])
    stream.sender.send_many(bufs)
report(played=len(sound))
"""

RECORDER = f"""
spin()
sound, heard = signal_of({FRAMES}, 2), Trimmed()
settings = pong.JackSettings(client_name="recorder", connect=False)
with pong.InputStream({OPTIONS}, extra_settings=settings) as stream:
    report(ready=True)
    while heard.frames < len(sound):
        with stream.recv(60) as buf:
            heard.add(buf)
report(exact=heard.equals(sound), blocks=heard.blocks, gap=heard.gap, lost=stream.lost)
"""


def ready(process):
    assert json.loads(process.stdout.readline()) == {"ready": True}


def connect(source, sink):
    subprocess.run(["jack_connect", source, sink], check=True, capture_output=True, timeout=PATIENCE)


def test_a_player_and_a_recorder_that_spin(synchronous, tmp_path):
    folders = [tmp_path / name for name in ("player", "recorder")]
    for folder in folders:
        folder.mkdir()
    with program(folders[0], CONTROL + PLAYER) as player, program(folders[1], CONTROL + RECORDER) as recorder:
        ready(player)
        ready(recorder)
        for number in (1, 2):
            connect(f"player:output_{number}", f"recorder:input_{number}")
        found = json.loads(finish(recorder))
        assert json.loads(finish(player)) == {"played": FRAMES}
    assert found["exact"]
    assert found["blocks"] >= FRAMES // 256
    assert found["gap"] == 0


def test_jack_capture_hears_what_pong_plays(synchronous, tmp_path):
    """Another program than pong records what `pong play` plays, as float32, and has every bit of it."""
    soundfile = needs("soundfile")
    sound = np.random.default_rng(1).uniform(0.1, 1, (FRAMES, 2)).astype("float32")
    soundfile.write(tmp_path / "sound.wav", sound, 48000, subtype="FLOAT")
    command = ["jack_capture", *"--daemon --manual-connections -c 2 -b FLOAT -f wav -fn recording.wav".split()]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=tmp_path, **quiet) as capture:
        try:
            wait_until(lambda: len(heard_by("jack_capture")) == 2)
            play = "-m pong play sound.wav --output jack:jack_capture --buffers 512".split()
            subprocess.run([sys.executable, *play], cwd=tmp_path, check=True, timeout=PATIENCE, **quiet)
            capture.terminate()
            capture.wait(PATIENCE)
        finally:
            capture.kill()
    heard, rate = soundfile.read(tmp_path / "recording.wav", dtype="float32", always_2d=True)
    assert rate == 48000
    begin = np.flatnonzero(heard.any(axis=1))[0]
    np.testing.assert_array_equal(heard[begin : begin + FRAMES], sound)


def heard_by(client):
    """Return the ports of a client that can be played to."""
    listed = subprocess.run(["jack_lsp", client], check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
    return [line for line in listed.splitlines() if line.startswith(f"{client}:")]
