from collections.abc import Callable
from os import PathLike
from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from pong._buffer import Buffer
from pong._link import Receiver, Sender
from pong._pool import BufferPool
from pong.streams.device_stream import DeviceStream
from pong.streams.settings import CallbackFlags, StreamTime

__all__ = ["InputStream", "OutputStream", "Stream"]

_Samples: TypeAlias = npt.NDArray[Any]
_Device: TypeAlias = _Samples | str | PathLike[str] | SupportsIndex | None
_Level: TypeAlias = float | Literal["low", "high"]
_Latency: TypeAlias = _Level | tuple[_Level, _Level] | None
_Backend: TypeAlias = Literal["portaudio", "jack", "miniaudio", "virtual"] | None
_Link: TypeAlias = tuple[Sender, Receiver]
_Order: TypeAlias = Literal["C", "F"]
_OneWay: TypeAlias = Callable[[_Samples, int, StreamTime, CallbackFlags], object]
_BothWays: TypeAlias = Callable[[_Samples, _Samples, int, StreamTime, CallbackFlags], object]

class _Receiving:
    @property
    def receiver(self) -> Receiver: ...
    @property
    def lost(self) -> int: ...
    def recv(self, timeout: float | None = None) -> Buffer: ...
    def recv_nowait(self) -> Buffer: ...
    def drain(self, max: SupportsIndex | None = None) -> list[Buffer]: ...
    def poll(self, timeout: float | None = 0) -> bool: ...
    def fileno(self) -> int: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Buffer: ...

class _Sending:
    @property
    def sender(self) -> Sender: ...
    @property
    def underflow(self) -> int: ...
    def acquire(self, timeout: float | None = None) -> Buffer: ...
    def send(self, buf: Buffer, *, tag: SupportsIndex | None = None) -> None: ...
    def write(self, array: npt.ArrayLike) -> bool: ...

class InputStream(_Receiving, DeviceStream):
    device: _Device
    channels: int
    dtype: np.dtype[Any]
    order: _Order
    subtype: str | None
    def __init__(
        self,
        samplerate: float | None = None,
        blocksize: SupportsIndex | None = None,
        device: _Device = None,
        channels: SupportsIndex | None = None,
        dtype: npt.DTypeLike | None = None,
        latency: _Latency = None,
        extra_settings: Any = None,
        callback: _OneWay | None = None,
        *,
        backend: _Backend = None,
        buffers: SupportsIndex = 16,
        process: Any = None,
        callback_size: Any = None,
        stall_timeout: float = 2.0,
        pool: BufferPool | None = None,
        link: _Link | None = None,
        order: _Order | None = None,
        clip_off: bool | None = None,
        dither_off: bool | None = None,
        never_drop_input: bool | None = None,
        prime_output_buffers_using_stream_callback: bool | None = None,
    ) -> None: ...
    def __enter__(self) -> Self: ...

class OutputStream(_Sending, DeviceStream):
    device: _Device
    channels: int
    dtype: np.dtype[Any]
    order: _Order
    def __init__(
        self,
        samplerate: float | None = None,
        blocksize: SupportsIndex | None = None,
        device: _Device = None,
        channels: SupportsIndex | None = None,
        dtype: npt.DTypeLike | None = None,
        latency: _Latency = None,
        extra_settings: Any = None,
        callback: _OneWay | None = None,
        *,
        backend: _Backend = None,
        buffers: SupportsIndex = 16,
        process: Any = None,
        prefill: SupportsIndex | None = None,
        callback_size: Any = None,
        stall_timeout: float = 2.0,
        pool: BufferPool | None = None,
        link: _Link | None = None,
        order: _Order | None = None,
        clip_off: bool | None = None,
        dither_off: bool | None = None,
        never_drop_input: bool | None = None,
        prime_output_buffers_using_stream_callback: bool | None = None,
    ) -> None: ...
    def __enter__(self) -> Self: ...

class Stream(_Receiving, _Sending, DeviceStream):
    device: tuple[_Device, _Device]
    channels: tuple[int, int]
    dtype: tuple[np.dtype[Any], np.dtype[Any]]
    order: tuple[_Order, _Order]
    def __init__(
        self,
        samplerate: float | None = None,
        blocksize: SupportsIndex | None = None,
        device: _Device | tuple[_Device, _Device] = None,
        channels: SupportsIndex | tuple[SupportsIndex | None, SupportsIndex | None] | None = None,
        dtype: npt.DTypeLike | tuple[npt.DTypeLike | None, npt.DTypeLike | None] | None = None,
        latency: _Latency = None,
        extra_settings: Any = None,
        callback: _BothWays | None = None,
        *,
        backend: _Backend = None,
        buffers: SupportsIndex = 16,
        process: Any = None,
        process_output: Any = None,
        prefill: SupportsIndex | None = None,
        callback_size: Any = None,
        stall_timeout: float = 2.0,
        pool: BufferPool | tuple[BufferPool | None, BufferPool | None] | None = None,
        link: tuple[_Link | None, _Link | None] | None = None,
        order: _Order | None = None,
        clip_off: bool | None = None,
        dither_off: bool | None = None,
        never_drop_input: bool | None = None,
        prime_output_buffers_using_stream_callback: bool | None = None,
    ) -> None: ...
    def __enter__(self) -> Self: ...
