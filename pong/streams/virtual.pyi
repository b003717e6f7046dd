from types import TracebackType
from typing import Any, NoReturn, SupportsIndex, final

import numpy.typing as npt

from pong import BufferPool, Sender

@final
class VirtualInput:
    def __init__(
        self,
        pool: BufferPool,
        sender: Sender,
        array: npt.NDArray[Any],
        samplerate: float,
        *,
        callback_size: SupportsIndex | None = None,
        speed: float = 0,
    ) -> None: ...
    @property
    def lost(self) -> int: ...
    @property
    def position(self) -> int: ...
    def start(self) -> None: ...
    def close(self) -> None: ...
    def __del__(self) -> None: ...
    def __enter__(self) -> VirtualInput: ...
    def __exit__(
        self, *exc: type[BaseException] | BaseException | TracebackType | None
    ) -> None: ...
    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn: ...
