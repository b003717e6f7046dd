from typing import Any, final

from pong._link import Receiver, Sender
from pong.streams.native import NativeDevice
from pong.streams.opening import Format, Request, SoundCardSetup
from pong.streams.settings import JackSettings

NAME_SIZE: int

def address_of(jack: Any, name: str) -> int: ...
def devices() -> list[tuple[str, int, int, float]]: ...

@final
class JackDevice(NativeDevice):
    planar: bool
    def __init__(self, setup: JackSetup, **common: Any) -> None: ...

class JackSetup(SoundCardSetup):
    client: Any
    samplerate: float
    input: Format | None
    output: Format | None
    others: list[Any]
    freewheel: bool
    def __init__(self, request: Request) -> None: ...
    def find(self, request: Request, settings: JackSettings, place: int) -> Format: ...
    def open(self, capture: Sender | None, playback: Receiver | None, _: object, **common: Any) -> JackDevice: ...
    def close(self) -> None: ...
