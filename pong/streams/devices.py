"""Which devices there are."""

from dataclasses import dataclass

__all__ = ["Device", "query_devices"]


@dataclass(frozen=True)
class Device:
    """A device, or a family of them.

    Attributes
    ----------
    name : str
        As the command line takes it; capitals stand for something of your own, brackets for what may be left out.
    kind : {"input", "output"}
        Whether it hears or plays.
    backend : str
        Which kind of device: the ``backend`` of a stream.
    description : str
        What it is.
    """

    name: str
    kind: str
    backend: str
    description: str


def query_devices():
    """Return the devices that streams can open.

    Returns
    -------
    list of Device

    Notes
    -----
    Thread: any. Blocks: no. Allocates: the list.
    """
    return [
        Device("virtual:FILE", "input", "virtual", "a sound file: WAV, FLAC, OGG and what else soundfile reads"),
        Device("virtual:tone[:HZ]", "input", "virtual", "a sine tone, 440 Hz unless given, without an end"),
        Device("virtual:sweep[:FROM-TO]", "input", "virtual", "an exponential sine sweep, 20-20000 Hz unless given"),
        Device("virtual:silence", "input", "virtual", "silence, without an end"),
        Device("virtual:FILE", "output", "virtual", "a sound file, written in the format that its ending names"),
        Device("virtual:null", "output", "virtual", "nowhere"),
    ]
