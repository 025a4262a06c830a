"""What was measured of a case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from bench.cases import Case
from bench.load import Shape
from bench.measure import Figures


@dataclass(frozen=True, slots=True)
class Round:
    """Floor, service, the service over the pool, and ceiling, measured one after the other."""

    floor: Figures
    service: Figures
    pool: Figures
    ceiling: Figures

    @property
    def of_floor(self) -> float:
        """The service's calls per second as a share of the floor's."""
        return self.service.sample.per_second / self.floor.sample.per_second

    @property
    def of_ceiling(self) -> float:
        """The service's calls per second as a share of the ceiling's."""
        return self.service.sample.per_second / self.ceiling.sample.per_second

    @property
    def of_pool(self) -> float:
        """The service's calls per second by what it does over the pool alone."""
        return self.service.sample.per_second / self.pool.sample.per_second

    @property
    def above_floor_us(self) -> float:
        """CPU per call of the server's processes above the floor's."""
        assert self.service.server_us is not None and self.floor.server_us is not None
        return self.service.server_us - self.floor.server_us


@dataclass(frozen=True, slots=True)
class Result:
    """A case with so many calls in flight and so many workers, in all its rounds; with a slower flush, by how much."""

    case: Case
    shape: Shape
    workers: int
    slower_ms: int
    rounds: tuple[Round, ...]

    @property
    def typical(self) -> Round:
        """The round whose share of the floor is the (lower) median: its figures belong together."""
        ordered = sorted(self.rounds, key=lambda one: one.of_floor)
        return ordered[(len(ordered) - 1) // 2]

    @property
    def of_floor(self) -> float:
        """The median of the rounds' shares."""
        return self._median(lambda one: one.of_floor)

    @property
    def of_ceiling(self) -> float:
        """The median of the rounds' shares."""
        return self._median(lambda one: one.of_ceiling)

    @property
    def of_pool(self) -> float:
        """The median of the rounds' ratios."""
        return self._median(lambda one: one.of_pool)

    def _median(self, figure: Callable[[Round], float]) -> float:
        return median(figure(one) for one in self.rounds)
