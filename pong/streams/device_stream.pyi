from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, SupportsIndex

from typing_extensions import Self

from pong._link import Receiver, Sender
from pong._pool import BufferPool
from pong.stats import StreamStats
from pong.streams.opening import Request

SETUPS: dict[str, tuple[str, str]]

def fit(request: Request, given: list[Any]) -> Request: ...
def call(
    callback: Callable[..., object],
    hears: bool,
    plays: bool,
    indata: Any,
    outdata: Any,
    frames: int,
    time: tuple[float, float, float],
    status: int,
) -> None: ...

class DeviceStream:
    samplerate: float
    blocksize: SupportsIndex | None
    backend: Literal["portaudio", "jack", "miniaudio", "virtual"]
    pool: BufferPool | None
    output_pool: BufferPool | None
    def __init__(
        self,
        request: Request,
        *,
        backend: str | None,
        blocksize: SupportsIndex | None,
        buffers: SupportsIndex,
        prefill: SupportsIndex | None,
        pools: tuple[BufferPool | None, BufferPool | None],
        links: tuple[tuple[Sender, Receiver] | None, tuple[Sender, Receiver] | None],
        **common: Any,
    ) -> None: ...
    def start(self) -> None: ...
    def stop(self, wait: bool = True) -> None: ...
    def abort(self, wait: bool = True) -> None: ...
    def wait(self, timeout: float | None = None) -> bool: ...
    def step(self, callbacks: SupportsIndex = 1) -> bool: ...
    def forsake(self) -> None: ...
    def close(self) -> None: ...
    def stats(self, reset: bool = False) -> StreamStats: ...
    @property
    def active(self) -> bool: ...
    @property
    def stopped(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    @property
    def time(self) -> float: ...
    @property
    def latency(self) -> float | tuple[float, float]: ...
    @property
    def cpu_load(self) -> float: ...
    @property
    def position(self) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None
    ) -> None: ...
    def __del__(self) -> None: ...
