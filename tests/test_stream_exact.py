"""Streams at speed 0: everything arrives, bit by bit, whatever the sizes of callbacks and blocks, the rate and format.

Issue 3, "Shown by" 2. Nothing here may be lost, doubled, moved or rounded, and the last block tells its true frames.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import pong
from pong.streams.files import SoundSink

RATE = 48000
VOICE = Path(__file__).resolve().parent.parent / "pong" / "examples" / "voice.wav"
# Speech recorded by people who have nothing to do with us: the package alsa-utils. CI must have it.
ALSA = Path("/usr/share/sounds/alsa")
SPEECH = soundfile.read(VOICE, dtype="int32", always_2d=True)[0][12_000:17_003]

CALLBACK_SIZES = [1, 64, 100, 128, 480, 1024, 4096]
BLOCK_SIZES = [1, 64, 256, 1000, 1024, 8192]
RATES = [8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000]
FORMATS = [("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("flac", "PCM_16"), ("flac", "PCM_24")]


def ramp(frames, channels=1, dtype="int32"):
    """Return samples that are all different, and none is silent, so that any mistake of place shows."""
    return np.arange(1, frames * channels + 1, dtype=dtype).reshape(frames, channels)


def frames_for(callback_size, blocksize):
    """Return a length with several blocks and callbacks that is a multiple of neither: a prime."""
    if blocksize == 1:
        return 1009 if callback_size < 1000 else 4999
    return {64: 2003, 100: 2003, 128: 2003, 256: 2003}.get(max(callback_size, blocksize), 17_011)


def virtual(callback_size=128, **options):
    """Return settings of a device that waits for the program."""
    return pong.VirtualSettings(callback_size=callback_size, speed=0, **options)


def record(stream, sink=None):
    """Receive a stream to its end, check what its blocks tell of their place, and return all samples."""
    blocks, position = [], 0
    with stream:
        for buf in stream:
            with buf:
                assert (buf.position, buf.gap, buf.status, buf.seq) == (position, 0, 0, len(blocks))
                assert buf.time_source == "stream"
                assert buf.time == pytest.approx(position / stream.samplerate)
                assert buf.samples.shape == (buf.frames, stream.channels)
                blocks.append(buf.copy())
                position += buf.frames
                if sink is not None:
                    sink.write(buf.samples)
    assert [len(block) for block in blocks[:-1]] == [stream.blocksize] * (len(blocks) - 1)
    assert 0 < len(blocks[-1]) <= stream.blocksize
    assert (stream.lost, stream.position, stream.active) == (0, position, False)
    assert stream.pool.free == len(stream.pool)
    if sink is not None:
        sink.close()
        assert sink.frames == position
    return np.concatenate(blocks)


def same(path, as_path):
    """Check that two files have the same frames, rate, channels and sample format."""
    found, wanted = soundfile.info(path), soundfile.info(as_path)
    for name in ("frames", "samplerate", "channels", "subtype", "format"):
        assert getattr(found, name) == getattr(wanted, name), name
    kind = "float32" if wanted.subtype == "FLOAT" else "int32"
    np.testing.assert_array_equal(soundfile.read(path, dtype=kind)[0], soundfile.read(as_path, dtype=kind)[0])


def copy_file(path, out, *, callback_size=480, blocksize=1000, buffers=16):
    """Record a sound file through a stream into another, in the format that the stream tells."""
    stream = pong.InputStream(device=path, blocksize=blocksize, buffers=buffers, extra_settings=virtual(callback_size))
    info = soundfile.info(path)
    assert (stream.samplerate, stream.channels, stream.subtype) == (info.samplerate, info.channels, info.subtype)
    options = {"channels": stream.channels, "dtype": stream.dtype, "subtype": stream.subtype}
    return record(stream, SoundSink(out, samplerate=stream.samplerate, **options))


# --- sizes


@pytest.mark.parametrize("blocksize", BLOCK_SIZES)
@pytest.mark.parametrize("callback_size", CALLBACK_SIZES)
def test_capture_of_an_array(tmp_path, callback_size, blocksize):
    """Every pairing of sizes; what is received is the array, and so is the file that it is written into."""
    array = ramp(frames_for(callback_size, blocksize))
    stream = pong.InputStream(RATE, blocksize, array, extra_settings=virtual(callback_size), buffers=5)
    sink = SoundSink(tmp_path / "out.wav", samplerate=RATE, channels=1, dtype="int32")
    recorded = record(stream, sink)
    assert recorded.dtype == array.dtype
    np.testing.assert_array_equal(recorded, array)
    written = soundfile.read(tmp_path / "out.wav", dtype="int32", always_2d=True)[0]
    np.testing.assert_array_equal(written, array)


@pytest.mark.parametrize("blocksize", BLOCK_SIZES)
@pytest.mark.parametrize("callback_size", CALLBACK_SIZES)
def test_capture_of_a_file(tmp_path, callback_size, blocksize):
    """Every pairing of sizes, from real speech in a file into a file: the feeder's own blocks have no influence."""
    speech = np.resize(SPEECH, (frames_for(callback_size, blocksize), 1))
    soundfile.write(tmp_path / "in.wav", speech, RATE, subtype="PCM_16")
    recorded = copy_file(tmp_path / "in.wav", tmp_path / "out.wav", callback_size=callback_size, blocksize=blocksize)
    assert len(recorded) == len(speech)
    same(tmp_path / "out.wav", tmp_path / "in.wav")


@pytest.mark.parametrize("blocksize", BLOCK_SIZES)
@pytest.mark.parametrize("callback_size", CALLBACK_SIZES)
def test_playback_of_buffers(callback_size, blocksize):
    """Every pairing of sizes: the sink is what was sent, and the device stops right after the last frame."""
    array = ramp(frames_for(callback_size, blocksize), 2)
    sink = np.full((len(array) + 50, 2), -1, "int32")
    stream = pong.OutputStream(RATE, blocksize, sink, extra_settings=virtual(callback_size), buffers=5)
    with stream:
        for at in range(0, len(array), blocksize):
            buf = stream.acquire()
            assert buf.frames == blocksize
            buf.frames = min(blocksize, len(array) - at)
            buf.samples[:] = array[at : at + blocksize]
            stream.send(buf)
    np.testing.assert_array_equal(sink[: len(array)], array)
    assert (sink[len(array) :] == -1).all()
    assert (stream.underflow, stream.position, stream.active) == (0, len(array), False)
    assert stream.output_pool.free == 5


@pytest.mark.parametrize("blocksize", BLOCK_SIZES)
@pytest.mark.parametrize("callback_size", CALLBACK_SIZES)
def test_playback_into_a_file(tmp_path, callback_size, blocksize):
    """Every pairing of sizes, through `write` with parts of any length, into a file."""
    array = ramp(frames_for(callback_size, blocksize))
    out = tmp_path / "out.wav"
    options = {"channels": 1, "dtype": "int32", "buffers": 5, "extra_settings": virtual(callback_size)}
    with pong.OutputStream(RATE, blocksize, out, **options) as stream:
        at = 0
        for size in (1, 0, blocksize, 2 * blocksize + 1, len(array)):
            assert stream.write(array[at : at + size]) is False
            at += size
    np.testing.assert_array_equal(soundfile.read(out, dtype="int32", always_2d=True)[0], array)
    assert (stream.underflow, stream.position) == (0, len(array))


SIZES = st.lists(st.integers(1, 300), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(1, 300), st.integers(1, 1500), st.integers(1, 3), st.integers(1, 6))
def test_callbacks_of_various_sizes_capture(sizes, blocksize, frames, channels, buffers):
    """Each callback may have another size."""
    array = ramp(frames, channels, "int16")
    stream = pong.InputStream(RATE, blocksize, array, extra_settings=virtual(sizes), buffers=buffers)
    np.testing.assert_array_equal(record(stream), array)


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, st.integers(1, 300), st.integers(1, 1500), st.integers(1, 6), st.integers(0, 500))
def test_callbacks_of_various_sizes_play(sizes, parts, blocksize, frames, buffers, prefill):
    """Each callback may have another size, and each part that is written; the prefill's silence comes first."""
    array = ramp(frames)
    sink = np.full((prefill + frames, 1), -1, "int32")
    options = {"extra_settings": virtual(sizes), "buffers": buffers, "prefill": prefill}
    with pong.OutputStream(RATE, blocksize, sink, **options) as stream:
        at = turn = 0
        while at < frames:
            stream.write(array[at : at + parts[turn % len(parts)], 0])
            at += parts[turn % len(parts)]
            turn += 1
    assert not sink[:prefill].any()
    np.testing.assert_array_equal(sink[prefill:], array)
    assert (stream.underflow, stream.position) == (0, prefill + frames)


@pytest.mark.parametrize("buffers", [1, 2, 1024])
def test_pools_of_any_size(buffers):
    array = ramp(3001)
    np.testing.assert_array_equal(record(pong.InputStream(RATE, 64, array, buffers=buffers)), array)


# --- formats


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("ending", "subtype"), FORMATS)
def test_files_of_any_format(tmp_path, ending, subtype, rate, channels):
    """Speech, each channel its own, with bits down to the last that the format has."""
    shift = 16 if subtype == "PCM_16" else 8
    columns = [np.roll(SPEECH[:, 0], 100 * k) // (k + 1) >> shift << shift for k in range(channels)]
    path, out = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    speech = np.stack(columns, 1)
    # As a float the quotient by 3 has no end: each of its bits counts.
    soundfile.write(path, (speech / 2**31 / 3).astype("float32") if subtype == "FLOAT" else speech, rate, subtype)
    recorded = copy_file(path, out)
    same(out, path)
    kind = {"PCM_16": "int16", "PCM_24": "int32", "FLOAT": "float32"}[subtype]
    assert recorded.dtype == kind
    np.testing.assert_array_equal(recorded, soundfile.read(path, dtype=kind, always_2d=True)[0])


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_ogg_is_what_soundfile_decodes(tmp_path, rate, channels):
    soundfile.write(tmp_path / "in.ogg", np.repeat(SPEECH, channels, 1), rate)
    stream = pong.InputStream(device=tmp_path / "in.ogg", extra_settings=virtual(100))
    assert (stream.dtype, stream.samplerate) == (np.float32, rate)
    decoded = soundfile.read(tmp_path / "in.ogg", dtype="float32", always_2d=True)[0]
    np.testing.assert_array_equal(record(stream), decoded)


def test_what_ends_waits_for_the_program(tmp_path):
    """An MP3 does not tell its length, but it has an end: by itself the device has no clock, and nothing is lost."""
    soundfile.write(tmp_path / "in.mp3", SPEECH, RATE)
    stream = pong.InputStream(device=tmp_path / "in.mp3", blocksize=64, buffers=1)
    assert len(record(stream)) >= len(SPEECH)
    # No clock: the time is that of the position, not of the day.
    assert stream.time == stream.position / RATE


@pytest.mark.skipif(
    not os.environ.get("PONG_CI") and not ALSA.is_dir(), reason="no speech of others here: install alsa-utils"
)
def test_speech_that_others_recorded(tmp_path):
    """All of alsa-utils' files, whole, and our own voice: as they are, and as FLAC."""
    files = [VOICE, *sorted(ALSA.glob("*.wav"))]
    assert len(files) > 5, f"no speech in {ALSA}: install alsa-utils"
    for number, path in enumerate(files):
        sizes = {"callback_size": CALLBACK_SIZES[number % 6 + 1], "blocksize": BLOCK_SIZES[number % 5 + 1]}
        copy_file(path, tmp_path / "out.wav", **sizes)
        same(tmp_path / "out.wav", path)
        copy_file(path, tmp_path / "out.flac", **sizes)
        np.testing.assert_array_equal(
            soundfile.read(tmp_path / "out.flac", dtype="int32")[0], soundfile.read(path, dtype="int32")[0]
        )


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint32", "float32", "float64", "complex64", "V3"])
def test_arrays_of_any_dtype(dtype):
    """An array's samples are bytes to the device: packed int24 and others that no sound file has."""
    raw = np.random.default_rng(5).integers(0, 256, 2003 * 2 * np.dtype(dtype).itemsize, "uint8")
    array = raw.view(dtype).reshape(2003, 2)
    recorded = record(pong.InputStream(RATE, 100, array))
    assert recorded.dtype == array.dtype
    assert recorded.tobytes() == array.tobytes()


@pytest.mark.parametrize(("seconds", "frames"), [(0.5, 500), (0.0104, 10), (2.0, 1001), (1.001, 1001)])
def test_seconds_limit_an_array_as_they_do_a_file(tmp_path, seconds, frames):
    array = ramp(1001, 1, "int16")
    soundfile.write(tmp_path / "in.wav", array, 1000)
    for device in (array, tmp_path / "in.wav"):
        recorded = record(pong.InputStream(1000, 64, device, extra_settings=virtual(100, seconds=seconds)))
        np.testing.assert_array_equal(recorded, array[:frames])
