"""One measurement: calls, and what they cost the processes that answered them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from bench import cpu
from bench.cases import Case
from bench.errors import BenchError
from bench.load import H2Load, Shape
from bench.pgbench import PgBench
from bench.sample import Sample
from bench.servers import Served

_WARM_UP_CALLS = 1000
_PATIENCE = 10
"""A measurement may take this many times longer than it should, and half a minute."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one measurement found. `server_us` and `database_us` are CPU per call in microseconds, of the server's
    process and of all of PostgreSQL; None where it has no part.
    """

    sample: Sample
    server_us: float | None
    database_us: float | None


@dataclass(frozen=True, slots=True)
class Round:
    """The service, its floor and its ceiling, measured one after the other."""

    floor: Figures
    service: Figures
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
    def above_floor_us(self) -> float:
        """CPU per call of the server's process above the floor's."""
        assert self.service.server_us is not None and self.floor.server_us is not None
        return self.service.server_us - self.floor.server_us


@dataclass(frozen=True, slots=True)
class Result:
    """One case at one number of calls in flight, in all its rounds. `settings` are the service's, beside defaults."""

    case: str
    shape: Shape
    settings: Mapping[str, str]
    rounds: tuple[Round, ...]

    @property
    def typical(self) -> Round:
        """The round whose share of the floor is the (lower) median: its figures belong together."""
        ordered = sorted(self.rounds, key=lambda one: one.of_floor)
        return ordered[(len(ordered) - 1) // 2]

    @property
    def of_floor(self) -> float:
        """The median of the rounds' shares."""
        return median(one.of_floor for one in self.rounds)

    @property
    def of_ceiling(self) -> float:
        """The median of the rounds' shares."""
        return median(one.of_ceiling for one in self.rounds)


class Measure:
    """Measures for about `seconds` each time, with `shape` calls in flight."""

    def __init__(self, h2load: H2Load, pgbench: PgBench, shape: Shape, seconds: int, postmaster: int) -> None:
        self._h2load = h2load
        self._pgbench = pgbench
        self._shape = shape
        self._seconds = seconds
        self._postmaster = postmaster
        self._rates: dict[int, float] = {}

    def served(self, server: Served, *, database: bool) -> Figures:
        """Calls to a server. Raises `BenchError` unless each of them was answered OK."""
        calls = max(self._shape.in_flight, round(self._rate(server) * self._seconds))
        before, began = self._used(server)
        sample = self._calls(server, calls)
        after, ended = self._used(server)
        self._rates[server.pid] = sample.per_second
        return Figures(sample, (after - before) / calls * 1e6, (ended - began) / calls * 1e6 if database else None)

    def statement(self, case: Case, url: str) -> Figures:
        """The case's statement alone, on as many connections as calls are in flight."""
        before = cpu.used(self._postmaster)
        sample = self._pgbench.run(url, case.step, self._shape.in_flight, self._seconds)
        after = cpu.used(self._postmaster)
        return Figures(sample, None, (after - before) / sample.calls * 1e6)

    def _used(self, server: Served) -> tuple[float, float]:
        return cpu.used(server.pid), cpu.used(self._postmaster)

    def _rate(self, server: Served) -> float:
        """Calls per second as of late; at first, of a warm-up."""
        if server.pid not in self._rates:
            self._rates[server.pid] = self._calls(server, _WARM_UP_CALLS).per_second
        return self._rates[server.pid]

    def _calls(self, server: Served, calls: int) -> Sample:
        before = server.answered()
        sample = self._h2load.run(server.target, self._shape, calls, self._seconds * _PATIENCE + 30)
        answered = server.answered() - before
        if answered != Counter(OK=calls):
            found = ", ".join(f"{code} {count}" for code, count in sorted(answered.items())) or "none"
            raise BenchError(f"{server.target.path}: {calls} calls, answered: {found}; failures make no figure")
        return sample
