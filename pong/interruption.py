"""`stopping`: Ctrl-C, SIGTERM and SIGHUP end a stream in good order."""

import signal
import threading
from contextlib import contextmanager

__all__ = ["stopping"]


class Interruption:
    """Which signal came, if any, and the stream that it stops."""

    signal = None
    stream = None

    def handle(self, number, _):
        """Stop the stream at the first signal; at the second, abort it: what it has yet to play is dropped."""
        first, self.signal = self.signal is None, self.signal or number
        if self.stream is not None:
            (self.stream.stop if first else self.stream.abort)(wait=False)


@contextmanager
def stopping():
    """Let Ctrl-C, SIGTERM and SIGHUP stop a stream, which ends the loop over it; no exception comes from them.

    An exception between receiving a block and writing it would leave a hole in the file, and one while the file is
    opened or closed would leave it without its header.
    """
    came = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # What nohup has told to be ignored stays so.
        if number is not None and (name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN):
            before[number] = signal.signal(number, came.handle)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
