"""``pong demo``: speech recorded while other threads hold the GIL, through pong and in the customary way."""

import contextlib
import gc
import math
import queue
import threading
import time
import tracemalloc
import wave
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from pong.errors import ClosedError
from pong.streams.settings import VirtualSettings
from pong.streams.stream import InputStream

__all__ = ["Outcome", "demonstrate", "table"]

VOICE = Path(__file__).parent / "examples" / "voice.wav"
SAMPLERATE = 48000
CALLBACK = 128       # frames in one block of the device
BLOCKSIZE = 1024     # frames in one of pong's buffers, filled by eight callbacks, as in the browser
BUFFERS = 224        # 4.8 seconds; the queue of the customary way holds as much
HOLD = 0.24          # seconds that a C call holds the GIL
HOLDERS = 2
TIMINGS = 5          # of a call, to learn how long it takes
COUNTED = 512        # blocks in the counting of copies and allocations


@dataclass
class Outcome:
    """How one way did.

    Attributes
    ----------
    way : str
        What it is.
    expected, delivered, lost : int
        Blocks of the device, `CALLBACK` frames each.
    frames_lost : int
        Frames that were never delivered.
    copies : str
        Copies of each block, and who made them.
    allocations : float
        Objects that live for each block while it is held, as tracemalloc counts them.
    latency_median, latency_worst : float
        From the last frame of what was delivered to Python having it, in seconds; nan if nothing was delivered.
    exact : bool
        Whether the recording is the source, bit by bit.
    curve : list of (float, float)
        Seconds since the beginning, and seconds of sound delivered until then.
    """

    way: str
    expected: int = 0
    delivered: int = 0
    lost: int = 0
    frames_lost: int = 0
    copies: str = ""
    allocations: float = 0.0
    latency_median: float = float("nan")
    latency_worst: float = float("nan")
    exact: bool = False
    curve: list = field(default_factory=list, repr=False)


def speech(seconds):
    """Return the bundled voice at 48 kHz, repeated to a length: int16, shape ``(frames, 1)``."""
    with wave.open(str(VOICE)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        rate = file.getframerate()
    at = np.arange(int(len(samples) * SAMPLERATE / rate)) * rate / SAMPLERATE
    voice = np.interp(at, np.arange(len(samples)), samples).round().astype("int16")
    return np.resize(voice, (round(seconds * SAMPLERATE), 1))


class Holders:
    """Threads that hold the GIL in C calls, as an image decoder, a parser or a big sort does.

    Parameters
    ----------
    seconds : float
        How long each call holds it, at least.
    number : int
        How many threads.
    """

    def __init__(self, seconds=HOLD, number=HOLDERS):
        self.begun = threading.Event()
        self.over = threading.Event()
        # `sum` of a range is one C call, which never looks whether another thread wants the GIL.
        size, took = 1 << 16, 0.0
        while took < seconds / 8:
            size *= 2
            # The fastest counts: whatever else the machine did meanwhile would make the calls too short.
            took = min(self.time_of(size) for _ in range(TIMINGS))
        self.size = math.ceil(size * seconds / took)
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(number)]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def time_of(size):
        """Return how long one call of a size took."""
        began = time.perf_counter()
        sum(range(size))
        return time.perf_counter() - began

    def run(self):
        """Hold the GIL again and again, from `__enter__` to `__exit__`."""
        self.begun.wait()
        while not self.over.is_set():
            sum(range(self.size))

    def __enter__(self):
        self.begun.set()

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


class Notes:
    """What the consumer notes of each delivery; both ways do exactly the same.

    Parameters
    ----------
    source : ndarray
        What is played, shape ``(frames, 1)``.
    """

    def __init__(self, source):
        self.source = source
        self.recording = np.zeros_like(source)
        self.had = bytearray(len(source))
        self.bytes = memoryview(self.recording).cast("B")
        self.latencies = []
        self.curve = [(0.0, 0.0)]
        self.frames = 0

    def take(self, samples, position, late):
        """Keep a block: ``late`` is its latency in seconds."""
        # NumPy gives the GIL away to copy more than 500 items, and would wait for it anew at each block.
        at = position * self.source.itemsize
        self.bytes[at : at + samples.nbytes] = memoryview(samples).cast("B")
        self.had[position : position + len(samples)] = b"\1" * len(samples)
        self.frames += len(samples)
        self.latencies.append(late)

    def mark(self, now):
        """Note how much has been delivered by now."""
        self.curve.append((now, self.frames / SAMPLERATE))

    def outcome(self, way):
        """Return what became of it."""
        had = np.frombuffer(self.had, bool)
        # A block counts as delivered if each of its frames came.
        whole = np.logical_and.reduceat(had, np.arange(0, len(had), CALLBACK))
        expected, delivered = len(whole), int(whole.sum())
        late = np.array(self.latencies or [np.nan])
        return Outcome(
            way=way, expected=expected, delivered=delivered, lost=expected - delivered,
            frames_lost=len(had) - int(had.sum()),
            latency_median=float(np.median(late)), latency_worst=float(late.max()),
            exact=len(had) == len(self.source) == self.frames and bool(had.all())
            and np.array_equal(self.recording, self.source), curve=self.curve,
        )


def device_of(source, speed, **options):
    """Open the device that both ways record from."""
    settings = VirtualSettings(callback_size=CALLBACK, speed=speed)
    return InputStream(SAMPLERATE, device=source, extra_settings=settings, **options)


def with_pong(source, holders):
    """Record through pong: native callbacks fill buffers, Python gets them when it can."""
    notes = Notes(source)
    with device_of(source, 1, blocksize=BLOCKSIZE, buffers=BUFFERS) as stream, holders:
        for first in stream:
            try:
                blocks = [first, *stream.drain()]
            except ClosedError:
                blocks = [first]
            now = stream.time
            for buf in blocks:
                with buf:
                    notes.take(buf.samples, buf.position, now - buf.time - buf.frames / SAMPLERATE)
            notes.mark(now)
            # The last buffer goes home before the next is awaited.
            del first, buf, blocks
    return notes.outcome("pong")


def customarily(source, holders):
    """Record as is usual: a callback in Python copies each block into a bounded queue."""
    notes = Notes(source)
    blocks = queue.Queue(BUFFERS * BLOCKSIZE // CALLBACK)

    def callback(indata, frames, time, status):
        with contextlib.suppress(queue.Full):
            blocks.put_nowait((indata.copy(), time.inputBufferAdcTime))

    with device_of(source, 1, blocksize=CALLBACK, callback=callback) as stream, holders:
        while stream.active or not blocks.empty():
            try:
                found = [blocks.get(timeout=0.05)]
                while not blocks.empty():
                    found.append(blocks.get_nowait())
            except queue.Empty:
                continue
            now = stream.time
            for samples, began in found:
                notes.take(samples, round(began * SAMPLERATE), now - began - len(samples) / SAMPLERATE)
            notes.mark(now)
    return notes.outcome("Python callback, copy, Queue")


def count_objects(receive):
    """Return what a function returns, and how many objects more live after it, as tracemalloc counts them."""
    gc.collect()
    tracemalloc.start()
    try:
        kept = receive()
        return kept, len(tracemalloc.take_snapshot().traces)
    finally:
        tracemalloc.stop()


def count_pong(source):
    """Return (copies, objects) for each block through pong, without a clock, its slots in use for the second time."""
    buffers = COUNTED * CALLBACK // BLOCKSIZE

    def receive():
        kept = [stream.recv() for _ in range(buffers)]
        for buf in kept:
            assert len(buf.samples) == BLOCKSIZE
        return kept

    with device_of(source, 0, blocksize=BLOCKSIZE, buffers=buffers) as stream:
        for buf in receive():
            buf.release()
        del buf
        kept, objects = count_objects(receive)
        copies = sum(not np.shares_memory(buf.samples, source) for buf in kept) / len(kept)
        for buf in kept:
            buf.release()
        stream.abort()
    return copies, objects / COUNTED


def count_customary(source):
    """Return the same for the customary way."""
    kept = []
    devices = []

    def callback(indata, frames, time, status):
        devices.append(indata.__array_interface__["data"][0])
        kept.append((indata.copy(), time.inputBufferAdcTime))

    def receive():
        with device_of(source[: COUNTED * CALLBACK], 0, blocksize=CALLBACK, callback=callback) as stream:
            stream.wait()
        return kept

    _, objects = count_objects(receive)
    copies = sum(samples.ctypes.data != device for (samples, _), device in zip(kept, devices, strict=True)) / len(kept)
    return copies, objects / COUNTED


def demonstrate(seconds=6.0):
    """Record speech in both ways while other threads hold the GIL.

    Parameters
    ----------
    seconds : float
        How much speech each way gets.

    Returns
    -------
    list of Outcome
        Of pong, and of the customary way.

    Notes
    -----
    Thread: main. Blocks: about twice ``seconds``. Allocates: yes.
    """
    source = speech(seconds)
    counts = speech(2 * COUNTED * CALLBACK / SAMPLERATE)
    outcomes = []
    for record, count, who in (with_pong, count_pong, "native code"), (customarily, count_customary, "Python"):
        outcome = record(source, Holders())
        copies, outcome.allocations = count(counts)
        outcome.copies = f"{copies:g}, in {who}"
        outcomes.append(outcome)
    return outcomes


def table(outcomes):
    """Return the outcomes side by side, as text."""
    rows = [
        ("", [outcome.way for outcome in outcomes]),
        ("blocks expected", [str(outcome.expected) for outcome in outcomes]),
        ("blocks delivered", [str(outcome.delivered) for outcome in outcomes]),
        ("blocks lost", [str(outcome.lost) for outcome in outcomes]),
        ("frames lost", [str(outcome.frames_lost) for outcome in outcomes]),
        ("copies per block", [outcome.copies for outcome in outcomes]),
        ("objects made per block", [f"{outcome.allocations:.2f}" for outcome in outcomes]),
        ("latency of what came, median", [f"{outcome.latency_median:.2f} s" for outcome in outcomes]),
        ("latency of what came, worst", [f"{outcome.latency_worst:.2f} s" for outcome in outcomes]),
        ("recording", ["bit-exact" if outcome.exact else "NOT EXACT" for outcome in outcomes]),
    ]
    first = max(len(name) for name, _ in rows)
    widths = [max(len(cells[i]) for _, cells in rows) for i in range(len(outcomes))]
    return "\n".join(
        "  ".join([name.ljust(first), *(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))]).rstrip()
        for name, cells in rows
    )


def setting(seconds):
    """Return one line that says what is shown."""
    buffered = BUFFERS * BLOCKSIZE / SAMPLERATE
    return (
        f"{seconds:g} s of speech at {SAMPLERATE} Hz in callbacks of {CALLBACK} frames, {buffered:.1f} s of buffering "
        f"each, while {HOLDERS} threads hold the GIL in C calls of {HOLD} s"
    )


def as_json(outcomes, seconds):
    """Return the outcomes as plain values for JSON."""
    return {
        "seconds": seconds,
        "samplerate": SAMPLERATE,
        "callback_size": CALLBACK,
        "outcomes": [asdict(outcome) for outcome in outcomes],
    }
