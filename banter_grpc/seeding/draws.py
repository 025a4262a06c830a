"""Random choices that depend on nothing but a seed: the same in every process, Python and year."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draws:
    """Draws from a digest of `parts`: 512 bits, of which each draw takes as many as its bound has."""

    __slots__ = ("_left",)

    def __init__(self, *parts: object) -> None:
        self._left = int.from_bytes(hashlib.blake2b("/".join(map(str, parts)).encode()).digest())

    def below(self, bound: int) -> int:
        """A number from 0 to `bound` - 1."""
        self._left, drawn = divmod(self._left, bound)
        return drawn

    def happens(self, percent: int) -> bool:
        """True in so many of 100 cases."""
        return self.below(100) < percent

    def one_of(self, choices: Sequence[T]) -> T:
        """One of the choices, each as often."""
        return choices[self.below(len(choices))]
