"""Names that JACK can hold, and which ports a name means."""

import numpy as np

# What JACK allows, in bytes, with the zero at the end (JACK_CLIENT_NAME_SIZE of JACK 1; that of JACK 2 is 64).
NAME_SIZE = 33
# And of a server. libjack does not look: 1.9.21 overwrites its own stack from 265 bytes on.
SERVER_NAME_SIZE = 256


def fits(name, size):
    """Tell whether a name is text that C can hold in so many bytes."""
    try:
        return len(name.encode()) < size and "\0" not in name
    except UnicodeEncodeError:
        return False


def check_settings(settings):
    """Raise unless settings are what JACK takes."""
    name, server = settings.client_name, settings.servername
    if not isinstance(name, str) or not name or not fits(name, NAME_SIZE) or ":" in name:
        raise ValueError(
            f"client_name must be text of 1 to {NAME_SIZE - 1} bytes without a colon or a null character, not {name!r}"
        )
    if server is not None and not isinstance(server, str):
        raise TypeError(f"servername must be text or None, not {server!r}")
    if server is not None and not fits(server, SERVER_NAME_SIZE):
        raise ValueError(
            f"servername must be text of at most {SERVER_NAME_SIZE - 1} bytes without a null character, not {server!r}"
        )
    for what in ("connect", "freewheel"):
        if not isinstance(getattr(settings, what), (bool, np.bool_)):
            raise TypeError(f"{what} must be True or False, not {getattr(settings, what)!r}")


def client_of(port):
    """Return the name of a port's client: as JACK has it, up to the first colon, for there may be others."""
    return port.name.partition(":")[0]


def ports_of(ports, name):
    """Return those of the ports that a name means: a client's, else one port, else those of one client that fit."""
    for is_meant in (lambda port: client_of(port) == name, lambda port: port.name == name):
        found = [port for port in ports if is_meant(port)]
        if found:
            return found
    found = [port for port in ports if name in port.name]
    meant = sorted(set(map(client_of, found)))
    if len(meant) > 1:
        raise ValueError(f"{name!r} is in the names of ports of several JACK clients: {', '.join(meant)}")
    return found
