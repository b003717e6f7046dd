"""pong moves audio blocks between a real-time callback and Python, by ownership transfer instead of copies."""

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
