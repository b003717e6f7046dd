"""What a stream opens as its virtual device."""

import math
import os

import numpy as np

from pong.streams.opening import Format
from pong.streams.settings import VirtualSettings
from pong.streams.virtual import VirtualDevice
from pong.streams.virtual_card import CardInput, CardOutput

__all__ = ["VirtualSetup", "check_not_one_file"]

LATENCIES = {"low": 0.02, "high": 0.1}


def check_duplex(pool, callback_size, prefill):
    """Raise if the device and a program that sends on what it receives would wait for each other without a clock."""
    sizes = [int(size) for size in np.atleast_1d(callback_size)]
    blocksize = pool.blocksize
    # Callbacks may end at each multiple of this within a block, at the worst one step before its end.
    step = math.gcd(blocksize, *sizes)
    if prefill < blocksize - step:
        raise ValueError(
            f"prefill must be at least {blocksize - step} frames, not {prefill}: without a clock the device would wait "
            f"for a block of {blocksize} that it has not heard yet"
        )
    # The blocks that are touched by what a callback hears and by what is yet to be played.
    most = max(sizes) + prefill
    needed = max(-(-end // blocksize) - (end - most) // blocksize for end in range(0, blocksize, step))
    if len(pool) < needed:
        raise ValueError(
            f"buffers must be at least {needed}, not {len(pool)}, for callbacks of {max(sizes)} frames that are sent "
            f"on in blocks of {blocksize} and played after {prefill} frames of silence"
        )


def check_not_one_file(heard, played):
    """Raise if both are one sound file, which would be overwritten before it is heard."""
    files = [path for path in (heard, played) if isinstance(path, (str, os.PathLike)) and os.path.isfile(path)]
    if len(files) == 2 and os.path.samefile(*files):
        raise ValueError(f"{os.fspath(played)}: the output is the input")


class VirtualSetup:
    """A virtual device before it is made: what it hears, where its output goes, and in which format.

    Parameters
    ----------
    request : Request
        What was asked for.

    Attributes
    ----------
    samplerate : float
        Frames per second.
    input, output : Format or None
        Samples of each direction that there is.
    cards : list
        The threads behind the device: see `CardInput`, `CardOutput`.
    subtype : str or None
        Sample format of an input file, as soundfile names it.
    latency : float
        Seconds that a callback may be late.
    """

    def __init__(self, request):
        request.refuse("virtual")
        settings = request.settings(VirtualSettings, "virtual")
        heard, played = request.device
        one = heard == played if isinstance(heard, str) else heard is played
        if request.kind == "duplex" and one and heard is not None:
            raise ValueError(f"device must be a pair (input, output) for a virtual device, not {heard!r}")
        check_not_one_file(heard, played)
        self.latency = LATENCIES["high"] if request.latency is None else request.latency
        if isinstance(self.latency, str):
            if self.latency not in LATENCIES:
                raise ValueError(f"latency must be 'low', 'high' or seconds, not {self.latency!r}")
            self.latency = LATENCIES[self.latency]
        self.callback_size = settings.callback_size if request.callback_size is None else request.callback_size
        self.callback = request.callback
        self.samplerate, channels, dtype = request.samplerate, request.channels[1], request.dtype[1]
        self._in = self._out = self.input = self.output = self.subtype = None
        if request.hears:
            self._in = card = CardInput(
                heard, self.samplerate, request.channels[0], request.dtype[0], settings.seconds
            )
            self.samplerate, self.subtype = card.samplerate, card.subtype
            self.input = Format(card.channels, card.dtype)
            if not hasattr(played, "dtype"):
                # The output is what the input is, unless it says otherwise itself.
                channels = self.input.channels if channels is None else channels
                dtype = self.input.dtype if dtype is None else dtype
        if request.plays:
            self._out = card = CardOutput(played, self.samplerate, channels, dtype, settings.subtype)
            self.samplerate, self.output = card.samplerate, Format(card.channels, card.dtype)
        self.cards = [card for card in (self._in, self._out) if card is not None]
        self.speed = settings.speed
        if self.speed == "auto":
            # What has an end waits; what has none would never.
            self.speed = 0 if self.cards[0].has_end else 1

    def open(self, capture, playback, pool, *, prefill, process, process_output, **_):
        """Make the device.

        Parameters
        ----------
        capture : Sender or None
        playback : Receiver or None
            The device's ends of the links.
        pool : BufferPool or None
            Of the input.
        prefill : int or None
            Frames of silence to play first.
        process, process_output
            As for a stream; what only sound cards need is ignored.

        Returns
        -------
        VirtualDevice
        """
        parts = {}
        if self.callback is not None:
            parts["callback"] = self.callback
            if self.output is not None:
                parts["output_format"] = tuple(self.output)
        if prefill is not None:
            parts["prefill"] = prefill
        device = VirtualDevice(
            self.samplerate,
            capture=capture,
            playback=playback,
            source=None if self._in is None else self._in.source,
            sink=None if self._out is None else self._out.sink,
            callback_size=self.callback_size,
            speed=self.speed,
            latency=self.latency,
            process=process,
            process_output=process_output,
            **parts,
        )
        if self.speed == 0 and capture is not None and playback is not None:
            check_duplex(pool, self.callback_size, prefill)
        if self._out is not None:
            self._out.open()
        return device

    def default_prefill(self, blocksize):
        """Return the frames of silence after which what was heard can be played: one block later."""
        return blocksize

    def close(self):
        """Give up: nothing was opened that would stay open."""
