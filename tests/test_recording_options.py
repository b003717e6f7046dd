"""`pong record`: sample formats, generated sound, other formats than WAV, and the result as JSON."""

import numpy as np
import pytest
import soundfile
from commands import VOICE, assert_refused, pong, result_of, samples_of, speech


def record(folder, name, source, *options):
    """Record ``folder/name``; return the result and the file's path."""
    done = pong("record", folder / name, "--input", f"virtual:{source}", *options, "--json", cwd=folder)
    return result_of(done), folder / name


def test_the_result_as_json(tmp_path):
    result, out = record(tmp_path, "out.wav", VOICE, "--blocksize", 1000)
    frames = soundfile.info(VOICE).frames
    assert result == {
        "file": str(out), "frames": frames, "blocks": -(-frames // 1000), "lost": 0, "lost_by_device": 0,
        "samplerate": 22050, "channels": 1, "interrupted": None,
    }


def test_json_of_a_recording_with_losses(tmp_path):
    """JSON tells of them too; the exit code and the line on standard error are the same as without."""
    options = ["--speed", 1000, "--buffers", 1, "--blocksize", 64, "--json"]
    done = pong("record", tmp_path / "out.wav", "--input", f"virtual:{VOICE}", *options, cwd=tmp_path)
    assert (done.returncode, "frames were lost" in done.stderr) == (1, True)
    assert soundfile.info(tmp_path / "out.wav").frames > 0
    lost = soundfile.info(VOICE).frames - soundfile.info(tmp_path / "out.wav").frames
    assert f'"lost": {lost},' in done.stdout


@pytest.mark.parametrize(
    ("dtype", "subtype"), [("int16", "PCM_16"), ("int32", "PCM_32"), ("float32", "FLOAT"), ("float64", "DOUBLE")]
)
def test_dtype(tmp_path, dtype, subtype):
    """16 bits fit into every other format: nothing changes but the format, and full scale stays full scale."""
    out = record(tmp_path, "out.wav", VOICE, "--dtype", dtype)[1]
    assert soundfile.info(out).subtype == subtype
    np.testing.assert_array_equal(samples_of(out, "float64"), samples_of(VOICE, "float64"))


def test_float_to_int_is_rounded_and_clipped(tmp_path):
    soundfile.write(tmp_path / "in.wav", np.array([0.5, -1.0, 1.0, 2.0, -3.0, 0.4 / 32768]), 8000, subtype="FLOAT")
    out = record(tmp_path, "out.wav", tmp_path / "in.wav", "--dtype", "int16")[1]
    assert samples_of(out, "int16")[:, 0].tolist() == [16384, -32768, 32767, 32767, -32768, 0]


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
def test_a_tone(tmp_path, rate):
    """Half a second of 1 kHz with amplitude 0.5, the same in each channel."""
    options = ["--samplerate", rate, "--channels", 3, "--seconds", 0.5, "--speed", 0]
    result, out = record(tmp_path, "out.wav", "tone:1000", *options)
    assert (result["frames"], result["samplerate"], result["channels"]) == (rate // 2, rate, 3)
    found = samples_of(out, "float32")
    wave = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(rate // 2) / rate)
    np.testing.assert_allclose(found, np.repeat(wave[:, np.newaxis], 3, axis=1), atol=1e-6)
    assert soundfile.info(out).subtype == "FLOAT"


def test_the_right_samplerate_and_channels_of_a_file(tmp_path):
    out = record(tmp_path, "out.wav", VOICE, "--samplerate", 22050, "--channels", 1)[1]
    assert out.read_bytes() == VOICE.read_bytes()


def test_a_sweep(tmp_path):
    """It goes up: the zero crossings of its last tenth are many more than those of its first."""
    result, out = record(tmp_path, "out.wav", "sweep:100-1000", "--seconds", 1)
    assert result["frames"] == 48000
    signs = np.signbit(samples_of(out, "float32")[:, 0])
    crossings = [np.count_nonzero(np.diff(part)) for part in np.split(signs, 10)]
    assert crossings == sorted(crossings)
    assert crossings[-1] > 5 * crossings[0]


def test_silence(tmp_path):
    result, out = record(tmp_path, "out.wav", "silence", "--seconds", 0.1, "--dtype", "int16", "--speed", 0)
    assert result["frames"] == 4800
    assert not samples_of(out).any()


@pytest.mark.parametrize("seconds", [0.0001, 0.5, 2, 1000])
def test_seconds_of_a_file(tmp_path, seconds):
    result, out = record(tmp_path, "out.wav", VOICE, "--seconds", seconds)
    assert result["frames"] == min(round(seconds * 22050), soundfile.info(VOICE).frames)
    np.testing.assert_array_equal(samples_of(out), samples_of(VOICE)[: result["frames"]])


@pytest.mark.parametrize(("name", "subtype"), [("in.flac", "PCM_16"), ("in.flac", "PCM_24"), ("in.aiff", "PCM_24")])
def test_lossless_inputs(tmp_path, name, subtype):
    soundfile.write(tmp_path / name, speech(50_000, 2), 48000, subtype=subtype)
    for ending in ("wav", "flac"):
        out = record(tmp_path, f"out.{ending}", tmp_path / name)[1]
        assert soundfile.info(out).subtype == subtype
        np.testing.assert_array_equal(samples_of(out), samples_of(tmp_path / name))


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_inputs(tmp_path, subtype):
    """Recorded as float32: what libsndfile decodes in one go."""
    source = tmp_path / "in.ogg"
    soundfile.write(source, speech(100_000, 2), 48000, subtype=subtype)
    out = record(tmp_path, "out.wav", source, "--dtype", "float32", "--blocksize", 777)[1]
    np.testing.assert_array_equal(samples_of(out, "float32"), samples_of(source, "float32"))


def test_an_ogg_stays_an_ogg(tmp_path):
    source = tmp_path / "in.ogg"
    soundfile.write(source, speech(100_000), 48000)
    result, out = record(tmp_path, "out.ogg", source)
    assert (soundfile.info(out).subtype, soundfile.info(out).frames) == ("VORBIS", result["frames"])


@pytest.mark.parametrize("source", ["tone", "in.wav"])
def test_float_sound_into_flac(tmp_path, source):
    """FLAC has no floats: the message says how, and this way works."""
    soundfile.write(tmp_path / "in.wav", np.sin(np.arange(5000)), 48000, subtype="FLOAT")
    options = ["--input", f"virtual:{source}", "--seconds", 0.1, "--speed", 0]
    done = pong("record", "out.flac", *options, cwd=tmp_path)
    assert_refused(done, "FLAC cannot hold the input's sample format, FLOAT: choose another, such as --dtype int16")
    assert not (tmp_path / "out.flac").exists()
    assert pong("record", "out.flac", *options, "--dtype", "int16", cwd=tmp_path).returncode == 0
    assert soundfile.info(tmp_path / "out.flac").frames == 4800


def test_a_truncated_flac(tmp_path):
    """What can be decoded is kept, up to where the message says; the exit code tells."""
    rng = np.random.default_rng(1)
    sound = rng.integers(-30000, 30000, 100_000).astype("int16")
    soundfile.write(tmp_path / "whole.flac", sound, 48000)
    cut = (tmp_path / "whole.flac").read_bytes()
    (tmp_path / "in.flac").write_bytes(cut[: len(cut) // 2])
    done = pong("record", "out.wav", "--input", "virtual:in.flac", cwd=tmp_path)
    assert_refused(done, "in.flac: truncated")
    found = samples_of(tmp_path / "out.wav", "int16")[:, 0]
    assert 30_000 < len(found) < 60_000
    np.testing.assert_array_equal(found, sound[: len(found)])
