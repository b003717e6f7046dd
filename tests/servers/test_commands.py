"""The commands `pong record`, `play`, `devices` and `loopback` on a JACK server, directly and by PortAudio."""

import functools
import json
import os
import signal
import subprocess
import threading

import numpy as np
import pytest
import soundfile
from commands import VOICE, assert_refused, ended, pong, result_of, running, samples_of
from needs import needs_all
from programs import until
from servers import Jackd

needs_all("jack sounddevice soundfile", "jackd jack_lsp", "jack portaudio")

RATE, PERIOD = 48000, 128

# Each a program of its own, which finds the server by the environment.
alone = functools.partial(pong, env=os.environ)


@pytest.fixture(scope="module")
def one_server():
    """A server for all of these tests, with a card that hears silence."""
    with Jackd(RATE, PERIOD) as server:
        yield server


@pytest.fixture
def jackd(one_server):
    """Return a server that runs: a test may have killed it."""
    if not one_server.running:
        one_server.start()
    return one_server


def connections():
    """Return the connections of the server's ports, as jack_lsp prints them."""
    return subprocess.run(["jack_lsp", "-c"], capture_output=True, text=True, check=True).stdout


def counted(done):
    """Return the JSON that a command printed: on a busy machine the server is late, and its clock tells of losses."""
    result = json.loads(done.stdout)
    missing = result["lost" if "lost" in result else "underflow"]
    assert (done.returncode, done.stderr.count("\n")) == ((1, 1) if missing else (0, 0)), done.stderr
    return result


def name_of(folder, kind):
    """Return the PortAudio name of the JACK server's card."""
    found = json.loads(alone("devices", "--json", cwd=folder).stdout)
    (name,) = (each["name"] for each in found if each["backend"] == "portaudio" and each["kind"] == kind)
    return name


def test_devices(tmp_path, jackd):
    done = alone("devices", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    found = {(each["name"], each["kind"], each["channels"], each["samplerate"]) for each in json.loads(done.stdout)}
    assert {("jack:system", kind, 2, RATE) for kind in ("input", "output")} <= found


@pytest.mark.parametrize("backend", ["jack", "jack:system", "portaudio", "portaudio:"])
def test_a_recording_has_the_length_asked_for(tmp_path, jackd, backend):
    device = name_of(tmp_path, "input") if backend == "portaudio:" else backend
    options = ["--seconds", 0.5001, "--channels", 2, "--json"]
    result = counted(alone("record", "out.wav", "--input", device, *options, cwd=tmp_path))
    assert (result["frames"] + result["lost"], result["channels"]) == (round(0.5001 * RATE), 2)
    info = soundfile.info(tmp_path / "out.wav")
    assert (info.frames, info.samplerate, info.subtype) == (result["frames"], RATE, "FLOAT")


@pytest.mark.parametrize("period", [None, 100])
def test_portaudio_s_integers(tmp_path, jackd, period):
    """The card hears silence; what counts is the format and that callbacks of any size fill the blocks."""
    options = ["--input", name_of(tmp_path, "input"), "--dtype", "int24", "--channels", 1]
    options += [] if period is None else ["--callback-size", period]
    result = counted(alone("record", "out.wav", *options, "--seconds", 0.3, "--json", cwd=tmp_path))
    assert result["frames"] + result["lost"] == round(0.3 * RATE)
    info = soundfile.info(tmp_path / "out.wav")
    assert (info.frames, info.channels, info.subtype) == (result["frames"], 1, "PCM_24")


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_from_one_process_into_another(tmp_path, jackd, subtype):
    """What is played is what is recorded, bit by bit, while the server waits for its clients in each period.

    JACK connects the ports of a client that runs already, so the sound begins after a silence.
    """
    rng = np.random.default_rng(4)
    sound = np.concatenate([np.zeros(RATE // 2), rng.uniform(-1, 1, RATE)])
    soundfile.write(tmp_path / "in.wav", sound, RATE, subtype=subtype)
    options = ["--input", "jack:system", "--channels", 1, "--buffers", 256]
    with running("record", "out.wav", *options, cwd=tmp_path) as recorder:
        until(lambda: "system:capture_1\n   pong:input_1" in connections())
        spin = threading.Thread(target=sum, args=(range(30_000_000),), daemon=True)
        spin.start()
        options = ["--output", "jack:pong", "--buffers", 256, "--json"]
        result = counted(alone("play", "in.wav", *options, cwd=tmp_path))
        recorder.send_signal(signal.SIGINT)
        code, printed, err = ended(recorder)
    # Lost by the clock of a server that is late, which waits for its clients all the same: nothing is missing.
    assert (code, "frames were lost" in err) == (130, " 0 lost\n" not in printed)
    assert result["frames"] == len(sound)
    heard = samples_of(tmp_path / "out.wav", "float32")[:, 0]
    noise = samples_of(tmp_path / "in.wav", "float32")[RATE // 2 :, 0]
    begin = np.flatnonzero(heard)[0] - np.flatnonzero(noise)[0]
    np.testing.assert_array_equal(heard[begin : begin + len(noise)], noise)
    assert not heard[begin + len(noise) :].any()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("backend", ["jack", "portaudio"])
def test_a_recording_that_is_interrupted(tmp_path, jackd, number, backend):
    out = tmp_path / "out.wav"
    with running("record", out, "--input", backend, cwd=tmp_path) as process:
        until(lambda: process.poll() is not None or (out.exists() and out.stat().st_size > 100_000))
        process.send_signal(number)
        code, printed, err = ended(process)
    assert (code, "frames were lost" in err) == (128 + number, " 0 lost\n" not in printed)
    frames = soundfile.info(out).frames
    assert frames > 10_000
    assert printed.startswith(f"{out}: {frames} frames in ")


@pytest.mark.parametrize("backend", ["jack", "portaudio"])
def test_a_server_that_is_killed(tmp_path, jackd, backend):
    """One line, exit code 1, and what was recorded is kept."""
    out = tmp_path / "out.wav"
    with running("record", out, "--input", backend, "--channels", 2, cwd=tmp_path) as process:
        until(lambda: process.poll() is not None or (out.exists() and out.stat().st_size > 100_000))
        jackd.kill()
        code, printed, err = ended(process)
    assert (code, printed) == (1, "")
    assert err.count("\n") == 1, err
    assert err.startswith("pong: the device ")
    assert soundfile.info(out).frames > 10_000
    assert samples_of(out).shape[1] == 2


@pytest.mark.parametrize("backend", ["jack", "portaudio"])
def test_a_server_that_is_killed_under_a_player(tmp_path, jackd, backend):
    options = ["--output", backend, "--seconds", 1000]
    with running("play", "tone", *options, cwd=tmp_path) as process:
        until(lambda: process.poll() is not None or "system:playback_1\n   " in connections())
        jackd.kill()
        code, printed, err = ended(process)
    assert (code, printed) == (1, "")
    assert err.count("\n") == 1, err
    assert err.startswith("pong: the device ")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["play", VOICE, "--output", "jack"], "samplerate is 48000 on this JACK server, not 22050"),
        (["play", VOICE, "--output", "jack"], "22050 Hz, 1 channel, float32; pong does not convert"),
        (["play", VOICE, "--output", "portaudio"], "22050 Hz, 1 channel, int16; pong does not convert"),
        (["play", "tone", "--output", "jack", "--dtype", "int16"], "dtype must be one of float32 for backend 'jack'"),
        (["record", "out.wav", "--input", "jack:nobody"], "JACK has no output port whose name has 'nobody' in it"),
        (["record", "out.wav", "--input", "jack", "--dtype", "int24"], "dtype must be one of float32"),
        (["record", "out.wav", "--input", "jack", "--samplerate", "44100"], "samplerate is 48000 on this JACK server"),
        (["record", "out.wav", "--input", "jack", "--callback-size", "100"], "callback_size is 128 on this JACK"),
        (["record", "out.wav", "--input", "portaudio:99"], "99"),
        (["record", "out.wav", "--input", "portaudio", "--dtype", "float64"], "not 'float64'"),
        (["record", "out.flac", "--input", "jack"], "FLAC cannot hold the input's sample format, FLOAT"),
        (["record", "out.wav", "--input", "jack", "--seconds", "1e-9"], "seconds must be a frame or more"),
    ],
)
def test_what_is_refused(tmp_path, jackd, arguments, text):
    if "portaudio" in " ".join(map(str, arguments)):
        assert_refused(alone(*arguments, cwd=tmp_path), text)
    assert list(tmp_path.iterdir()) == []


def test_the_loopback_is_exact(tmp_path, jackd):
    """A client hears what it has played one period later; where the server was late, it is measured again."""
    for _ in range(10):
        options = ["--device", "jack", "--wire", "--seconds", 0.5, "--json"]
        result = result_of(alone("loopback", *options, cwd=tmp_path))
        if not result["lost"]:
            break
    assert (result["found"], result["exact"], result["latency"]) == (True, True, PERIOD)
    assert (result["frames"], result["lost"], result["underflow"]) == (RATE // 2, 0, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_loopback_that_is_interrupted(tmp_path, jackd, number):
    """It leaves its server, which takes a client that has vanished for a defect."""
    with running("loopback", "--device", "jack", "--wire", "--seconds", 4, cwd=tmp_path) as process:
        until(lambda: process.poll() is not None or "pong loopback" in connections())
        process.send_signal(number)
        assert ended(process) == (128 + number, "", "")
    assert "pong loopback" not in connections()


def test_a_loopback_that_is_not_wired(tmp_path, jackd):
    done = alone("loopback", "--device", "jack", "--seconds", 0.1, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "jack: the noise did not come back\n", "")
