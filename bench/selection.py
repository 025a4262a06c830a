"""Which measurements are made, and how long they take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.cases import Case
from bench.load import Shape

_SIDES = 4
"""The floor, the service by lanes and by the pool, the ceiling."""
_OVERHEAD = 1.7
"""Seconds about a measurement: warming up, starting clients, reading what they saw."""
_START = 15
"""Seconds until PostgreSQL and the services of one number of workers serve."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Every case with every number of calls in flight and of workers. Where the flush is to be slower, what writes."""

    cases: Sequence[Case]
    in_flight: Sequence[int]
    workers: Sequence[int]
    rounds: int
    seconds: int
    warm_up: int
    slower_ms: Sequence[int]
    """The flushes, by how much slower they are."""

    def shapes(self, case: Case, workers: int) -> Iterator[Shape]:
        """How the calls in flight are made."""
        for number in self.in_flight:
            yield Shape.of(number, workers=workers, spread=case.spread)

    def cases_at(self, slower_ms: int) -> Sequence[Case]:
        """What is measured with such a flush."""
        return [case for case in self.cases if case.writes] if slower_ms else self.cases

    @property
    def measurements(self) -> int:
        """How many there are."""
        cases = sum(len(self.cases_at(slower)) for slower in self.slower_ms)
        return cases * len(self.in_flight) * len(self.workers) * self.rounds * _SIDES

    @property
    def about_seconds(self) -> float:
        """How long all of it takes, on a machine that has nothing else to do."""
        return self.measurements * (self.seconds + _OVERHEAD) + _START * len(self.workers)
