"""The program `pong`. It is not in the package, whose import takes long enough to be interrupted."""

import signal

__all__ = ["main"]


def main():
    """Run `pong.__main__`; Ctrl-C ends it at once and without a traceback, until there is something to lose."""
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from pong.__main__ import main as run

    return run()
