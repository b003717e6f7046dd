"""Contenders of the scenario `callback` that do wrong; a process of its own imports them."""

from pong.bench.callback_ways import JackClient


class Faulty(JackClient):
    """Does something to the twentieth block after the first that is sound, and maybe to the one after it."""

    def __init__(self, rate):
        super().__init__(rate)
        self.number = -20

    def put(self, kept, frames):
        self.number += self.number > -20 or bool(kept.any())
        for block in self.change(kept) if self.number >= 0 else [kept]:
            super().put(block, frames)


class Loses(Faulty):
    def change(self, kept):
        return [kept] if self.number else []


class Repeats(Faulty):
    def change(self, kept):
        return [kept] if self.number else [kept, kept]


class Swaps(Faulty):
    def change(self, kept):
        if self.number == 0:
            self.later = kept
            return []
        return [kept, self.later] if self.number == 1 else [kept]


class Silences(Faulty):
    def change(self, kept):
        if self.number == 0:
            kept[5] = 0
        return [kept]


class Damages(Faulty):
    def change(self, kept):
        if self.number == 0:
            kept[5] = -kept[5]
        return [kept]


class Invents(Faulty):
    def change(self, kept):
        if self.number == 0:
            kept += 0.25
        return [kept]
