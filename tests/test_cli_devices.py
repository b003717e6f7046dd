"""`pong devices` and `query_devices`, and what the commands say of sound cards that are not there: no server needed."""

import json
import os
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from commands import VOICE, assert_refused, pong, result_of, samples_of, without
from needs import needs
from programs import run

from pong import BufferPool, StreamError, query_devices
from pong.recording import blocks_of, open_file, read_packed
from pong.streams.devices import Device
from pong.streams.int24 import pack, unpack
from pong.streams.opening import split_name

FOUND = {
    "portaudio": [("Mic", 1, 0, 44100.0, "ALSA"), ("Box", 4, 2, 48000.0, "ALSA"), ("Nothing", 0, 0, 8000.0, "OSS")],
    "jack": [("system", 2, 2, 96000), ("player", 1, 0, 96000)],
    "miniaudio": [("Card", 1, 0), ("Card", 0, 1)],
}
MISSING = {
    "portaudio": ImportError("absent", name="sounddevice"),
    "jack": StreamError("no JACK server answers"),
    "miniaudio": OSError("the library is not found"),
}


@pytest.fixture
def backends(monkeypatch):
    """Return a function that says what each back end finds: a list, or what it raises."""

    def find(found):
        for name, result in found.items():
            def devices(result=result):
                if isinstance(result, Exception):
                    raise result
                return result

            monkeypatch.setitem(sys.modules, f"pong.streams.{name}", SimpleNamespace(devices=devices))

    return find


def test_all_back_ends(backends):
    backends(FOUND)
    found = query_devices()
    assert {device.backend for device in found} == {"virtual", "portaudio", "jack", "miniaudio"}
    assert found == [device for name in ("virtual", *FOUND) for device in query_devices(name)]


def test_portaudio_s_devices_have_numbers(backends):
    """Those without a channel count as well, or the others would be called by wrong ones."""
    backends(FOUND | {"portaudio": FOUND["portaudio"][::-1]})
    assert query_devices("portaudio") == [
        Device("portaudio:1", "input", "portaudio", "Box (ALSA)", 4, 48000.0),
        Device("portaudio:1", "output", "portaudio", "Box (ALSA)", 2, 48000.0),
        Device("portaudio:2", "input", "portaudio", "Mic (ALSA)", 1, 44100.0),
    ]


def test_jack_s_and_miniaudio_s_devices(backends):
    backends(FOUND)
    assert [(each.name, each.kind, each.channels, each.samplerate) for each in query_devices("jack")] == [
        ("jack:system", "input", 2, 96000.0), ("jack:system", "output", 2, 96000.0),
        ("jack:player", "input", 1, 96000.0),
    ]
    assert [(each.name, each.kind, each.channels) for each in query_devices("miniaudio")] == [
        ("miniaudio:null", "input", None), ("miniaudio:null", "output", None),
        ("miniaudio:Card", "input", None), ("miniaudio:Card", "output", None),
    ]


@pytest.mark.parametrize("name", MISSING)
def test_a_back_end_that_is_missing(backends, name):
    """It is left out; only who asks for this one is told."""
    backends(FOUND | {name: MISSING[name]})
    assert {device.backend for device in query_devices()} == {"virtual", *FOUND} - {name}
    with pytest.raises(type(MISSING[name])):
        query_devices(name)


def test_what_is_no_back_end():
    with pytest.raises(ValueError, match=r"backend must be one of 'portaudio', .* not 'alsa'"):
        query_devices("alsa")


def test_an_error_of_another_kind_is_not_hidden(backends):
    backends(FOUND | {"jack": RuntimeError("a defect")})
    with pytest.raises(RuntimeError, match="a defect"):
        query_devices()


def test_the_command(tmp_path, backends):
    backends(FOUND)
    done = pong("devices", cwd=tmp_path)
    found = json.loads(pong("devices", "--json", cwd=tmp_path).stdout)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [re.split("  +", line) for line in done.stdout.splitlines()]
    assert [line[:2] for line in lines] == [[device["kind"], device["name"]] for device in found]
    assert {"virtual:FILE", "virtual:tone[:HZ]", "virtual:null", "jack:player"} <= {each["name"] for each in found}
    assert ["input", "portaudio:0", "Mic (ALSA), 1 channel, 44100 Hz"] in lines
    assert ["input", "portaudio:1", "Box (ALSA), 4 channels, 48000 Hz"] in lines
    assert ["output", "virtual:null", "nowhere"] in lines


def test_the_command_where_back_ends_are_missing(tmp_path, backends):
    backends(MISSING)
    done = pong("devices", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-3:] == [
        'portaudio: not here (pip install "pong[portaudio]")',
        "jack: not here (no JACK server answers)",
        "miniaudio: not here (the library is not found)",
    ]
    assert {each["backend"] for each in json.loads(pong("devices", "--json", cwd=tmp_path).stdout)} == {"virtual"}


def test_a_back_end_without_devices(tmp_path, backends):
    backends(FOUND | {"portaudio": []})
    assert pong("devices", cwd=tmp_path).stdout.endswith("\nportaudio: no devices\n")


def test_libraries_cannot_write_between_the_lines(tmp_path):
    """What C writes to standard error is gone while libraries look for devices; what Python writes is not."""
    code = """
        from types import SimpleNamespace
        def devices():
            os.write(2, b"noise of a C library\\n")
            print("a word of Python's", file=sys.stderr)
            return []
        for name in ("portaudio", "jack", "miniaudio"):
            sys.modules[f"pong.streams.{name}"] = SimpleNamespace(devices=devices)
        real, out = os.dup(2), os.open("err", os.O_CREAT | os.O_RDWR)
        os.dup2(out, 2)
        before = os.listdir("/proc/self/fd")
        threads = [threading.Thread(target=pong.query_devices) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        os.write(2, b"after it\\n")
        assert os.listdir("/proc/self/fd") == before
        os.close(2)
        pong.query_devices()     # no standard error at all
        os.dup2(real, 2)
    """
    run(tmp_path, code)
    lines = (tmp_path / "err").read_text().splitlines()
    assert lines == ["a word of Python's"] * 24 + ["after it"]


@pytest.mark.parametrize(
    ("device", "found"),
    [
        ("portaudio", ("portaudio", None)),
        ("portaudio:", ("portaudio", None)),
        ("portaudio:3", ("portaudio", 3)),
        ("portaudio:hw:1,0", ("portaudio", "hw:1,0")),
        ("jack:3", ("jack", "3")),
        ("miniaudio:null", ("miniaudio", "null")),
        ("virtual:tone:440", ("virtual", "tone:440")),
        ("system", (None, "system")),
        (3, (None, 3)),
    ],
)
def test_names_of_devices(device, found):
    assert split_name(device) == found


@pytest.mark.parametrize(
    ("package", "name"), [("sounddevice", "portaudio"), ("jack", "jack"), ("miniaudio", "miniaudio")]
)
def test_without_a_back_end_s_package(tmp_path, package, name):
    environment = without(package, tmp_path)
    text = f"pong: {package} is missing: pip install 'pong[{name}]'"
    for arguments in (
        ["record", "out.wav", "--input", name],
        ["play", VOICE, "--output", f"{name}:x"],
        ["loopback", "--device", name],
    ):
        assert_refused(pong(*arguments, env=environment, cwd=tmp_path), text)
    done = pong("devices", env=environment, cwd=tmp_path)
    assert (done.returncode, f'\n{name}: not here (pip install "pong[{name}]")\n' in done.stdout) == (0, True)
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize("arguments", [["record", "out.wav", "--input", "jack"], ["play", VOICE, "--output", "jack"]])
def test_without_a_server(tmp_path, arguments):
    """JACK's own lines, of which there are five, do not come between."""
    needs("jack")
    environment = {**os.environ, "JACK_DEFAULT_SERVER": "pong-is-not-here", "JACK_NO_START_SERVER": "1"}
    assert_refused(pong(*arguments, env=environment, cwd=tmp_path), "pong: no JACK server answers")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["record", "out.wav", "--input", "jack", "--speed", "1"], 1, "speed is for virtual devices: jack has a clock"),
        (["play", VOICE, "--output", "portaudio:1", "--speed", "0"], 1, "speed is for virtual devices: portaudio has"),
        (["record", "out.wav", "--input", "virtual:tone", "--speed", "fast"], 2, "a number from 0 up, not 'fast'"),
        (["record", "out.wav", "--input", "jackson"], 1, "or miniaudio[:DEVICE], not 'jackson'"),
        (["record", "out.wav", "--input", "virtual:tone", "--dtype", "int24", "--seconds", "1"], 1, "not 'int24'"),
        (["play", VOICE, "--output", "virtual:out.wav", "--dtype", "int24"], 1, "not 'int24'"),
        (["loopback", "--device", "virtual:null"], 1, "device must be portaudio[:DEVICE], jack[:CLIENT] or miniaudio"),
        (["loopback", "--device", "portaudio", "--wire"], 1, "wire is for jack alone"),
        (["loopback", "--device", "jack:system", "--wire"], 1, "wire is for jack alone"),
        (["loopback", "--seconds", "9"], 2, "must be a number from 0.1 to 4"),
    ],
)
def test_options_that_do_not_fit(tmp_path, arguments, code, text):
    assert_refused(pong(*arguments, cwd=tmp_path), text, code=code)
    assert list(tmp_path.iterdir()) == []


def test_speed_auto_is_the_default(tmp_path):
    result = [
        result_of(pong("record", "out.wav", "--input", f"virtual:{VOICE}", *options, "--json", cwd=tmp_path))
        for options in ([], ["--speed", "auto"])
    ]
    assert result[0] == result[1]


@pytest.mark.parametrize(
    ("dtype", "subtype"), [("int16", "PCM_16"), ("int24", "PCM_24"), ("int32", "PCM_32"), (None, "FLOAT")]
)
@pytest.mark.parametrize("channels", [1, 2])
def test_recording_a_sound_card(tmp_path, dtype, subtype, channels):
    """miniaudio's device that hears silence: as many frames as asked for, exactly."""
    needs("miniaudio")
    options = ["--seconds", 0.12345, "--samplerate", 44100, "--channels", channels, "--callback-size", 100]
    options += [] if dtype is None else ["--dtype", dtype]
    done = pong("record", "out.wav", "--input", "miniaudio:null", *options, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    frames, what = round(0.12345 * 44100), f"{channels} channel{'s' * (channels > 1)}"
    assert done.stdout == f"out.wav: {frames} frames in 6 blocks, 44100 Hz, {what}, 0 lost\n"
    info = soundfile.info(tmp_path / "out.wav")
    assert (info.frames, info.samplerate, info.channels, info.subtype) == (frames, 44100, channels, subtype)
    assert not samples_of(tmp_path / "out.wav").any()


@pytest.mark.parametrize("dtype", ["int16", "int24", "int32", "float32", None])
def test_playing_on_a_sound_card(tmp_path, dtype):
    needs("miniaudio")
    soundfile.write(tmp_path / "in.wav", np.linspace(-1, 1, 5000), 44100, subtype="DOUBLE")
    options = ["--output", "miniaudio:null", "--json"] + ([] if dtype is None else ["--dtype", dtype])
    result = result_of(pong("play", "in.wav", *options, cwd=tmp_path))
    assert (result["frames"], result["underflow"], result["samplerate"]) == (5000, 0, 44100)


def test_a_sound_that_a_card_does_not_take(tmp_path):
    needs("miniaudio")
    text = f"not 'float64' ({VOICE}: 22050 Hz, 1 channel, float64; pong does not convert)"
    done = pong("play", VOICE, "--output", "miniaudio:null", "--dtype", "float64", cwd=tmp_path)
    assert_refused(done, "dtype must be one of", text)


def test_a_recording_into_a_format_without_floats(tmp_path):
    needs("miniaudio")
    done = pong("record", "out.flac", "--input", "miniaudio:null", cwd=tmp_path)
    assert_refused(done, "FLAC cannot hold the input's sample format, FLOAT: choose another, such as --dtype int16")
    assert list(tmp_path.iterdir()) == []


def packed(values):
    """Return whole numbers as packed 24-bit integers, made without what is tested."""
    order = sys.byteorder
    return np.array([[value.to_bytes(3, order, signed=True) for value in row] for row in values], "V3")


VALUES = [[0, 1], [-1, 2**23 - 1], [-(2**23), 0x123456], [-0x123456, 256]]


def test_packed_integers():
    found = unpack(packed(VALUES))
    assert (found.dtype, found.tolist()) == ("int32", [[256 * value for value in row] for row in VALUES])
    again = np.zeros((4, 2), "V3")
    pack(found | 0x7F, again)
    assert again.tobytes() == packed(VALUES).tobytes()
    assert unpack(packed(VALUES)[::2]).tolist() == found[::2].tolist()
    assert unpack(np.zeros((0, 2), "V3")).shape == (0, 2)


def test_packed_integers_come_into_a_file_exactly(tmp_path):
    stream = SimpleNamespace(dtype=np.dtype("V3"), samplerate=48000.0, channels=2, subtype=None)
    sink, convert = open_file(str(tmp_path / "out.wav"), stream, "int24")
    sink.write(convert(packed(VALUES)))
    sink.close()
    assert soundfile.info(tmp_path / "out.wav").subtype == "PCM_24"
    assert (samples_of(tmp_path / "out.wav") >> 8).tolist() == VALUES


def test_packed_integers_come_out_of_a_sound_exactly():
    values = np.array(VALUES, "int32") << 8

    def read_into(array):
        array[:3] = values[:3]
        return 3

    samples = np.zeros((4, 2), "V3")
    assert read_packed(SimpleNamespace(read_into=read_into), samples) == 3
    assert samples[:3].tobytes() == packed(VALUES[:3]).tobytes()


@pytest.mark.parametrize(
    ("end", "frames"),
    [
        (None, [10, 10, 10]), (1000, [10, 10, 10]), (35, [10, 10, 10]), (34, [10, 10, 9]), (26, [10, 10, 1]),
        (25, [10, 10]), (22, [10, 10]), (20, [10, 10]), (19, [10, 9]), (1, [1]),
    ],
)
def test_a_recording_ends_at_its_position(end, frames):
    """Lost frames count; in the middle of a gap it ends before the next block."""
    pool = BufferPool(3, 10)
    sender, receiver = pool.link()
    for position in (0, 10, 25):
        buf = pool.acquire()
        buf.position = position
        sender.send(buf)
    sender.close()
    assert [len(buf) for buf in blocks_of(receiver, end)] == frames
