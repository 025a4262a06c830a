"""Who decides what is done next: Hypothesis, which shrinks what fails, or a seeded generator."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Protocol, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Choose(Protocol):
    """Picks one of some; what is simplest stands first."""

    def __call__(self, options: Sequence[T]) -> T: ...


def by_hypothesis(data: st.DataObject) -> Choose:
    """Hypothesis's choices."""
    return lambda options: options[data.draw(st.integers(0, len(options) - 1))]


def by_seed(*seed: object) -> Choose:
    """The choices of a generator."""
    return random.Random("/".join(map(str, seed))).choice


def new_seed() -> int:
    """A seed, printed so that a failure tells it; `BANTER_SEED` sets it, and does the same again."""
    seed = int(os.environ.get("BANTER_SEED") or int.from_bytes(os.urandom(4)))
    print(f"BANTER_SEED={seed} does this again")
    return seed
