"""Who is told of the database's work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Observer(Protocol):
    """Told of each unit, in order to measure."""

    def unit(self, queries: Sequence[str], seconds: float, failed: bool) -> None:
        """A unit came back from the database, or was given up, after `seconds`."""
        ...

    def waited(self, seconds: float) -> None:
        """A unit got a connection of the pool after `seconds`."""
        ...
