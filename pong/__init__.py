"""pong moves audio blocks between a real-time callback and Python, by ownership transfer instead of copies."""

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
    from pong.stats import Histogram, LinkStats, PoolStats

__version__ = "0.1.0"

__all__ = [
    "Buffer",
    "BufferPool",
    "ClosedError",
    "DetachedError",
    "Empty",
    "Histogram",
    "LinkStats",
    "PoolExhausted",
    "PoolExhaustedWarning",
    "PoolStats",
    "Receiver",
    "Sender",
    "StreamError",
]


def __getattr__(name):
    """Import the classes of statistics when they are first asked for: making them takes a third of the import."""
    if name not in ("Histogram", "LinkStats", "PoolStats"):
        raise AttributeError(f"module 'pong' has no attribute {name!r}")
    from pong import stats

    globals().update({each: getattr(stats, each) for each in stats.__all__})
    return globals()[name]
