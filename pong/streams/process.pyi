from typing import Any, SupportsIndex, final

import numpy as np
import numpy.typing as npt

__all__ = ["BLOCK", "SIGNATURE", "Chain"]

BLOCK: np.dtype[np.void]
SIGNATURE: str
FUNCTIONS: str
USERS: str
NEEDS_GIL: str
PYTHONAPI: int

@final
class Chain:
    def __init__(self, process: Any, channels: SupportsIndex, dtype: npt.DTypeLike) -> None: ...
    def __len__(self) -> int: ...
