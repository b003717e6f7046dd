from dataclasses import dataclass
from typing import Literal, TypeAlias

_Backend: TypeAlias = Literal["portaudio", "jack", "miniaudio", "virtual"]

__all__ = ["CARD_BACKENDS", "Device", "query_devices"]

CARD_BACKENDS: tuple[str, ...]

@dataclass(frozen=True)
class Device:
    name: str
    kind: Literal["input", "output"]
    backend: _Backend
    description: str
    channels: int | None = None
    samplerate: float | None = None

def query_devices(backend: _Backend | None = None) -> list[Device]: ...
