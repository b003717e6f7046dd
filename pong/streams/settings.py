"""What streams take and tell beside sound: settings of single back ends, times and flags of a callback."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["CallbackFlags", "JackSettings", "StreamTime", "VirtualSettings"]


@dataclass(frozen=True)
class VirtualSettings:
    """What only a virtual device knows: the ``extra_settings`` of a stream.

    Attributes
    ----------
    callback_size : int or sequence of int
        Frames that the device delivers or asks for at a time; several are used in turn.
    speed : float, None or "auto"
        1 for real time, another number for a multiple of it: with no free buffer frames are dropped, as by hardware.
        0 for no clock: the device waits for the program, and nothing can be lost. None: only `Stream.step` moves the
        device. "auto": 0 for sound that has an end and for output into a file or an array, else 1.
    seconds : float, optional
        How much is heard of the input; all of it unless given, and of generated sound no end.
    subtype : str, optional
        Sample format of an output file, as soundfile names it; one that fits the dtype unless given.
    """

    callback_size: int | Sequence[int] = 128
    speed: float | str | None = "auto"
    seconds: float | None = None
    subtype: str | None = None


@dataclass(frozen=True)
class JackSettings:
    """What only JACK knows: the ``extra_settings`` of a stream.

    Attributes
    ----------
    client_name : str
        What the stream is called among the server's clients; the server adds a number to a name that is taken.
    servername : str, optional
        Which server; the default one unless given.
    connect : bool
        Whether the stream connects its ports to those of the device when it starts. It begins when the server has done
        so, or else a second later.
    freewheel : bool
        Whether the server is in freewheel already when the stream starts; JACK tells only of changes. In freewheel the
        stream waits for the program, up to a second at a time, and nothing is lost.
    """

    client_name: str = "pong"
    servername: str | None = None
    connect: bool = True
    freewheel: bool = False


class StreamTime(NamedTuple):
    """Times of a callback in seconds of the stream, with the names of PortAudio's PaStreamCallbackTimeInfo.

    Attributes
    ----------
    inputBufferAdcTime : float
        When the first frame of ``indata`` was heard.
    currentTime : float
        Now.
    outputBufferDacTime : float
        When the first frame of ``outdata`` will be played.
    """

    inputBufferAdcTime: float
    currentTime: float
    outputBufferDacTime: float


class CallbackFlags(int):
    """What went wrong before a callback: false when nothing did. Bits and names are PortAudio's PaStreamCallbackFlags.

    Attributes
    ----------
    input_underflow, input_overflow, output_underflow, output_overflow, priming_output : bool
        ``input_overflow``: frames were lost before this callback; ``output_underflow``: silence was played.
    """

    __slots__ = ()

    @property
    def input_underflow(self) -> bool:
        """Zeros stand in for input that was not there."""
        return bool(self & 1)

    @property
    def input_overflow(self) -> bool:
        """Frames were lost before this callback."""
        return bool(self & 2)

    @property
    def output_underflow(self) -> bool:
        """Silence was played before this callback."""
        return bool(self & 4)

    @property
    def output_overflow(self) -> bool:
        """Output was thrown away."""
        return bool(self & 8)

    @property
    def priming_output(self) -> bool:
        """The device is being filled before it starts."""
        return bool(self & 16)

    def __repr__(self):
        names = ("input_underflow", "input_overflow", "output_underflow", "output_overflow", "priming_output")
        return f"<pong.CallbackFlags {' '.join(name for name in names if getattr(self, name)) or 'none'}>"

    __str__ = __repr__
