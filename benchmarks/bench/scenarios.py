"""The scenarios in the order in which they run, and how they share the time of a whole run."""

import importlib
from typing import NamedTuple

__all__ = ["SCENARIOS", "Scenario"]


class Scenario(NamedTuple):
    """A module with ``NAME``, ``TITLE``, ``NEEDS`` and ``run(plan)``; `share` is its part of the time."""

    name: str
    path: str
    share: float

    @property
    def module(self):
        """What to import: nothing is started by that, and no contender is needed."""
        return importlib.import_module(self.path)


# By how many cases each has, and how long they last.
SHARES = {"handover": 3, "footprint": 2, "native": 3, "callback": 3, "seed": 2}
SCENARIOS = {name: Scenario(name, f"{__package__}.{name}", share) for name, share in SHARES.items()}
