"""What is asked for when a stream is opened, and which back end it is for."""

import os
from dataclasses import dataclass, field, replace
from operator import index
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np

from pong._pool import sample_order
from pong.streams.settings import JackSettings, VirtualSettings

__all__ = [
    "BACKENDS", "FLAGS", "Format", "Request", "SoundCardSetup", "choose_backend", "choose_order",
    "is_virtual", "split_name",
]

BACKENDS = ("portaudio", "jack", "miniaudio", "virtual")
# Whose devices deliver one plane per channel.
PLANAR = ("jack",)
# What only PortAudio knows, by sounddevice's names.
FLAGS = ("clip_off", "dither_off", "never_drop_input", "prime_output_buffers_using_stream_callback")
OF_ONE = {
    **dict.fromkeys((*FLAGS, "latency", "extra_settings"), "portaudio"),
    "callback": "virtual",
}
# Names of sound files, of generated sound and of nowhere: not those of sound cards.
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".au", ".caf", ".w64", ".rf64", ".opus", ".raw")
GENERATED = ("tone", "sweep", "silence", "null")


class Format(NamedTuple):
    """Samples of one direction."""

    channels: int
    dtype: np.dtype


@dataclass(frozen=True)
class Request:
    """The arguments of a stream that say which device, and how it is to be used; pairs are (input, output).

    Attributes
    ----------
    kind : {"input", "output", "duplex"}
        Which directions there are; of the other one a pair holds None.
    samplerate, latency, callback_size
        As for a stream.
    device, channels, dtype, extra_settings : tuple
        As for a stream, for each direction.
    flags : dict
        Those of `FLAGS` that were given.
    callback : callable or None
        The program's, in place of buffers.
    order : tuple
        As for a stream, for each direction.
    """

    kind: str
    samplerate: float | None
    device: tuple[Any, Any]
    channels: tuple[Any, Any]
    dtype: tuple[Any, Any]
    latency: Any
    extra_settings: tuple[Any, Any]
    callback_size: Any = None
    flags: dict[str, bool] = field(default_factory=dict)
    callback: Any = None
    order: tuple[Any, Any] = (None, None)

    @property
    def hears(self):
        """Whether there is an input."""
        return self.kind != "output"

    @property
    def plays(self):
        """Whether there is an output."""
        return self.kind != "input"

    def refuse(self, backend, *names):
        """Raise for what a back end does not know: these arguments, and but for PortAudio its flags."""
        for name in (*names, *(() if backend == "portaudio" else FLAGS)):
            value = self.flags.get(name) if name in FLAGS else getattr(self, name)
            if value not in (None, False, (None, None)):
                raise ValueError(f"{name} does not go with backend {backend!r}, only with {OF_ONE[name]!r}")

    def settings(self, kind, backend):
        """Return the settings of a back end, which has one kind of its own for both directions."""
        given = [each for each in self.extra_settings if each is not None]
        if any(not isinstance(each, kind) for each in given) or len(set(map(id, given))) > 1:
            raise TypeError(f"extra_settings must be {kind.__name__} for backend {backend!r}, not {given[0]!r}")
        return given[0] if given else kind()


def is_virtual(device):
    """Tell whether a device can only be a virtual one: an array, a sound file, generated sound."""
    if isinstance(device, (np.ndarray, os.PathLike)):
        return True
    if not isinstance(device, str):
        return False
    return (
        device.partition(":")[0] in GENERATED or PurePath(device).suffix.lower() in SUFFIXES or os.path.isfile(device)
    )


def split_name(device):
    """Split ``backend:name`` into both; a name alone has no back end, and a back end alone no name.

    A name of digits is PortAudio's number of a device.
    """
    if isinstance(device, str):
        backend, _, name = device.partition(":")
        if backend in BACKENDS:
            number = backend == "portaudio" and name.isascii() and name.isdigit()
            return backend, int(name) if number else name or None
    return None, device


def choose_backend(backend, request):
    """Find out which back end is meant.

    Parameters
    ----------
    backend : str or None
        What was asked for; None: the device tells.
    request : Request
        The rest.

    Returns
    -------
    tuple of (str, Request)
        One of `BACKENDS`, and the request with the devices' own names.

    Raises
    ------
    ValueError
        There is no such back end, or the devices are of two.
    TypeError
        A device is something else.
    """
    if backend is not None and (not isinstance(backend, str) or backend not in BACKENDS):
        raise ValueError(f"backend must be one of {', '.join(map(repr, BACKENDS))}, not {backend!r}")
    for device in request.device:
        if isinstance(device, bool) or not (
            device is None or isinstance(device, (str, os.PathLike, np.ndarray)) or hasattr(type(device), "__index__")
        ):
            raise TypeError(f"device must be a name, a number, a path or an array, not {type(device).__name__}")
    named, devices = zip(*map(split_name, request.device), strict=True)
    meant = {each for each in (backend, *named) if each is not None}
    if len(meant) > 1:
        raise ValueError(f"device {request.device!r} is of another back end than {sorted(meant)[0]!r}")
    # A number may be one of NumPy's.
    devices = tuple(index(each) if isinstance(each, np.integer) else each for each in devices)
    settings = {type(each) for each in request.extra_settings}
    if meant:
        backend = meant.pop()
    elif request.callback is not None or any(map(is_virtual, devices)) or VirtualSettings in settings:
        backend = "virtual"
    else:
        backend = "jack" if JackSettings in settings else "portaudio"
    if backend != "virtual":
        check_sound_card(backend, devices, request.callback_size)
    return backend, replace(request, device=devices)


def check_sound_card(backend, devices, callback_size):
    """Raise unless devices and callback size are what a sound card may have."""
    for device in devices:
        if isinstance(device, (np.ndarray, os.PathLike)):
            raise TypeError(f"device must be a name or a number for backend {backend!r}, not {type(device).__name__}")
    if callback_size is None:
        return
    if isinstance(callback_size, bool) or not hasattr(type(callback_size), "__index__"):
        raise TypeError(f"callback_size must be a whole number for backend {backend!r}, not {callback_size!r}")
    if not 0 <= index(callback_size) < 1 << 24:
        raise ValueError(f"callback_size must be from 0 to {(1 << 24) - 1} frames, not {callback_size!r}")


def choose_order(request, backend):
    """Return the order of each direction's pool, "C" where nothing was asked for.

    Raises
    ------
    ValueError
        There is no such order, or the back end's frames are interleaved.
    """
    for order in request.order:
        if order is not None:
            sample_order(order)
    if "F" in request.order and backend not in PLANAR:
        raise ValueError(
            f"order 'F' (planar buffers) does not go with backend {backend!r}, only with "
            f"{' and '.join(map(repr, PLANAR))}"
        )
    return tuple(order or "C" for order in request.order)


class SoundCardSetup:
    """What a stream opens, before it is opened: the base of the classes for sound cards.

    Attributes
    ----------
    samplerate : float
        Frames per second.
    input, output : Format or None
        Samples of each direction that there is.
    """

    cards = ()
    speed = 1.0
    subtype = None

    # Frames of the device's callbacks, where they are known.
    period = 0

    def default_prefill(self, blocksize):
        """Return frames of silence that give the program the time of a callback to send on what it receives."""
        return blocksize + max(blocksize, self.period)

    def close(self):
        """Give up what was opened to find out."""


def sample_format(channels, dtype, allowed, backend):
    """Return the format of one direction of a sound card.

    Parameters
    ----------
    channels : int
    dtype : dtype_like
        ``"int24"`` means packed 24-bit integers, which NumPy calls ``"V3"``.
    allowed : tuple of str
        Names of the dtypes that the back end knows.
    backend : str
        Its name, for errors.

    Returns
    -------
    Format
    """
    try:
        found = np.dtype("V3" if isinstance(dtype, str) and dtype == "int24" else dtype)
    except (TypeError, ValueError):
        found = None
    if found is None or not found.isnative or name_of(found) not in allowed:
        raise ValueError(f"dtype must be one of {', '.join(allowed)} for backend {backend!r}, not {dtype!r}")
    if isinstance(channels, bool) or not hasattr(type(channels), "__index__") or not 1 <= index(channels) <= 1024:
        raise ValueError(f"channels must be a whole number from 1 to 1024, not {channels!r}")
    return Format(index(channels), found)


def name_of(dtype):
    """Return the name that audio libraries have for a dtype."""
    return "int24" if dtype == "V3" else dtype.name
