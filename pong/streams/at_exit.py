"""What still runs when the interpreter ends is closed before."""

import atexit
import os
import sys
import weakref

__all__ = ["add", "discard", "first"]

# Streams, and devices whose thread runs or that a library calls back for; the newest first, because a stream closes its
# own device.
open_ones: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def add(each):
    """Have something closed at exit, if it lives and was not discarded before."""
    open_ones[each] = True


def discard(each):
    """Do not close it at exit any more; what is not there is no error."""
    open_ones.pop(each, None)


def close_all():
    """Close everything that is still open: threads end, and what a stream has written is finished."""
    # The references at once: another thread may be discarding.
    for ref in reversed(open_ones.keyrefs()):
        try:
            if (each := ref()) is not None:
                each.close()
        except BaseException:
            # The others are still to be closed.
            sys.excepthook(*sys.exc_info())


def forsake_all():
    """In a forked child: leave to the parent what is its own, however the child ends."""
    for ref in open_ones.keyrefs():
        if (each := ref()) is not None:
            each.forsake()


def first():
    """Run before all exit handlers that were registered until now: those of a library that was just imported."""
    atexit.unregister(close_all)
    atexit.register(close_all)


first()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forsake_all)
