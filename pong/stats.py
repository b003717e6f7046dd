"""What the `stats` of pools and streams return: plain, frozen values."""

from dataclasses import dataclass

__all__ = ["Histogram", "LinkStats", "PoolStats", "StreamStats"]


@dataclass(frozen=True)
class Histogram:
    """Durations in log-linear buckets, eight for each power of two: no value is off by more than an eighth.

    Attributes
    ----------
    count : int
        Durations counted.
    mean, max : float
        Their mean and greatest, in seconds; 0.0 when there are none.
    buckets : tuple of (float, float, int)
        Lower bound and upper bound in seconds, and count, of every bucket that is not empty.
    """

    count: int
    mean: float
    max: float
    buckets: tuple[tuple[float, float, int], ...]

    def quantile(self, q: float) -> float:
        """Return the duration in seconds that a share ``q`` of all does not exceed.

        Parameters
        ----------
        q : float
            From 0 to 1; 0.5 is the median.

        Returns
        -------
        float
            The upper bound of the bucket where the share is reached, but not more than `max`; 0.0 when empty.

        Raises
        ------
        ValueError
            ``q`` is not from 0 to 1.

        Notes
        -----
        Thread: any. Blocks: no. Allocates: yes.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"q must be from 0 to 1, not {q!r}")
        seen = 0
        for _, upper, count in self.buckets:
            seen += count
            if seen >= q * self.count:
                return min(upper, self.max)
        return self.max


@dataclass(frozen=True)
class LinkStats:
    """One open link.

    Attributes
    ----------
    index : int
        The link's place in the pool, from 0.
    sent, received : int
        Messages since the link was opened, or since the last ``stats(reset=True)``. Those that the receiver sent home
        when it closed count as received.
    dropped : int
        Blocks that a native sender could not send because the link was closed.
    queued : int
        Messages sent and not yet received.
    latency : Histogram
        Send to receive; empty unless the pool keeps time stamps.
    """

    index: int
    sent: int
    received: int
    dropped: int
    queued: int
    latency: Histogram


@dataclass(frozen=True)
class PoolStats:
    """The state of a pool. ``free + owned + queued + pinned == count + overflow_in_use`` (invariant I3).

    Attributes
    ----------
    count, overflow : int
        Slots of the pool, and overflow slots it may take besides.
    free : int
        Slots of the pool that can be handed out at once.
    owned, queued, pinned : int
        Slots with an owner; in the ring of a link; in nobody's hands but kept back, because an object that came
        from the slot still lives.
    in_use : int
        ``owned + queued + pinned``.
    overflow_in_use : int
        Overflow slots among those.
    acquired, overflowed : int
        Buffers acquired since the pool began, or since the last ``stats(reset=True)``; overflow slots among those.
    exhausted : int
        Times an acquire ended in `PoolExhausted`.
    hold : Histogram
        Acquire to release; empty unless the pool keeps time stamps. A slot is counted when it is acquired again.
    links : tuple of LinkStats
        The open links.
    """

    count: int
    overflow: int
    free: int
    owned: int
    queued: int
    pinned: int
    in_use: int
    overflow_in_use: int
    acquired: int
    overflowed: int
    exhausted: int
    hold: Histogram
    links: tuple[LinkStats, ...]


@dataclass(frozen=True)
class StreamStats:
    """The state of a stream: what `InputStream.stats` and the others return.

    Attributes
    ----------
    callbacks : int
        Callbacks of the device since the start.
    position : int
        Frames since the start, lost ones among them.
    lost : int
        Frames lost on the way in: no buffer was free, or the device came too late.
    lost_by_device : int
        Those of them that the device or its server lost: against these a larger pool is no help.
    underflow : int
        Frames of silence played because nothing had been sent.
    xruns : int
        How often the device itself has told of a loss; a flag, not a count of frames.
    cpu_load : float
        The share of the time that callbacks take, as the device measures it: from 0 to 1.
    pool : PoolStats or None
        The pool of the input.
    output_pool : PoolStats or None
        The pool of the output, unless it is the same.
    """

    callbacks: int
    position: int
    lost: int
    lost_by_device: int
    underflow: int
    xruns: int
    cpu_load: float
    pool: PoolStats | None
    output_pool: PoolStats | None
