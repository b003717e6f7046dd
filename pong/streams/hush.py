"""`hushed`: C libraries that write to standard error what pong says in its own words."""

import os
import sys
import threading
from contextlib import contextmanager

__all__ = ["hushed"]

# Of two at once the second would take the first one's nowhere for standard error.
one_at_a_time = threading.RLock()


@contextmanager
def hushed():
    """Let nothing that C libraries write to standard error come through meanwhile; what Python writes does.

    JACK and ALSA say there that no server is running or no card is there, several lines each.
    """
    with one_at_a_time:
        try:
            real = os.dup(2)
        except OSError:
            # There is no standard error.
            yield
        else:
            yield from redirected(real)


def redirected(real):
    """Let descriptor 2 lead nowhere, and Python's standard error to its duplicate, until the generator goes on."""
    replaced = None
    try:
        if sys.stderr is not None and writes_to(sys.stderr, 2):
            sys.stderr.flush()
            replaced = sys.stderr
            sys.stderr = os.fdopen(real, "w", buffering=1, closefd=False, errors="backslashreplace")
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(real, 2)
        if replaced is not None:
            sys.stderr.close()
            sys.stderr = replaced
        os.close(real)


def writes_to(file, descriptor):
    """Tell whether a file object writes to a descriptor."""
    try:
        return file.fileno() == descriptor
    except (OSError, ValueError, AttributeError):
        return False
