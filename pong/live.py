"""The live line of a command on a terminal: elapsed time, blocks, what was lost, and a level meter."""

import math
import os
import sys
import time

import numpy as np

from pong.streams.int24 import unpack

__all__ = ["LiveLine"]

INTERVAL = 0.1  # seconds between two drawings
FLOOR = -60.0  # dB, the left end of the meter
WIDTH = 24
COLUMNS = 80  # of a terminal that does not tell


def peak_of(samples):
    """Return the peak of a block in dB of full scale: -inf for silence, inf for what is no number."""
    if samples.dtype == "V3":
        samples = unpack(samples)
    peak = max(float(samples.max()), -float(samples.min())) if samples.size else 0.0
    if samples.dtype.kind == "i":
        peak /= -float(np.iinfo(samples.dtype).min)
    if math.isnan(peak):
        return math.inf
    return 20 * math.log10(peak) if peak else -math.inf


def bar(level):
    """Draw a level as a bar."""
    filled = round(WIDTH * min(max((level - FLOOR) / -FLOOR, 0), 1))
    return "#" * filled + "-" * (WIDTH - filled)


class LiveLine:
    """Draws the line on standard error, where that is a terminal, and nothing anywhere else.

    Parameters
    ----------
    missing : str
        Which attribute of the stream counts what went wrong: ``"lost"`` or ``"underflow"``.
    """

    def __init__(self, missing):
        # None: there is no standard error at all.
        self.shown = sys.stderr is not None and sys.stderr.isatty()
        self.missing = missing
        self.blocks = 0
        self.frames = 0
        self.next = 0.0

    def __call__(self, buf, stream):
        """Take note of a block, and draw when it is time."""
        self.blocks += 1
        self.frames += buf.frames
        if not self.shown or time.monotonic() < self.next:
            return
        self.next = time.monotonic() + INTERVAL
        minutes, seconds = divmod(self.frames / stream.samplerate, 60)
        level = peak_of(buf.samples)
        self.draw(
            f"{int(minutes):02}:{seconds:04.1f}  {self.blocks} blocks  {getattr(stream, self.missing)} frames "
            f"{self.missing}  [{bar(level)}] {max(level, FLOOR):5.1f} dB"
        )

    def draw(self, text):
        """Put a text in place of the line, as much of it as one line holds."""
        try:
            columns = os.get_terminal_size(sys.stderr.fileno()).columns or COLUMNS
            sys.stderr.write(f"\r{text[: columns - 1]}\x1b[K")
            sys.stderr.flush()
        except OSError:
            # The terminal is gone; the sound goes on.
            self.shown = False

    def end(self):
        """Erase the line."""
        if self.shown:
            self.draw("")
