from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex, final

import numpy as np
import numpy.typing as npt

from pong._link import Receiver, Sender
from pong.streams.device import Device

MAX_CALLBACK: int

@final
class VirtualDevice(Device):
    def __init__(
        self,
        samplerate: float,
        *,
        capture: Sender | None = None,
        playback: Receiver | None = None,
        source: npt.NDArray[Any] | Receiver | None = None,
        sink: npt.NDArray[Any] | Sender | None = None,
        callback: Callable[
            [npt.NDArray[Any] | None, npt.NDArray[Any] | None, int, tuple[float, float, float], int], object
        ]
        | None = None,
        output_format: tuple[int, npt.DTypeLike] | None = None,
        callback_size: SupportsIndex | Sequence[SupportsIndex] | npt.NDArray[np.integer[Any]] = 128,
        speed: float | None = 0,
        latency: float = 0.1,
        prefill: SupportsIndex = 0,
        process: Any = None,
        process_output: Any = None,
    ) -> None: ...
    @property
    def error(self) -> BaseException | None: ...
    @property
    def lost(self) -> int: ...
    @property
    def lost_by_device(self) -> int: ...
    @property
    def underflow(self) -> int: ...
    @property
    def position(self) -> int: ...
    @property
    def written(self) -> int: ...
    @property
    def callbacks(self) -> int: ...
    @property
    def xruns(self) -> int: ...
    @property
    def cpu_load(self) -> float: ...
    @property
    def latency(self) -> float: ...
    @property
    def time(self) -> float: ...
    def start(self) -> None: ...
    def step(self, callbacks: SupportsIndex = 1) -> bool: ...
    def stop(self) -> None: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...
