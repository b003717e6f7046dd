"""`pong loopback` through a sound card that is made here: what comes back is known, and so must be found."""

import json

import numpy as np
import pytest
from commands import assert_refused, pong
from needs import needs

from pong import BufferPool, loopback
from pong.loopback import find, measure, noise

RATE = 8000
NOISE = 4000      # frames: half a second
BEGIN = RATE // 10
WAITED = 700      # frames of silence until the program sends


class Card:
    """In place of a stream: plays into an array, and hears what a function makes of it."""

    def __init__(self, back, samplerate, blocksize, pool, lost=0):
        self.loses, lost = lost, 50     # before it began, which does not matter
        self.samplerate, self.lost, self.underflow, self.closed = samplerate or RATE, lost, WAITED, False
        self.back, self.blocksize, self.played = back, blocksize, pool[1]
        self.sender, self.output = self.played.link()
        self.acquire = self.played.acquire

    def start(self):
        pass

    def __iter__(self):
        self.lost += self.loses
        sound = [np.zeros(WAITED, "float32"), *(buf.copy()[:, 0] for buf in self.output)]
        sound = np.concatenate([*sound, np.zeros(2 * self.samplerate, "float32")])
        heard = self.back(sound)
        pool = BufferPool(2, self.blocksize, samplerate=self.samplerate)
        sender, receiver = pool.link()
        for at in range(0, len(heard), self.blocksize):
            part = heard[at : at + self.blocksize]
            if np.isnan(part).any():
                continue    # lost
            with pool.acquire() as buf:
                buf.write(part)
                buf.position = at
                sender.send(buf)
            yield receiver.recv()

    def close(self):
        self.closed = True


@pytest.fixture
def card(monkeypatch):
    """Return a function that puts a card in place of the stream; the cards that were made are in its list."""
    made = []

    def use(back, **options):
        def stream(samplerate, blocksize, device, channels, dtype, *, pool, prefill, **_):
            assert (channels, dtype, prefill) == (1, "float32", 0)
            made.append(Card(back, samplerate, blocksize, pool, **options))
            return made[-1]

        monkeypatch.setattr(loopback, "Stream", stream)
        return made

    return use


def later(frames):
    """Return a function that delays sound."""
    return lambda sound: np.concatenate([np.zeros(frames, "float32"), sound])


@pytest.mark.parametrize("frames", [0, 1, 128, 1023, 7000])
def test_the_round_trip(card, frames):
    made = card(later(frames))
    result = measure("jack", seconds=NOISE / RATE)
    assert (result.found, result.latency, result.exact, result.snr) == (True, frames, True, None)
    assert (result.seconds, result.frames, result.samplerate) == (frames / RATE, NOISE, RATE)
    assert (result.lost, result.underflow) == (0, 0)
    assert made[0].closed


def test_one_bit_that_is_wrong(card):
    def back(sound):
        sound[WAITED + BEGIN + 1000] += 2.0**-15
        return later(64)(sound)

    card(back)
    result = measure("jack", seconds=NOISE / RATE)
    assert (result.found, result.latency, result.exact) == (True, 64, False)
    expected = 10 * np.log10(np.square(noise(NOISE), dtype="float64").sum() / 2.0**-30)
    assert result.snr == pytest.approx(expected)


def test_a_cable(card):
    """Half as loud, upside down, with hiss of its own: found at the same place."""
    rng = np.random.default_rng(2)
    card(lambda sound: later(300)(-sound / 2) + rng.normal(0, 0.02, len(sound) + 300).astype("float32"))
    result = measure("jack", seconds=NOISE / RATE)
    assert (result.found, result.latency, result.exact) == (True, 300, False)
    assert result.snr < 0


def test_lost_frames(card):
    """A block of the noise was lost: the rest stands where it was, and the place is right."""
    def back(sound):
        sound = later(500)(sound)
        sound[3 * 1024 : 4 * 1024] = np.nan
        return sound

    card(back, lost=1024)
    result = measure("jack", seconds=NOISE / RATE)
    assert (result.found, result.latency, result.exact, result.lost) == (True, 500, False, 1024)
    assert 0 < result.snr < 20


@pytest.mark.parametrize("level", [0.0, 0.1])
def test_nothing_that_comes_back(card, level):
    """Silence, and a hiss that is another noise."""
    rng = np.random.default_rng(3)
    card(lambda sound: rng.normal(0, level, len(sound)).astype("float32"))
    result = measure("jack", seconds=NOISE / RATE)
    assert (result.found, result.latency, result.seconds, result.exact, result.snr) == (False, None, None, False, None)


def test_where_the_signal_is():
    heard = np.zeros(20_000, "float32")
    heard[3000 : 3000 + NOISE] = noise(NOISE)
    assert find(noise(NOISE), heard) == 3000
    assert find(noise(NOISE), heard[:100]) is None


def test_the_signal():
    """The same each time, whole numbers of 16 bits, and not loud."""
    np.testing.assert_array_equal(noise(1000), noise(1000))
    scaled = noise(100_000) * 32768.0
    np.testing.assert_array_equal(scaled, np.rint(scaled))
    assert np.abs(noise(100_000)).max() <= 0.5


def test_a_rate_with_more_frames_than_buffers(card):
    made = card(later(0))
    with pytest.raises(ValueError, match="seconds must be less than 4 at 384000 Hz"):
        measure("portaudio", seconds=4, samplerate=384_000)
    assert made[0].closed


def test_seconds_beyond_what_is_possible():
    with pytest.raises(ValueError, match="seconds must be at most 4, not 5"):
        measure("portaudio", seconds=5)


def test_the_command(tmp_path, card):
    card(later(128))
    done = pong("loopback", "--device", "portaudio:2", "--seconds", 0.5, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    what = "round trip 128 frames, 16.00 ms at 8000 Hz; 4000 frames bit-exact; 0 lost, 0 underflow"
    assert done.stdout == f"portaudio:2: {what}\n"
    done = pong("loopback", "--device", "jack", "--seconds", 0.5, "--samplerate", 16000, "--json", cwd=tmp_path)
    assert json.loads(done.stdout) == {
        "device": "jack", "found": True, "latency": 128, "seconds": 0.008, "frames": 8000, "exact": True, "snr": None,
        "lost": 0, "underflow": 0, "samplerate": 16000,
    }


def test_the_command_when_it_is_not_exact(tmp_path, card):
    card(lambda sound: later(1)(sound * np.float32(0.5)))
    done = pong("loopback", "--seconds", 0.5, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("portaudio: round trip 1 frame, 0.12 ms at 8000 Hz; 4000 frames not exact, ")
    assert "signal-to-noise ratio 6.0 dB" in done.stdout


def test_the_command_when_nothing_comes_back(tmp_path, card):
    card(lambda sound: sound * 0)
    done = pong("loopback", "--seconds", 0.5, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "portaudio: the noise did not come back\n", "")
    assert json.loads(pong("loopback", "--json", cwd=tmp_path).stdout)["found"] is False


def test_a_real_stream_that_hears_nothing(tmp_path):
    needs("miniaudio")
    done = pong("loopback", "--device", "miniaudio:null", "--seconds", 0.1, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "miniaudio:null: the noise did not come back\n")
    assert_refused(pong("loopback", "--device", "miniaudio:none", cwd=tmp_path), "'none' is in the names of 0")
