"""How streams end: callbacks that raise, files that fail, dropped, forked, and at the end of the interpreter."""

import gc

import numpy as np
import pytest
import soundfile
from programs import run
from test_full_disk import small_disk

import pong

RATE = 24000


def ramp(frames, channels=1, dtype="int32"):
    """Return samples that are all different, so that any mistake of place shows."""
    return np.arange(1, frames * channels + 1, dtype=dtype).reshape(frames, channels)


# --- callbacks of Python


def test_the_callback_of_an_input():
    def callback(indata, frames, time, status):
        assert isinstance(time, pong.StreamTime)
        assert isinstance(status, pong.CallbackFlags)
        seen.append((indata.copy(), frames, round(time.inputBufferAdcTime * RATE), bool(status)))

    seen, array = [], ramp(250, 2)
    with pong.InputStream(RATE, 100, array, callback=callback) as stream:
        assert stream.wait(60)
        for call in (stream.recv, stream.fileno):
            with pytest.raises(TypeError, match="has no buffers"):
                call()
    np.testing.assert_array_equal(np.concatenate([each[0] for each in seen]), array)
    assert [each[1:] for each in seen] == [(100, 0, False), (100, 100, False), (50, 200, False)]


def test_the_callback_of_an_output():
    def callback(outdata, frames, time, status):
        assert len(outdata) == frames
        outdata[:] = len(calls) + 1
        calls.append(time.outputBufferDacTime)
        if len(calls) == 3:
            stream.stop(wait=False)

    calls, sink = [], np.zeros(1000, "int32")
    with pong.OutputStream(RATE, 100, sink, callback=callback) as stream:
        assert stream.wait(60)
        with pytest.raises(TypeError, match="takes no buffers"):
            stream.acquire()
    assert sink[:300].tolist() == sorted([1, 2, 3] * 100)
    assert not sink[300:].any()


def test_the_callback_of_both():
    def callback(indata, outdata, frames, time, status):
        outdata[:] = -indata

    sink = np.zeros(1003, "int32")
    with pong.Stream(RATE, 64, (ramp(1003), sink), callback=callback) as stream:
        assert stream.wait(60)
    np.testing.assert_array_equal(sink, -ramp(1003)[:, 0])


@pytest.mark.parametrize("how", ["wait", "stop", "abort", "with"])
def test_a_callback_that_raises(how):
    """It is told once, with the error itself as its cause, and never again."""

    def callback(*_):
        calls.append(1)
        raise KeyError("mine")

    calls = []
    stream = pong.InputStream(RATE, 64, ramp(1000), callback=callback)
    told = pytest.raises(pong.StreamError, match="the callback raised KeyError: 'mine'")
    with told as caught, stream:
        while stream.active:
            pass
        if how != "with":
            getattr(stream, how)()
    assert isinstance(caught.value.__cause__, KeyError)
    assert calls == [1]
    stream.stop()
    stream.abort()
    stream.close()


# --- files that fail


@pytest.mark.parametrize("kept", [0.9, 0.5, 0.1])
def test_a_truncated_flac(tmp_path, kept):
    """Every frame that can be decoded is delivered, then the stream has failed for everybody who receives."""
    speech = np.random.default_rng(1).integers(-3000, 3000, (100_000, 1), "int16")
    path = tmp_path / "in.flac"
    soundfile.write(path, speech, RATE)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    blocks = []
    with pong.InputStream(device=path, blocksize=1000) as stream:
        with pytest.raises(pong.StreamError, match=r"the device failed: ValueError: .*in\.flac: truncated") as caught:
            blocks.extend(buf.copy() for buf in stream)
        assert isinstance(caught.value.__cause__, ValueError)
        with pytest.raises(pong.StreamError, match="truncated"):
            stream.recv()
        # Who leaves the `with` has been told.
    got = np.concatenate(blocks)
    np.testing.assert_array_equal(got, speech[: len(got)])
    # Noise is compressed evenly: all but the FLAC frame of 4096 that was cut, and what varies, is there.
    assert len(got) > kept * len(speech) - 6000


@pytest.mark.parametrize("how", ["stop", "send"])
def test_a_full_disk(tmp_path, how):
    """The recording so far is kept, and playable; the program is told, once."""
    noise = np.random.default_rng(1).integers(-3000, 3000, 200_000, "int16")
    out = tmp_path / "out.wav"
    told = pytest.raises(pong.StreamError, match=r"the device failed: OSError.*File too large")
    with small_disk(), told as caught, pong.OutputStream(RATE, 1000, out, 1, "int16", buffers=2) as stream:
        if how == "send":
            while True:
                stream.write(noise)
        stream.write(noise)
    assert isinstance(caught.value.__cause__, OSError)
    stream.stop()
    assert stream.closed
    found = soundfile.read(out, dtype="int16")[0]
    assert 0 < len(found) < len(noise)
    np.testing.assert_array_equal(found, noise[: len(found)])
    assert stream.output_pool.free == 2


def test_no_room_at_all(tmp_path):
    (tmp_path / "full.wav").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        pong.OutputStream(RATE, 64, tmp_path / "full.wav")


# --- dropped


def streams(tmp_path):
    """Return running streams of each kind."""
    endless = pong.VirtualSettings(speed=1)
    soundfile.write(tmp_path / "in.wav", ramp(100_000, 1, "int16"), RATE)
    made = [
        pong.InputStream(device="tone"),
        pong.InputStream(device=tmp_path / "in.wav", buffers=2),
        pong.InputStream(RATE, 64, ramp(100_000), extra_settings=endless),
        pong.OutputStream(device=tmp_path / "out.wav"),
        pong.Stream(device=("tone", tmp_path / "both.wav")),
        pong.InputStream(device="tone", callback=lambda *_: None),
        pong.OutputStream(callback=lambda *_: None),
        pong.Stream(callback=lambda *_: None),
    ]
    for stream in made:
        stream.start()
    return made


def test_dropped_while_it_runs(tmp_path):
    """The thread ends and the file is whole; with a callback at the next collection. The books, too, are checked."""
    made = streams(tmp_path)
    made.pop(3).write(np.ones(10, "float32"))
    made.clear()
    gc.collect()
    assert soundfile.info(tmp_path / "out.wav").frames <= 10


# --- processes

KINDS = {
    "input": "pong.InputStream(device='tone')",
    "full input": "pong.InputStream(48000, 64, np.zeros(10**6), buffers=2)",
    "file": "pong.InputStream(device=os.environ['VOICE'], blocksize=64, buffers=2)",
    "output": "pong.OutputStream(device='out.wav')",
    "null": "pong.OutputStream(device='null')",
    "both": "pong.Stream(device=('tone', 'out.wav'))",
    "stepped": "pong.InputStream(device='tone', extra_settings=pong.VirtualSettings(speed=None))",
    "input callback": "pong.InputStream(device='tone', callback=lambda *_: sum(range(1000)))",
    "output callback": "pong.OutputStream(callback=lambda *_: None, device='out.wav')",
    "both callback": "pong.Stream(callback=lambda *_: None)",
    "fast callback": "pong.InputStream(48000, 1, np.zeros(10**7), callback=lambda *_: None)",
}


@pytest.fixture(autouse=True)
def voice(monkeypatch):
    """Tell programs where our speech is."""
    monkeypatch.setenv("VOICE", __file__.replace("tests/test_streams_ends.py", "pong/examples/voice.wav"))


@pytest.mark.parametrize("kind", KINDS)
def test_running_at_the_end_of_the_interpreter(tmp_path, kind):
    """It ends by itself, with code 0 and without a word."""
    code = f"stream = {KINDS[kind]}\nstream.start()\n"
    if kind == "output":
        code += "stream.write(np.ones(10, 'float32'))"
    elif "input" in kind and "callback" not in kind:
        code += "held = stream.recv()"
    assert run(tmp_path, code) == ""
    for path in tmp_path.glob("*.wav"):
        assert soundfile.info(path).samplerate == 48000


@pytest.mark.parametrize("kind", KINDS)
def test_forked_while_it_runs(tmp_path, kind):
    """The child can let it go, or end with it; the parent's goes on, and its file is the parent's alone."""
    code = f"""
    stream = {KINDS[kind]}
    stream.start()
    for ending in ("close", "stop", "del", "exit"):
        pid = os.fork()
        if not pid:
            assert stream._receiver is None or not list(stream)
            if ending == "close":
                stream.close()
            elif ending == "stop":
                stream.stop()
            elif ending == "del":
                del stream
            if ending == "exit":
                sys.exit()
            os._exit(0)
        assert os.waitpid(pid, 0) == (pid, 0), ending
    position = stream.position
    if stream._receiver is not None and stream._sender is None:
        if stream._setup.speed is not None:
            stream.recv(60).release()
    elif not stream._receiver and stream._sender:
        stream.write(np.arange(5000, dtype="float32") / 5000)
        stream.stop()
    stream.close()
    """
    run(tmp_path, code)
    if kind == "output":
        played = soundfile.read(tmp_path / "out.wav", dtype="float32")[0]
        np.testing.assert_array_equal(played, np.arange(5000, dtype="float32") / 5000)
