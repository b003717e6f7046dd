"""What PortAudio is asked for: sounddevice's own arguments, passed on as they are; PortAudio itself is not there."""

import sys
import types

import pytest

import pong
from pong.streams import portaudio


class PortAudioError(Exception):
    """As sounddevice's."""


class Asked(Exception):
    """What a stream was opened with."""


class Settings:
    """As sounddevice's settings of a host."""

    _streaminfo = None


@pytest.fixture
def sounddevice(monkeypatch):
    """A module in the place of sounddevice, whose streams tell what they are asked for."""

    def open_stream(**options):
        raise Asked(options)

    module = types.SimpleNamespace(
        PortAudioError=PortAudioError, _StreamBase=open_stream, _exit_handler=lambda: None,
        _ffi=types.SimpleNamespace(cast=lambda kind, value: (kind, value)),
        query_devices=lambda *_: {
            "max_input_channels": 2, "max_output_channels": 4, "default_samplerate": 44100.0, "hostapi": 0, "name": "x",
        },
        query_hostapis=lambda *_: {"name": "none"},
    )
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    monkeypatch.setattr(portaudio, "hung", [])
    return module


def asked_for(kind, **options):
    with pytest.raises(Asked) as asked:
        kind(backend="portaudio", **options)
    return asked.value.args[0]


def test_defaults(sounddevice):
    asked = asked_for(pong.InputStream)
    assert asked.pop("callback") == ("PaStreamCallback*", portaudio.callback_address())
    assert asked.pop("userdata")[0] == "void*"
    assert asked == {
        "kind": "input", "device": None, "channels": 2, "dtype": "float32", "samplerate": 44100.0, "latency": None,
        "blocksize": 0, "extra_settings": None, "wrap_callback": None,
    }


@pytest.mark.parametrize("name", [
    "clip_off", "dither_off", "never_drop_input", "prime_output_buffers_using_stream_callback",
])
def test_flags(sounddevice, name):
    asked = asked_for(pong.Stream, **{name: True})
    assert {each: asked[each] for each in asked if asked[each] is True} == {name: True}


@pytest.mark.parametrize("latency", ["low", "high", 0, 0.25, ("low", 0.5)])
def test_latency(sounddevice, latency):
    assert asked_for(pong.Stream, latency=latency)["latency"] == latency


@pytest.mark.parametrize(("latency", "error", "text"), [
    ("foo", TypeError, "latency must be 'low', 'high' or seconds for backend 'portaudio', not 'foo'"),
    (True, TypeError, "latency must be .*, not True"),
    ((0.1, "foo"), TypeError, "latency must be .*, not 'foo'"),
    (-1, ValueError, "latency must be 0 seconds or more for backend 'portaudio', not -1"),
    (float("nan"), ValueError, "latency must be 0 seconds or more for backend 'portaudio', not nan"),
])
def test_latencies_that_are_none(sounddevice, latency, error, text):
    with pytest.raises(error, match=text):
        pong.Stream(backend="portaudio", latency=latency)


def test_settings_of_a_host(sounddevice):
    one, other = Settings(), Settings()
    assert asked_for(pong.OutputStream, extra_settings=one)["extra_settings"] is one
    assert asked_for(pong.Stream, extra_settings=(one, other))["extra_settings"] == (one, other)


def test_the_rest(sounddevice):
    asked = asked_for(
        pong.Stream, device=(3, 4), channels=(1, 2), dtype=("int16", "int24"), samplerate=8000, callback_size=100
    )
    assert {name: asked[name] for name in ("kind", "device", "channels", "dtype", "samplerate", "blocksize")} == {
        "kind": "duplex", "device": (3, 4), "channels": (1, 2), "dtype": ("int16", "int24"), "samplerate": 8000,
        "blocksize": 100,
    }


class Fake:
    """A stream whose readings are known."""

    device, time, latency, cpu_load = (0, 1), 12.5, (0.25, 0.75), 0.125
    calls = ()

    def note(self, name):
        self.calls += (name,)

    def start(self):
        self.note("start")

    def stop(self):
        self.note("stop")

    def abort(self, ignore_errors):
        assert ignore_errors
        self.note("abort")

    def close(self):
        self.note("close")


def test_readings(sounddevice):
    fake = Fake()
    sounddevice._StreamBase = lambda **_: fake
    with pong.Stream(backend="portaudio") as stream:
        assert (stream.time, stream.latency, stream.cpu_load) == (12.5, (0.25, 0.75), 0.125)
        fake.latency = 9.0
        stream.abort()
        assert stream.latency == 9.0
    assert fake.calls[0] == "start"
    assert fake.calls[-1] == "close"


def test_portaudio_that_lists_nothing(sounddevice):
    def refuse(*_):
        raise PortAudioError("no more sound")

    sounddevice.query_devices = refuse
    with pytest.raises(pong.StreamError, match="PortAudio cannot list devices: no more sound"):
        pong.query_devices("portaudio")
    assert pong.query_devices()


@pytest.mark.parametrize("do", [pong.InputStream, pong.query_devices])
def test_portaudio_that_does_not_start(monkeypatch, tmp_path, do):
    """sounddevice initialises it when it is imported."""
    (tmp_path / "sounddevice.py").write_text(
        "class PortAudioError(Exception):\n    pass\n\nraise PortAudioError('no sound here')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(pong.StreamError, match="PortAudio cannot start: no sound here"):
        do(backend="portaudio")
    assert pong.query_devices()
