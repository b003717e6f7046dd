"""The threads between files and links: `Feeder`, from a source to a sender, and `Writer`, from a receiver to a sink."""

import threading
import traceback

from pong._pool import BufferPool
from pong.errors import ClosedError

__all__ = ["Feeder", "Writer"]


class _Carrier(threading.Thread):
    """A daemon thread that does a subclass's `_carry`, closes its ends in turn, and forgets them and the pool.

    It refers to nothing else, and once it has ended not to these: so it keeps no pool alive.
    """

    def __init__(self, name, pool, *ends):
        super().__init__(name=name, daemon=True)
        self.error = None
        self._pool = pool
        self._ends = list(ends)

    def run(self):
        """Do the work of the thread; `start` calls this."""
        try:
            self._carry(self._pool, *self._ends)
        except ClosedError:
            pass  # The other side, or the pool, is closed: nobody wants more.
        except BaseException as error:
            self._keep(error)
        self._pool = None
        # The error is there before the other side sees the end of the link.
        while self._ends:
            try:
                self._ends.pop(0).close()
            except BaseException as error:
                self._keep(error)

    def _keep(self, error):
        """Keep the first error, with the lines it came through but not their variables: these would pin a buffer."""
        if self.error is None:
            self.error = error
        seen = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            traceback.clear_frames(error.__traceback__)
            error = error.__cause__ or error.__context__


class Feeder(_Carrier):
    """A daemon thread that sends a source's sound, block by block, as fast as the pool has free slots.

    At the end of the source it closes the sender and the source; a closed receiver or pool ends it too.

    Parameters
    ----------
    source : source
        What to read. From here on it is the feeder's: nobody else reads or closes it.
    pool : BufferPool
        Where the buffers come from. Its channels and dtype are the source's, and so is its samplerate if it has one.
    sender : Sender
        Where they go; closed at the end.

    Attributes
    ----------
    error : BaseException or None
        What ended it, unless it was the end of the source, or a closed receiver or pool. It is there before the sender
        is closed.

    Raises
    ------
    TypeError, ValueError
        Not a pool, or it does not fit the source.

    Notes
    -----
    ``start()`` starts it, ``join(timeout=None)`` waits for its end, as of every `threading.Thread`.
    Thread: any. Blocks: no. Allocates: a thread at ``start``.
    """

    def __init__(self, source, pool, sender):
        if not isinstance(pool, BufferPool):
            raise TypeError(f"pool must be a BufferPool, not {type(pool).__name__}")
        rate = source.samplerate if pool.samplerate is None else pool.samplerate
        for name, has, needs in (
            ("channels", source.channels, pool.channels),
            ("dtype", source.dtype, pool.dtype.name),
            ("samplerate", source.samplerate, rate),
        ):
            if has != needs:
                raise ValueError(f"the source's {name} is {has}, the pool's is {needs}: they must be the same")
        super().__init__("pong feeder", pool, sender, source)

    def _carry(self, pool, sender, source):
        while True:
            # Released at the end of the block, unless it was sent. `samples` is never kept: that would pin the slot.
            with pool.acquire(None) as buf:
                frames = source.read_into(buf.samples)
                if not frames:
                    return
                buf.frames = frames
                sender.send(buf)


class Writer(_Carrier):
    """A daemon thread that writes what a receiver gets into a sink.

    When the sender or the pool is closed it writes what is queued and ends. On an error it closes the receiver, so that
    the sender notices, and then the sink.

    Parameters
    ----------
    sink : sink
        What to write into. From here on it is the writer's: nobody else writes or closes it.
    receiver : Receiver
        Where the buffers come from; closed at the end.

    Attributes
    ----------
    error : BaseException or None
        What ended it, unless it was the end of the link. It is there before the receiver is closed.

    Notes
    -----
    ``start()`` starts it, ``join(timeout=None)`` waits for its end, as of every `threading.Thread`.
    Thread: any. Blocks: no. Allocates: a thread at ``start``.
    """

    def __init__(self, sink, receiver):
        super().__init__("pong writer", None, receiver, sink)

    def _carry(self, _, receiver, sink):
        for buf in receiver:
            with buf:
                sink.write(buf.samples)
