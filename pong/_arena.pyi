from typing import NoReturn, final

MAX_TIMEOUT: float

@final
class Arena:
    def __reduce__(self) -> NoReturn: ...

def balance() -> dict[str, int]: ...
def lock_limit() -> str: ...
