"""Clients of a JACK server, opened and closed so that a signal's handler may raise meanwhile, as that of Ctrl-C does.

JACK-Client itself would forget a client that it has just opened, which then stays, and close one twice, which crashes.
"""

import errno
import threading
import time
from concurrent.futures import Future

from pong.errors import StreamError


def open_client(name, servername=None):
    """Open a client.

    Parameters
    ----------
    name : str
        What it is to be called; the server adds a number to a name that is taken.
    servername : str, optional
        Which server; the default one unless given.

    Returns
    -------
    jack.Client

    Raises
    ------
    StreamError
        No server answers.
    """
    import jack

    opened = Future()

    def open_it():
        try:
            opened.set_result(jack.Client(name, no_start_server=True, servername=servername))
        except BaseException as error:
            opened.set_exception(error)

    # Handlers run in the main thread only.
    threading.Thread(target=open_it, name="pong-jack-open").start()
    try:
        return opened.result()
    except jack.JackOpenError as error:
        raise StreamError(f"no JACK server answers: {error}") from error
    except BaseException:
        # Now, or as soon as it is there.
        opened.add_done_callback(close_opened)
        raise


def close_opened(opened):
    """Close the client that a future has, if it has one."""
    if opened.exception() is None:
        close_client(opened.result())


def close_client(client):
    """Close a client; closing twice changes nothing."""
    import jack

    # In this order: what is not there any more is not closed again.
    pointer, client._ptr = client._ptr, jack._ffi.NULL
    if pointer:
        jack._lib.jack_client_close(pointer)


def connect(client, source, sink):
    """Ask the server to connect two ports, which may be connected already; raise JackError where it refuses."""
    import jack

    try:
        client.connect(source, sink)
    except jack.JackError as error:
        if getattr(error, "code", None) != errno.EEXIST:
            raise


def connect_ports(client, pairs, patience):
    """Connect ports, and wait until what one plays is heard by the other: a server says so when it is going to do it.

    Parameters
    ----------
    client : jack.Client
        Whichever; not its own ports alone.
    pairs : iterable of (str, str)
        The names of an output and an input each.
    patience : float
        Seconds to wait at most.

    Raises
    ------
    StreamError
        The server refuses, or has not done it in that time.
    """
    import jack

    pairs = list(pairs)
    deadline = time.monotonic() + patience
    try:
        for source, sink in pairs:
            connect(client, source, sink)
        for source, sink in pairs:
            while all(port.name != sink for port in client.get_all_connections(source)):
                if time.monotonic() > deadline:
                    raise StreamError(f"JACK did not connect {source} to {sink} within {patience:g} s")
                time.sleep(0.0005)
    except jack.JackError as error:
        raise StreamError(f"JACK refuses: {error}") from error
