from typing import Any, final

from pong._link import Receiver, Sender
from pong.streams.native import NativeDevice
from pong.streams.opening import Format, Request, SoundCardSetup

hung: list[PortAudioDevice]

def callback_address() -> int: ...
def library() -> Any: ...
def devices() -> list[tuple[str, int, int, float, str]]: ...

@final
class PortAudioDevice(NativeDevice):
    def __init__(self, options: dict[str, Any], samplerate: float, **common: Any) -> None: ...

class PortAudioSetup(SoundCardSetup):
    request: Request
    samplerate: float
    input: Format | None
    output: Format | None
    def __init__(self, request: Request) -> None: ...
    def find(self, sounddevice: Any, kind: str) -> Format: ...
    def open(self, capture: Sender | None, playback: Receiver | None, _: object, **common: Any) -> PortAudioDevice: ...
