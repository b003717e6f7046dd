from typing import final

table: object

@final
class End: ...
