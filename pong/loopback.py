"""How long sound takes through a sound card and back, and whether it comes back exactly: the command ``loopback``."""

import math
import os
from dataclasses import dataclass

import numpy as np

from pong._pool import BufferPool
from pong.streams.jack_client import close_client, connect_ports, open_client
from pong.streams.opening import split_name
from pong.streams.settings import JackSettings
from pong.streams.signals import as_frames
from pong.streams.stream import Stream

__all__ = ["Loopback", "find", "measure"]

BLOCKSIZE = 1024
BUFFERS = 64         # for the input: more than a second of it
MOST_SECONDS = 4
LEAD = 0.1           # seconds of silence first: levels settle meanwhile
TAIL = 1.0           # seconds of listening after the noise: the longest round trip that can be found
PATIENCE = 2.0       # seconds for a JACK server to connect ports
LIKENESS = 0.25      # a correlation of noise with what is not that noise stays far below


@dataclass(frozen=True)
class Loopback:
    """What came back of a known signal.

    Attributes
    ----------
    found : bool
        Whether it came back.
    latency : int or None
        Frames from being played to being heard; None if it did not come back.
    seconds : float or None
        The same in seconds.
    frames : int
        Frames of noise that were played.
    exact : bool
        Whether all of them came back bit by bit.
    snr : float or None
        Signal-to-noise ratio of what came back in dB; None if it is exact, or did not come back.
    lost : int
        Frames of the input that were lost meanwhile.
    underflow : int
        Frames of silence played meanwhile because nothing was there in time.
    samplerate : float
        Frames per second.
    """

    found: bool
    latency: int | None
    seconds: float | None
    frames: int
    exact: bool
    snr: float | None
    lost: int
    underflow: int
    samplerate: float


def noise(frames):
    """Return the signal, the same each time: float32, at most half of full scale, exact in 16 bits."""
    return (np.random.default_rng(1).integers(-(1 << 14), 1 << 14, frames) / (1 << 15)).astype("float32")


def find(signal, heard):
    """Find a signal in what was heard.

    Parameters
    ----------
    signal, heard : ndarray
        Shape ``(frames,)``, float.

    Returns
    -------
    int or None
        The frame where it begins; None if it is not there. A change of level or of polarity does not matter.
    """
    if len(heard) < len(signal):
        return None
    size = 1 << (len(heard) + len(signal)).bit_length()
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(signal, size))
    places = np.abs(np.fft.irfft(spectrum, size)[: len(heard) - len(signal) + 1])
    at = int(places.argmax())
    there = heard[at : at + len(signal)].astype("float64")
    energy = math.sqrt(float(np.dot(there, there)) * float(np.dot(signal, signal.astype("float64"))))
    return at if energy and places[at] > LIKENESS * energy else None


def compare(signal, heard, begin, **counts):
    """Return how a signal that was played from a position on came back.

    Parameters
    ----------
    signal, heard : ndarray
        Shape ``(frames,)``, float32.
    begin : int
        Position of the signal in what was played.
    counts
        What else `Loopback` tells.

    Returns
    -------
    Loopback
    """
    at = find(signal, heard)
    if at is None:
        return Loopback(False, None, None, len(signal), False, None, **counts)
    there = heard[at : at + len(signal)]
    exact = bool(np.array_equal(there, signal))
    snr = None
    if not exact:
        wrong = float(np.square(there - signal.astype("float64")).sum())
        snr = 10 * math.log10(float(np.square(signal, dtype="float64").sum()) / wrong)
    return Loopback(True, at - begin, (at - begin) / counts["samplerate"], len(signal), exact, snr, **counts)


def connect(client):
    """Connect the output of one of JACK's clients to its input."""
    other = open_client("pong wire")
    try:
        connect_ports(other, [(f"{client}:output_1", f"{client}:input_1")], PATIENCE)
    finally:
        close_client(other)


def play_all(stream, sound):
    """Send a sound as a whole, so that nothing Python does later can come too late for it.

    Returns
    -------
    tuple of (int, int)
        Frames of silence that were played until it was there, and frames of the input that were lost until then.
    """
    blocks = []
    for at in range(0, len(sound), BLOCKSIZE):
        buf = stream.acquire(0)
        buf.write(sound[at : at + BLOCKSIZE])
        blocks.append(buf)
    stream.sender.send_many(blocks)
    stream.sender.close()
    return stream.underflow, stream.lost


def hear(stream, frames):
    """Receive so many frames, each at its position; what was lost is silence."""
    heard = np.zeros(frames, "float32")
    for buf in stream:
        with buf:
            part = heard[buf.position : buf.position + buf.frames]
            part[:] = buf.samples[: len(part), 0]
            if buf.position + buf.frames >= frames:
                break
    return heard


def measure(device="portaudio", *, seconds=1.0, samplerate=None, callback_size=None, wire=False):
    """Measure the round trip through a sound card: play noise, and find it in what is heard.

    The first channel of the output must be connected to the first one of the input.

    Parameters
    ----------
    device : str
        ``portaudio``, ``jack`` or ``miniaudio``, and after a colon the device of a stream, if not the default one.
    seconds : float
        How much noise, at most 4.
    samplerate, callback_size : optional
        As for a stream.
    wire : bool
        Connect the stream's own output to its own input: for JACK.

    Returns
    -------
    Loopback

    Raises
    ------
    ValueError
        Not a sound card, or a parameter is out of range.
    StreamError, OSError, ImportError
        As for a stream.

    Notes
    -----
    Thread: any. Blocks: for `seconds` and a little more than one. Allocates: yes.
    """
    backend, name = split_name(device)
    if backend not in ("portaudio", "jack", "miniaudio"):
        raise ValueError(f"device must be portaudio[:DEVICE], jack[:CLIENT] or miniaudio[:DEVICE], not {device!r}")
    if wire and (backend, name) != ("jack", None):
        raise ValueError(f"wire is for jack alone, which then needs no other device, not for {device!r}")
    if seconds > MOST_SECONDS:
        raise ValueError(f"seconds must be at most {MOST_SECONDS}, not {seconds!r}")
    client = f"pong loopback {os.getpid()}"
    settings = {"extra_settings": JackSettings(client, connect=not wire)} if backend == "jack" else {}
    # As many buffers as there can be: the rate, and so how many it takes, is known only when the stream is open.
    played = BufferPool(1024, BLOCKSIZE, 1, "float32", on_empty="raise", max_links=1)
    stream = Stream(
        samplerate, BLOCKSIZE, name, 1, "float32", backend=backend, callback_size=callback_size, buffers=BUFFERS,
        prefill=0, pool=(None, played), **settings,
    )
    try:
        lead = round(LEAD * stream.samplerate)
        signal = noise(as_frames(seconds, stream.samplerate))
        if lead + len(signal) > len(played) * BLOCKSIZE:
            raise ValueError(f"seconds must be less than {seconds:g} at {stream.samplerate:g} Hz")
        stream.start()
        if wire:
            connect(client)
        waited, before = play_all(stream, np.concatenate([np.zeros(lead, "float32"), signal]))
        begin = waited + lead
        heard = hear(stream, begin + len(signal) + round(TAIL * stream.samplerate))
        return compare(
            signal, heard, begin, lost=stream.lost - before, underflow=stream.underflow - waited,
            samplerate=stream.samplerate,
        )
    finally:
        stream.close()
