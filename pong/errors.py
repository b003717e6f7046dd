"""The errors and the warning of pong."""

from queue import Empty as _QueueEmpty

__all__ = ["ClosedError", "DetachedError", "Empty", "PoolExhausted", "PoolExhaustedWarning", "StreamError"]


class DetachedError(ValueError):
    """The buffer has been sent or released: this handle reaches no memory any more."""


class PoolExhausted(RuntimeError):
    """No slot is free. The text says how many are owned, queued and pinned."""


class ClosedError(EOFError):
    """The pool or the link is closed and nothing is left to receive."""


class Empty(_QueueEmpty, TimeoutError):
    """Nothing came within the timeout."""


class StreamError(RuntimeError):
    """A stream has died or stalled."""


class PoolExhaustedWarning(ResourceWarning):
    """The pool was empty and an overflow slot was taken; once for each episode."""
