"""What virtual devices play from and record into: files, what else a name stands for, and the threads between.

A source has ``samplerate``, ``channels``, ``dtype`` (the one that holds its samples without loss), ``subtype`` (its
sample format, as soundfile names it), ``frames`` (how many it has in all; None when it is endless, or cannot know),
``read_into`` and ``close``. A sink has ``frames`` (how many it holds), ``write`` and ``close``. Each is for one thread
at a time. Files are soundfile's work; it is imported when the first one is opened.
"""

from pong.streams.carriers import Feeder, Writer
from pong.streams.signals import Silence, Sweep, Tone
from pong.streams.sinks import NullSink, SoundSink, open_sink
from pong.streams.sources import DTYPES, SoundSource, open_source

__all__ = [
    "DTYPES",
    "Feeder",
    "NullSink",
    "Silence",
    "SoundSink",
    "SoundSource",
    "Sweep",
    "Tone",
    "Writer",
    "open_sink",
    "open_source",
]
