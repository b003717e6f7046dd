from typing import NoReturn, final

@final
class Lease:
    def __reduce__(self) -> NoReturn: ...

@final
class Views: ...
