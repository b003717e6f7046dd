"""Arguments that a sound card cannot have: a clear error, and everything that was given stays as it was."""

import ctypes

import numpy as np
import pytest
from native_functions import RIGHT

import pong
from pong.streams.jack_names import ports_of
from pong.streams.opening import SoundCardSetup

NULL = {"backend": "miniaudio", "device": "null", "blocksize": 64}
SETTINGS = pong.JackSettings()


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"callback_size": -5}, ValueError, r"callback_size must be from 0 to 16777215 frames, not -5"),
        ({"callback_size": 1 << 24}, ValueError, r"callback_size must be from 0 to 16777215 frames, not 16777216"),
        ({"callback_size": True}, TypeError, r"callback_size must be a whole number for backend 'miniaudio', not True"),
        ({"callback_size": 64.0}, TypeError, r"callback_size must be a whole number for backend 'miniaudio', not 64.0"),
        ({"samplerate": 44100.5}, ValueError, r"samplerate must be whole and below 1048576 for miniaudio, not 44100.5"),
        ({"samplerate": 0}, ValueError, r"samplerate must be whole and below 1048576 for miniaudio, not 0"),
        ({"samplerate": "48000"}, ValueError, r"samplerate must be whole .*, not '48000'"),
        ({"channels": 0}, ValueError, r"channels must be a whole number from 1 to 1024, not 0"),
        ({"channels": True}, ValueError, r"channels must be a whole number from 1 to 1024, not True"),
        ({"channels": 1.0}, ValueError, r"channels must be a whole number from 1 to 1024, not 1.0"),
        # miniaudio itself has no more than 254.
        ({"channels": 1000}, pong.StreamError, r"miniaudio cannot open the device: error -\d+"),
        ({"dtype": "float64"}, ValueError, r"dtype must be one of uint8, .*, float32 for backend 'miniaudio', not 'f"),
        ({"dtype": "sound"}, ValueError, r"dtype must be one of .* for backend 'miniaudio', not 'sound'"),
        ({"dtype": ">f4"}, ValueError, r"dtype must be one of .* for backend 'miniaudio', not '>f4'"),
        ({"latency": 0.1}, ValueError, r"latency does not go with backend 'miniaudio', only with 'portaudio'"),
        ({"latency": "low"}, ValueError, r"latency does not go with backend 'miniaudio', only with 'portaudio'"),
        ({"clip_off": True}, ValueError, r"clip_off does not go with backend 'miniaudio', only with 'portaudio'"),
        ({"extra_settings": SETTINGS}, ValueError, r"extra_settings does not go with backend 'miniaudio'"),
        ({"order": "F"}, ValueError, r"order 'F' \(planar buffers\) does not go with backend 'miniaudio', only"),
        ({"order": "A"}, ValueError, r"order must be"),
        ({"device": 3}, TypeError, r"device must be a part of the name of one of miniaudio's devices, not 3"),
        ({"device": "no such card"}, (ValueError, pong.StreamError), r"no such card|miniaudio cannot"),
        ({"device": np.zeros(4)}, TypeError, r"device must be a name or a number for backend 'miniaudio', not ndarray"),
        ({"device": b"null"}, TypeError, r"device must be a name, a number, a path or an array, not bytes"),
        ({"device": True}, TypeError, r"device must be a name, a number, a path or an array, not bool"),
        ({"device": "jack:system"}, ValueError, r"device .* is of another back end than"),
        ({"backend": "alsa"}, ValueError, r"backend must be one of 'portaudio', .*, not 'alsa'"),
        ({"backend": 1}, ValueError, r"backend must be one of 'portaudio', .*, not 1"),
        ({"stall_timeout": 0}, ValueError, r"stall_timeout must be .*more than 0"),
        ({"stall_timeout": "1"}, TypeError, r"stall_timeout must be"),
        ({"buffers": 0}, ValueError, r"buffers must be from 1 to 1024, not 0"),
        ({"blocksize": 0}, ValueError, r"blocksize must be"),
    ],
)  # fmt: skip
def test_what_a_sound_card_cannot_have(options, error, text):
    with pytest.raises(error, match=text):
        pong.InputStream(**NULL | options)


@pytest.mark.parametrize("options", [
    {"stall_timeout": -1}, {"stall_timeout": "x"}, {"process": print}, {"channels": 1000}, {"callback_size": -1},
])
def test_a_refusal_keeps_no_link_of_the_program_s_pool(options):
    """Also while its exception, and so all that it was about, lives."""
    pool = pong.BufferPool(4, 64, options.get("channels", 2), max_links=2)
    kept = []
    for _ in range(3):
        with pytest.raises((ValueError, TypeError, pong.StreamError)) as refused:
            pong.InputStream(pool=pool, **NULL | options)
        kept.append(refused)
    ends = [pool.link() for _ in range(2)]
    assert len(ends) == 2


@pytest.mark.parametrize("kind", [pong.InputStream, pong.Stream])
def test_a_refusal_closes_the_pools_that_the_stream_has_made(kind, monkeypatch):
    made = []

    class Noted(pong.BufferPool):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            made.append(self)

    monkeypatch.setattr("pong.streams.device_stream.BufferPool", Noted)
    with pytest.raises(ValueError, match="stall_timeout"):
        kind(channels=2 if kind is pong.InputStream else (1, 2), stall_timeout=-1, **NULL)
    assert len(made) == (1 if kind is pong.InputStream else 2)
    assert all(pool.closed for pool in made)
    given = pong.BufferPool(4, 64, 2)
    with pytest.raises(ValueError, match="stall_timeout"):
        kind(pool=given, stall_timeout=-1, **NULL)
    assert not given.closed


@pytest.mark.parametrize("rate", [48000, 48000.0, np.int64(48000), np.float32(48000)])
def test_numbers_of_any_kind_are_rates(rate):
    with pong.InputStream(samplerate=rate, **NULL) as stream:
        assert stream.recv(60).frames == 64
        assert stream.samplerate == 48000


def test_two_directions_have_two_latencies():
    with pong.Stream(**NULL) as stream:
        stream.recv(60).release()
        there, back = stream.latency
        assert there == back > 0
        first = stream.time
        stream.recv(60).release()
        assert stream.time > first > 0
        # A callback is counted when it ends, which the blocks it sends do not wait for: more than one sends so many.
        for _ in range(100):
            stream.recv(60).release()
        assert 0 < stream.cpu_load <= 1
        stream.abort()


def test_the_latency_is_known_when_the_first_block_comes():
    """Its callback may still be going on: here one that asks for the latency before it sends the block."""
    told = []
    ask = ctypes.CFUNCTYPE(None, *RIGHT)(lambda *_: told.append(stream.latency))
    with pong.InputStream(**NULL, process=ctypes.cast(ask, ctypes.c_void_p).value) as stream:
        stream.recv(60).release()
        stream.abort()
    assert 0 < told[0] <= stream.latency


JACK = {"backend": "jack", "blocksize": 64}


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"client_name": ""}, ValueError, r"client_name must be text of 1 to 32 bytes .*, not ''"),
        ({"client_name": 3}, ValueError, r"client_name must be text of 1 to 32 bytes .*, not 3"),
        ({"client_name": "a\0b"}, ValueError, r"client_name must be .* or a null character, not 'a.x00b'"),
        ({"client_name": "a:b"}, ValueError, r"client_name must be .* without a colon or a null character, not 'a:b'"),
        ({"client_name": "\udc80"}, ValueError, r"client_name must be text of 1 to 32 bytes .*, not '.udc80'"),
        ({"servername": 3}, TypeError, r"servername must be text or None, not 3"),
        ({"servername": "a\0b"}, ValueError, r"servername must be .* 255 bytes without a null character, not 'a.x00b'"),
        ({"servername": "\udc80"}, ValueError, r"servername must be text of at most 255 bytes .*, not '.udc80'"),
        # libjack writes on behind the place that it has for a name, and the process is over.
        ({"servername": 300 * "x"}, ValueError, r"servername must be text of at most 255 bytes .*, not 'xxx"),
        ({"connect": "no"}, TypeError, r"connect must be True or False, not 'no'"),
        ({"freewheel": "no"}, TypeError, r"freewheel must be True or False, not 'no'"),
    ],
)
def test_settings_that_jack_cannot_have(changes, error, text):
    """Told before a server is looked for."""
    with pytest.raises(error, match=text):
        pong.InputStream(**JACK, extra_settings=pong.JackSettings(**changes))


class FakePort:
    def __init__(self, name):
        self.name = name


@pytest.mark.parametrize(("name", "meant"), [
    ("rec", ["rec:in_1", "rec:in_2"]), ("recorder", ["recorder:in_1"]), ("rec:in_2", ["rec:in_2"]),
    ("in_2", ["rec:in_2"]), ("order", ["recorder:in_1"]), ("nobody", []),
    # The first colon ends the client's name, also where the port's has one.
    ("bridge", ["bridge:one: left", "bridge:two: left"]), ("two", ["bridge:two: left"]),
    ("left", ["bridge:one: left", "bridge:two: left"]), ("bridge:one", ["bridge:one: left"]),
])
def test_which_jack_ports_a_name_means(name, meant):
    names = ("rec:in_1", "rec:in_2", "recorder:in_1", "bridge:one: left", "bridge:two: left")
    ports = [FakePort(each) for each in names]
    assert [port.name for port in ports_of(ports, name)] == meant


def test_a_name_that_several_jack_clients_have():
    ports = [FakePort(each) for each in ("rec:in_1", "recorder:in_1")]
    with pytest.raises(ValueError, match=r"'in_1' is in the names of ports of several JACK clients: rec, recorder"):
        ports_of(ports, "in_1")


@pytest.mark.parametrize("kind", [pong.InputStream, pong.OutputStream])
@pytest.mark.parametrize("options", [{"channels": 1000}, {"samplerate": 0}, {"callback_size": -1}, {"dtype": "int16"}])
def test_what_was_given_stays_usable(kind, options):
    """A refusal loses no slot, closes nothing, and leaves the link to the next stream."""
    channels = options.get("channels", 2)
    pool = pong.BufferPool(4, 64, channels, on_empty="raise")
    link = pool.link()
    with pytest.raises((ValueError, pong.StreamError)):
        kind(**NULL | options, link=link)
    assert pool.free == len(pool)
    with pool.acquire() as buf:
        link[0].send(buf)
    link[1].recv(0).release()
    assert pool.free == len(pool)
    if channels == 2:
        with kind(**NULL, link=link) as stream:
            if kind is pong.InputStream:
                stream.recv(30).release()
        assert pool.free == len(pool)


def test_one_link_is_not_enough_for_two_directions():
    with pong.BufferPool(4, 64, on_empty="raise") as pool, pytest.raises((TypeError, ValueError), match="link"):
        pong.Stream(**NULL, link=pool.link())


def test_a_number_of_numpy_s_is_a_number():
    """It is another library that says there is no such card, and which."""
    with pytest.raises((pong.StreamError, OSError), match=r"99|PortAudio"):
        pong.InputStream(backend="portaudio", device=np.int64(99))


@pytest.mark.parametrize(
    ("period", "blocksize", "frames"), [(0, 64, 128), (64, 64, 128), (256, 64, 320), (32, 64, 128)]
)
def test_duplex_plays_silence_while_the_program_hears_and_answers(period, blocksize, frames):
    """A block's length until it is heard, and then until the device comes again with what is the longer of the two."""
    setup = SoundCardSetup()
    setup.period = period
    assert setup.default_prefill(blocksize) == frames


@pytest.mark.parametrize("stop", [pong.Stream.stop, pong.Stream.abort, pong.Stream.close])
def test_a_stream_that_was_not_started_can_be_ended(stop):
    stream = pong.Stream(**NULL, channels=2)
    stop(stream)
    assert not stream.active
    stream.close()
    assert stream.pool.free == len(stream.pool)
    with pytest.raises(pong.ClosedError):
        stream.start()
