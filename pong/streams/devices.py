"""Which devices there are."""

from dataclasses import dataclass
from importlib import import_module

from pong.errors import StreamError
from pong.streams.extras import naming_extras
from pong.streams.hush import hushed
from pong.streams.opening import BACKENDS

__all__ = ["CARD_BACKENDS", "Device", "query_devices"]


@dataclass(frozen=True)
class Device:
    """A device, or a family of them.

    Attributes
    ----------
    name : str
        As the command line takes it, and a stream's ``device``; capitals stand for something of your own, brackets for
        what may be left out.
    kind : {"input", "output"}
        Whether it hears or plays. What does both is there twice.
    backend : str
        Which kind of device: the ``backend`` of a stream.
    description : str
        What it is.
    channels : int or None
        How many audio channels it has at most; None: as many as asked for, or its library does not tell.
    samplerate : float or None
        Its own, in frames per second; None: any, or its library does not tell.
    """

    name: str
    kind: str
    backend: str
    description: str
    channels: int | None = None
    samplerate: float | None = None


VIRTUAL = (
    ("virtual:FILE", "input", "a sound file: WAV, FLAC, OGG and what else soundfile reads"),
    ("virtual:tone[:HZ]", "input", "a sine tone, 440 Hz unless given, without an end"),
    ("virtual:sweep[:FROM-TO]", "input", "an exponential sine sweep, 20-20000 Hz unless given"),
    ("virtual:silence", "input", "silence, without an end"),
    ("virtual:FILE", "output", "a sound file, written in the format that its ending names"),
    ("virtual:null", "output", "nowhere"),
)


def virtual_devices():
    """Return the families of virtual devices."""
    return [Device(name, kind, "virtual", description) for name, kind, description in VIRTUAL]


def directions(backend, name, description, heard, played, samplerate):
    """Return a device once for each direction in which it has channels."""
    return [
        Device(f"{backend}:{name}", kind, backend, description, channels, samplerate)
        for kind, channels in (("input", heard), ("output", played))
        if channels
    ]


def portaudio_devices(found):
    """Return PortAudio's devices: by number, for names need not differ."""
    return [
        device
        for number, (name, heard, played, rate, api) in enumerate(found)
        for device in directions("portaudio", number, f"{name} ({api})", heard, played, rate)
    ]


def jack_devices(found):
    """Return the clients of a JACK server: what one of them plays can be heard."""
    return [
        device
        for name, heard, played, rate in found
        for device in directions("jack", name, "a client of the JACK server", heard, played, float(rate))
    ]


def miniaudio_devices(found):
    """Return miniaudio's devices, and its own that is always there."""
    nowhere = [
        Device("miniaudio:null", "input", "miniaudio", "silence, at a clock's pace"),
        Device("miniaudio:null", "output", "miniaudio", "nowhere, at a clock's pace"),
    ]
    return nowhere + [
        Device(f"miniaudio:{name}", "input" if heard else "output", "miniaudio", "a sound card")
        for name, heard, _ in found
    ]


READERS = {"portaudio": portaudio_devices, "jack": jack_devices, "miniaudio": miniaudio_devices}
CARD_BACKENDS = tuple(READERS)


def query_devices(backend=None):
    """Return the devices that streams can open.

    Parameters
    ----------
    backend : "portaudio", "jack", "miniaudio" or "virtual", optional
        Only its devices. Unless given those of all back ends that are there; one whose package, library or server is
        missing has none.

    Returns
    -------
    list of Device

    Raises
    ------
    ValueError
        There is no such back end.
    ImportError, OSError, StreamError
        The back end asked for is not there: its package, its library, its server.

    Notes
    -----
    While libraries look for devices, nothing that the process writes to the file descriptor of standard error comes
    through: some write there what they have not found.
    Thread: any. Blocks: for libraries and servers. Allocates: the list.
    """
    if backend is None:
        found = virtual_devices()
        for each in CARD_BACKENDS:
            try:
                found += query_devices(each)
            except (ImportError, OSError, StreamError):
                continue
        return found
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(map(repr, BACKENDS))}, not {backend!r}")
    if backend == "virtual":
        return virtual_devices()
    with hushed(), naming_extras():
        found = import_module(f"pong.streams.{backend}").devices()
    return READERS[backend](found)
