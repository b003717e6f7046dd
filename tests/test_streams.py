"""`InputStream`, `OutputStream`, `Stream`: arguments and attributes as sounddevice's, defaults, and bad arguments."""

import select
import sys

import numpy as np
import pytest
import soundfile
from programs import Thread

import pong
from pong.streams import stream as stream_module

RATE = 24000


def ramp(frames, channels=1, dtype="int32"):
    """Return samples that are all different, so that any mistake of place shows."""
    return np.arange(1, frames * channels + 1, dtype=dtype).reshape(frames, channels)


def virtual(callback_size=128, speed=0, **options):
    """Return settings of a device."""
    return pong.VirtualSettings(callback_size=callback_size, speed=speed, **options)


@pytest.fixture
def wav(tmp_path):
    """Return a stereo file of 1001 frames, 24000 of them in a second."""
    soundfile.write(tmp_path / "in.wav", ramp(1001, 2, "int16"), RATE)
    return tmp_path / "in.wav"


# --- defaults and attributes


def test_the_file_is_the_default(wav):
    with pong.InputStream(device=str(wav)) as stream:
        assert (stream.samplerate, stream.channels, stream.dtype, stream.subtype) == (RATE, 2, np.int16, "PCM_16")
        assert (stream.blocksize, len(stream.pool), stream.pool.samplerate) == (1024, 16, RATE)
        assert (stream.device, stream.latency) == (str(wav), 0.1)
        assert [buf.frames for buf in stream] == [1001]


@pytest.mark.parametrize("dtype", ["int32", "float32", "float64"])
def test_a_file_as_another_dtype(wav, dtype):
    with pong.InputStream(RATE, 2000, wav, 2, dtype) as stream, stream.recv() as buf:
        np.testing.assert_array_equal(buf.samples, soundfile.read(wav, dtype=dtype)[0])


@pytest.mark.parametrize("device", [None, "silence", "tone", "tone:1000", "sweep:20-2000"])
def test_generated_sound(device):
    extra = virtual(100, seconds=0.1)
    with pong.InputStream(8000, 64, device, 2, "int16", extra_settings=extra) as stream:
        assert (stream.samplerate, stream.channels, stream.dtype) == (8000, 2, np.int16)
        sound = np.concatenate([buf.copy() for buf in stream])
    assert sound.shape == (800, 2)
    assert sound.any() == (device not in (None, "silence"))
    np.testing.assert_array_equal(sound[:, 0], sound[:, 1])


def test_endless_sound_has_a_clock_and_the_rest_has_none(wav, tmp_path):
    """Without a clock the time is that of the position."""
    assert pong.VirtualSettings().speed == "auto"
    for stream in (
        pong.InputStream(device=wav), pong.InputStream(RATE, device=ramp(100)), pong.InputStream(
            device="tone", extra_settings=pong.VirtualSettings(seconds=1)
        ), pong.OutputStream(RATE, 64, tmp_path / "a.wav"), pong.OutputStream(RATE, 64, np.zeros(100, "float32")),
        pong.Stream(device=(wav, None)),
    ):  # fmt: skip
        stream.start()
        assert stream.time == stream.position / stream.samplerate == 0 or stream.position > 0
        stream.close()
    made = [kind(backend="virtual") for kind in (pong.InputStream, pong.OutputStream, pong.Stream)]
    for stream in [*made, pong.OutputStream(device="null")]:
        with stream:
            before = stream.time
            while stream.time == before:
                pass
            if hasattr(stream, "receiver"):
                stream.recv().release()


def test_life():
    stream = pong.InputStream(RATE, 64, ramp(100), extra_settings=virtual(64, None))
    assert (stream.active, stream.stopped, stream.closed) == (False, True, False)
    stream.start()
    assert (stream.active, stream.stopped, stream.closed) == (True, False, False)
    assert stream.step()
    assert not stream.step(5)
    assert (stream.active, stream.closed) == (False, False)
    assert stream.wait(0)
    stream.stop()
    assert stream.stopped
    stream.close()
    stream.close()
    assert (stream.active, stream.stopped, stream.closed) == (False, True, True)
    assert stream.pool.free == len(stream.pool)


def test_started_once():
    with pong.InputStream(RATE, 64, ramp(100)) as stream:
        with pytest.raises(pong.StreamError, match="started once"):
            stream.start()
        assert sum(buf.frames for buf in stream) == 100
        stream.stop()
        with pytest.raises(pong.StreamError, match="started once"):
            stream.start()


def test_after_close():
    heard, played = pong.InputStream(RATE, 64, ramp(100)), pong.OutputStream(RATE, 64, np.zeros(9, "float32"))
    for stream in (heard, played):
        stream.close()
        with pytest.raises(pong.ClosedError):
            stream.start()
        stream.stop()
        stream.abort()
    for call in (heard.recv, heard.recv_nowait, heard.drain, heard.fileno):
        with pytest.raises(pong.ClosedError):
            call()
    assert list(heard) == []
    with played.acquire() as buf, pytest.raises(pong.ClosedError):
        played.send(buf)
    with pytest.raises(pong.ClosedError):
        played.write(np.zeros(3, "float32"))
    assert played.output_pool.free == 16


def test_never_started():
    """What is written is finished at close, though nothing was played."""
    stream = pong.OutputStream(RATE, 64, np.zeros(100, "float32"))
    stream.write(np.ones(50, "float32"))
    stream.stop()
    stream.close()
    assert stream.output_pool.free == 16


def test_an_output_file_is_whole_after_close_alone(tmp_path):
    for name, start in (("a.wav", True), ("b.wav", False)):
        stream = pong.OutputStream(RATE, 64, tmp_path / name)
        if start:
            stream.start()
            assert stream.wait(0) is False
        stream.close()
        assert soundfile.info(tmp_path / name).frames == 0


def test_an_error_in_the_with_block_is_the_one_that_comes_out(tmp_path):
    made = pong.OutputStream(RATE, 64, tmp_path / "a.wav")
    with pytest.raises(KeyError, match="mine"), made as stream:  # noqa: PT012
        stream.write(np.ones(100, "float32"))
        raise KeyError("mine")
    assert stream.closed
    assert soundfile.info(tmp_path / "a.wav").frames <= 100


def test_stop_without_waiting():
    """As in a signal handler: the loop gets what was heard, and ends."""
    with pong.InputStream(RATE, 64, "tone", extra_settings=virtual(64)) as stream:
        frames = 0
        for buf in stream:
            with buf:
                frames += buf.frames
            if frames == 640:
                stream.stop(wait=False)
        assert stream.wait(60)
        assert frames == stream.position >= 640


def test_wait():
    with pong.InputStream(RATE, 64, ramp(10_000), buffers=2) as stream:
        assert stream.wait(0) is False
        for buf in stream:
            buf.release()
        assert stream.wait() is True
    assert pong.InputStream(RATE, 64, ramp(10)).wait(0) is False


def test_select():
    with pong.InputStream(RATE, 64, ramp(1000), buffers=3) as stream:
        frames = 0
        with pytest.raises(pong.ClosedError):  # noqa: PT012
            while select.select([stream], [], [], 60)[0]:
                try:
                    with stream.recv_nowait() as buf:
                        frames += buf.frames
                except pong.Empty:
                    continue
        assert frames == 1000
        assert stream.poll()


def test_recv_from_several_threads():
    """Each block goes to exactly one of them, and each of them gets to the end."""

    def receive():
        return [(buf.position, buf.copy()) for buf in stream]

    array = ramp(50_000)
    with pong.InputStream(RATE, 64, array) as stream:
        threads = [Thread(receive) for _ in range(4)]
        blocks = sorted((block for thread in threads for block in thread.join()), key=lambda block: block[0])
    np.testing.assert_array_equal(np.concatenate([samples for _, samples in blocks]), array)


def test_wrong_methods(tmp_path):
    with pong.InputStream(RATE, 64, ramp(100)) as stream, pytest.raises(RuntimeError, match="speed=None"):
        stream.step()
    with pong.OutputStream(RATE, 64, tmp_path / "a.wav") as stream:
        for bad in (np.zeros((3, 2), "float32"), np.zeros(3, "complex64"), ["x"], "x"):
            with pytest.raises((ValueError, TypeError)):
                stream.write(bad)
        with pytest.raises(TypeError):
            stream.write(5)
        assert stream.output_pool.free == 16
    assert soundfile.info(tmp_path / "a.wav").frames == 0


def test_a_program_that_keeps_every_buffer_is_told(monkeypatch):
    """Nothing can come then: a device without a clock waits for a buffer, one with a clock loses everything."""
    monkeypatch.setattr(stream_module, "PATIENCE", 0.01)
    settings = virtual(seconds=1)
    with pong.InputStream(device="tone", blocksize=128, buffers=4, extra_settings=settings) as stream:
        kept = [stream.recv().samples for _ in range(3)]
        buf = stream.recv()
        with pytest.raises(RuntimeWarning, match=r"keeps all 4 buffers \(1 owned, 3 pinned\); release them"):
            stream.recv()
        # Nothing is lost by it.
        kept.clear()
        buf.release()
        with stream.recv() as buf:
            assert (buf.position, buf.gap) == (4 * 128, 0)
        stream.abort()


@pytest.mark.parametrize("how", ["abort", "close"])
def test_who_waits_for_a_buffer_is_told_of_the_end(how):
    """Also where the program itself has all of them, so that none will ever come."""
    stream = pong.OutputStream(48000, device="null", channels=1, dtype="int16", buffers=2)
    stream.start()
    held = [stream.acquire(), stream.acquire()]
    waiting = Thread(stream.acquire)
    getattr(stream, how)()
    with pytest.raises(pong.ClosedError, match="the stream has ended"):
        waiting.join()
    for buf in held:
        buf.release()
    assert stream.output_pool.free == 2
    stream.close()


def test_an_output_with_a_link_of_the_program():
    """Its buffers come from the pool of that link, which only the program has."""
    pool = pong.BufferPool(4, 64, dtype="int16", on_empty="raise")
    played = np.zeros(64, "int16")
    with pong.OutputStream(48000, 64, device=played, link=pool.link()) as stream:
        for move in (stream.acquire, lambda: stream.write(np.zeros(64, "int16"))):
            with pytest.raises(TypeError, match="acquire from the pool of that link"):
                move()
        with pool.acquire() as buf:
            buf.samples[:] = 5
            stream.send(buf)
    assert (played == 5).all()
    assert pool.free == 4


@pytest.mark.parametrize(("backend", "module"), [
    ("portaudio", "sounddevice"), ("jack", "jack"), ("miniaudio", "miniaudio"),
])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, tmp_path, backend, module):
    (tmp_path / f"{module}.py").write_text(f"raise ModuleNotFoundError('absent', name={module!r})\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, module, raising=False)
    for open_it in (pong.InputStream, pong.query_devices):
        with pytest.raises(ModuleNotFoundError, match=rf"^{module} is missing: pip install 'pong\[{backend}\]'$"):
            open_it(backend=backend)


def test_an_output_that_is_not_started_does_not_wait_for_itself():
    stream = pong.OutputStream(RATE, 64, "null", buffers=2)
    with pytest.raises(pong.StreamError, match="call start"):
        stream.write(np.zeros(3 * 64, "float32"))
    assert stream.output_pool.stats().queued == 2
    stream.close()


# --- bad arguments

NO_SUCH = r"no virtual input is called 'x'.*tone\[:HZ\], sweep\[:FROM-TO\] or silence"
INPUT = [
    ({"samplerate": 48000}, ValueError, "has 24000 frames per second, not 48000: pong does not resample"),
    ({"samplerate": 0}, ValueError, "samplerate must be more than 0"),
    ({"samplerate": True}, TypeError, "samplerate must be a number"),
    ({"samplerate": "48000"}, TypeError, "samplerate must be a number"),
    ({"channels": 1}, ValueError, "has 2 channels, not 1: pong does not mix"),
    ({"channels": 0}, ValueError, "channels must be from 1"),
    ({"channels": "2"}, TypeError, "channels must be a whole number"),
    ({"dtype": "int8"}, ValueError, "dtype must be one of int16"),
    ({"dtype": "x"}, ValueError, "dtype must be one of int16"),
    ({"device": "virtual:x"}, ValueError, NO_SUCH),
    ({"device": "tone:x"}, ValueError, "must be tone, tone:HZ"),
    ({"device": "./missing.wav"}, FileNotFoundError, "missing.wav"),
    ({"device": 5, "backend": "virtual"}, TypeError, "int"),
    ({"device": [1.0, 2.0]}, TypeError, "list"),
    ({"device": ramp(4, 3), "channels": 2}, ValueError, "an array with channels 3, not 2: pong does not convert"),
    ({"device": ramp(4), "dtype": "int16"}, ValueError, "an array with dtype int32, not int16"),
    ({"device": np.zeros((2, 2, 2))}, ValueError, r"shape \(frames, channels\)"),
    ({"device": np.zeros((2, 0))}, ValueError, r"shape \(frames, channels\)"),
    ({"device": np.zeros(2, object)}, TypeError, "object"),
    ({"device": ramp(4), "samplerate": 0}, ValueError, "samplerate must be more than 0"),
    ({"device": ramp(4), "samplerate": float("nan")}, ValueError, "samplerate must be more than 0"),
    ({"device": ramp(4), "samplerate": "x"}, TypeError, "samplerate must be a number"),
    ({"device": ramp(4), "extra_settings": pong.VirtualSettings(seconds=-1)}, ValueError, "seconds must be more"),
    ({"extra_settings": pong.VirtualSettings(seconds="1")}, TypeError, "seconds must be a number"),
]
OUTPUT = [
    ({"samplerate": 0}, ValueError, "samplerate must be more than 0"),
    ({"samplerate": "48000"}, TypeError, "samplerate must be a number"),
    ({"channels": 0}, ValueError, "channels must be from 1"),
    ({"channels": True}, TypeError, "channels must be a whole number"),
    ({"dtype": "int8"}, ValueError, "dtype must be one of int16"),
    ({"dtype": "str"}, ValueError, "dtype must be one of int16"),
    ({"dtype": ">i2"}, ValueError, "dtype must be one of int16"),
    ({"device": "virtual:x"}, ValueError, "no virtual output is called 'x': a sound file's path or null"),
    ({"device": "tone"}, ValueError, "no virtual output is called 'tone'"),
    ({"device": "./no/such/folder.wav"}, FileNotFoundError, "folder.wav"),
    ({"device": 5, "backend": "virtual"}, TypeError, "int"),
    ({"device": [1.0]}, TypeError, "list"),
    ({"device": ramp(4), "channels": 2}, ValueError, "an array with channels 1, not 2"),
    ({"device": np.broadcast_to(np.float32(0), (4, 1))}, ValueError, "writeable"),
    ({"extra_settings": pong.VirtualSettings(subtype="PCM_99")}, ValueError, "PCM_99"),
    ({"extra_settings": pong.VirtualSettings(subtype=16)}, TypeError, "subtype must be a str"),
    ({"prefill": -1}, ValueError, "prefill must be from 0"),
    ({"prefill": "1"}, TypeError, "prefill must be an integer"),
]
BOTH = [
    ({"blocksize": 0}, ValueError, "blocksize"),
    ({"blocksize": -5}, ValueError, "blocksize"),
    ({"blocksize": True}, TypeError, "blocksize"),
    ({"blocksize": "64"}, TypeError, "blocksize"),
    ({"buffers": 0}, ValueError, "buffers must be"),
    ({"buffers": 1025}, ValueError, "buffers must be"),
    ({"buffers": "2"}, TypeError, "buffers must be"),
    ({"backend": "alsa"}, ValueError, "backend must be one of 'portaudio', 'jack', 'miniaudio', 'virtual', not 'alsa'"),
    ({"backend": 1}, ValueError, "backend must be one of"),
    ({"latency": "medium"}, ValueError, "latency must be 'low', 'high' or seconds, not 'medium'"),
    ({"clip_off": True}, ValueError, "clip_off does not go with backend 'virtual', only with 'portaudio'"),
    ({"pool": 5}, TypeError, "pool must be a BufferPool"),
    ({"link": (1, 2)}, TypeError, "link must be what"),
    ({"process": print}, TypeError, "would need the GIL"),
    ({"latency": -1}, ValueError, "latency must be 0 or more"),
    ({"latency": True}, TypeError, "latency must be a number"),
    ({"latency": (0.1, 0.1)}, TypeError, "latency must be a number"),
    ({"extra_settings": {"speed": 1}}, TypeError, "extra_settings must be VirtualSettings"),
    ({"extra_settings": virtual(0)}, ValueError, "callback_size must be from 1"),
    ({"extra_settings": virtual(-1)}, ValueError, "callback_size must be from 1"),
    ({"extra_settings": virtual(True)}, TypeError, "callback_size"),
    ({"extra_settings": virtual("64")}, TypeError, "callback_size"),
    ({"extra_settings": virtual([])}, ValueError, "one size at least"),
    ({"extra_settings": virtual(speed=-1)}, ValueError, "speed must be 0 or more"),
    ({"extra_settings": virtual(speed="fast")}, TypeError, "speed must be a number"),
    ({"callback": 5}, TypeError, "callback must be callable"),
    ({"callback": print, "blocksize": 0}, ValueError, "callback_size must be from 1"),
]
PAIRS = [
    ({"device": "virtual:tone"}, ValueError, r"device must be a pair \(input, output\)"),
    ({"device": ("tone",)}, ValueError, r"device must be one value or a pair"),
    ({"device": ("tone", None, None)}, ValueError, "device must be"),
    ({"device": ramp(4)}, ValueError, "device must be a pair"),
    ({"channels": (1, 2, 3)}, ValueError, "channels must be one value or a pair"),
    ({"channels": (2, 0)}, ValueError, "channels must be from 1"),
    ({"dtype": ("int16",)}, ValueError, "dtype must be one value or a pair"),
    ({"dtype": ("int16", "int8")}, ValueError, "dtype must be one of int16"),
]


@pytest.mark.parametrize(("changes", "error", "text"), INPUT + BOTH)
def test_bad_input(wav, changes, error, text):
    before = wav.read_bytes()
    with pytest.raises(error, match=text):
        pong.InputStream(**{"device": wav, **changes})
    assert wav.read_bytes() == before


@pytest.mark.parametrize(("changes", "error", "text"), OUTPUT + BOTH)
def test_bad_output(tmp_path, changes, error, text):
    """A file that is there is not touched."""
    (tmp_path / "kept.wav").write_bytes(b"kept")
    with pytest.raises(error, match=text):
        pong.OutputStream(**{"device": tmp_path / "kept.wav", **changes})
    assert (tmp_path / "kept.wav").read_bytes() == b"kept"


@pytest.mark.parametrize(("changes", "error", "text"), PAIRS + BOTH)
def test_bad_pairs(tmp_path, wav, changes, error, text):
    (tmp_path / "kept.wav").write_bytes(b"kept")
    with pytest.raises(error, match=text):
        pong.Stream(**{"device": (wav, tmp_path / "kept.wav"), **changes})
    assert (tmp_path / "kept.wav").read_bytes() == b"kept"
