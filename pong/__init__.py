"""pong moves audio blocks between a real-time callback and Python, by ownership transfer instead of copies."""

import os
from importlib import import_module
from typing import TYPE_CHECKING

from pong._buffer import Buffer
from pong._link import Receiver, Sender
from pong._pool import BufferPool
from pong.errors import (
    ClosedError,
    DetachedError,
    Empty,
    PoolExhausted,
    PoolExhaustedWarning,
    StreamError,
)

if TYPE_CHECKING:
    from pong.stats import Histogram, LinkStats, PoolStats, StreamStats
    from pong.streams.devices import query_devices
    from pong.streams.settings import CallbackFlags, JackSettings, StreamTime, VirtualSettings
    from pong.streams.stream import InputStream, OutputStream, Stream

__version__ = "0.1.0"

__all__ = [
    "Buffer",
    "BufferPool",
    "CallbackFlags",
    "ClosedError",
    "DetachedError",
    "Empty",
    "Histogram",
    "InputStream",
    "JackSettings",
    "LinkStats",
    "OutputStream",
    "PoolExhausted",
    "PoolExhaustedWarning",
    "PoolStats",
    "Receiver",
    "Sender",
    "Stream",
    "StreamError",
    "StreamStats",
    "StreamTime",
    "VirtualSettings",
    "get_include",
    "query_devices",
]

# Imported when first asked for: making these classes would take a third of the import of everything else.
LATER = {
    "pong.stats": ("Histogram", "LinkStats", "PoolStats", "StreamStats"),
    "pong.streams.devices": ("query_devices",),
    "pong.streams.settings": ("CallbackFlags", "JackSettings", "StreamTime", "VirtualSettings"),
    "pong.streams.stream": ("InputStream", "OutputStream", "Stream"),
}


def get_include() -> str:
    """Return the folder of ``pong.h``, for ``include_dirs`` of an extension module, or a compiler's ``-I``.

    Returns
    -------
    str

    Notes
    -----
    Thread: any. Blocks: no. Allocates: yes.
    """
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")


def __dir__():
    """List what is public, whether imported already or not."""
    return [*__all__, "__version__"]


def __getattr__(name):
    """Import what is not there from the start."""
    if name == "_capi":
        # As an attribute PyCapsule_Import looks for it.
        return import_module("pong._capi")
    for module, names in LATER.items():
        if name in names:
            found = import_module(module)
            globals().update({each: getattr(found, each) for each in names})
            return globals()[name]
    raise AttributeError(f"module 'pong' has no attribute {name!r}")
