from typing import SupportsIndex, final

@final
class Batch:
    def __new__(cls, number: SupportsIndex) -> Batch: ...
