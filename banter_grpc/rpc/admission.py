"""Admission: a busy server says so at once, instead of letting everybody wait."""

from __future__ import annotations

import random
from collections.abc import Callable

from banter_grpc.errors import Refusal

_PUSHBACK = 0.2
"""Seconds after which a shed client may come back, before jitter."""


class Admission:
    """Bounds the calls in flight, and those that wait for the database.

    `waiting` tells how many wait there now.
    """

    def __init__(self, max_in_flight: int, max_waiting: int, waiting: Callable[[], int]) -> None:
        self._max_in_flight = max_in_flight
        self._max_waiting = max_waiting
        self._waiting = waiting
        self.in_flight = 0

    def enter(self, *, sheddable: bool) -> None:
        """Count a call in, or raise `Refusal` with the time after which it may be sent again."""
        if sheddable:
            if self.in_flight >= self._max_in_flight or self._waiting() >= self._max_waiting:
                delay = round(_PUSHBACK * random.uniform(0.5, 1.5), 3)
                raise Refusal("SERVER_BUSY", f"the server is busy; try again in {delay:g} s", retry_after=delay)
        self.in_flight += 1

    def leave(self) -> None:
        """Count a call out that `enter` let in."""
        self.in_flight -= 1
