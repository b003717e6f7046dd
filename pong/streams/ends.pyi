from typing import Any

import numpy as np

from pong._link import Receiver, Sender
from pong._pool import BufferPool

class GivenLink:
    pool: BufferPool | None
    link: tuple[Sender, Receiver] | None
    name: str
    channels: int
    dtype: np.dtype[Any]
    blocksize: int
    samplerate: float | None
    def __init__(self, pool: BufferPool | None, link: tuple[Sender, Receiver] | None, name: str) -> None: ...
    def ends(
        self, wanted: tuple[int, np.dtype[Any]], order: str, blocksize: int
    ) -> tuple[BufferPool | None, Sender | None, Receiver | None]: ...

def check_buffers(buffers: Any) -> None: ...
def link_of(pool: Any, link: Any, name: str) -> GivenLink | None: ...
