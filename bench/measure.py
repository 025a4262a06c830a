"""One measurement: calls, and what they cost the processes that answered them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

from bench import cpu
from bench.cases import Case
from bench.database import count
from bench.errors import BenchError, refused
from bench.load import H2Load, Shape
from bench.pgbench import PgBench
from bench.pumping import Pump
from bench.sample import Sample
from bench.servers import Served

WARM_UP: Final = 500
_WARM_UP_ROUNDS: Final = 32
"""Calls of a warm-up, in all and of each client at least."""
_TOGETHER = 0.3
"""The share of a measurement in which all clients must have had calls to make."""
_MOST_CLIENTS = 64
"""Connections of the ceiling; the service has 48. With more of them PostgreSQL only gets slower."""
_PATIENCE = 10
"""A measurement may take this many times longer than it should, and half a minute."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one measurement found. `server_us` and `database_us` are CPU per call in microseconds, of all of the
    server's processes and of all of PostgreSQL; None where it has no part.
    """

    sample: Sample
    server_us: float | None
    database_us: float | None


class Measure:
    """Measures for about `seconds` each time, after `warm_up` calls. `postmaster` is PostgreSQL's process."""

    def __init__(
        self, h2load: H2Load, pump: Pump, pgbench: PgBench, seconds: int, postmaster: int, *, warm_up: int = WARM_UP
    ) -> None:
        self._h2load = h2load
        self._pump = pump
        self._pgbench = pgbench
        self._seconds = seconds
        self._postmaster = postmaster
        self._warm_up = warm_up
        self._rates: dict[tuple[int, str, Shape], float] = {}

    def served(self, server: Served, shape: Shape, *, database: bool) -> Figures:
        """Calls to a server, so many in flight. Raises `BenchError` unless each of them was answered OK, and where that
        can be counted was carried out once.
        """
        rate = self._rate(server, shape)
        wanted = max(shape.in_flight, round(rate * self._seconds))
        figures = self._calls(server, shape, wanted)
        sample = figures.sample
        self._rates[_key(server, shape)] = sample.per_second
        if sample.together < _TOGETHER * sample.seconds:
            raise BenchError(f"{server.target.path}: the clients hardly called at one time: give more --seconds")
        return figures if database else replace(figures, database_us=None)

    def unit(self, case: Case, url: str, clients: int) -> Figures:
        """The case's statements alone, on so many connections, and no more than help."""
        clients = min(clients, _MOST_CLIENTS)
        before = count(url, case.made)
        ran = self._pgbench.run(url, case.steps, clients, self._seconds, lambda: cpu.used(self._postmaster))
        _check("pgbench", ran.transactions, before, count(url, case.made))
        return Figures(ran.sample, None, ran.used * 1e6)

    def forget_rates(self) -> None:
        """What follows is as fast as nothing before."""
        self._rates.clear()

    def _used(self, server: Served) -> tuple[float, float]:
        return server.used(), cpu.used(self._postmaster)

    def _rate(self, server: Served, shape: Shape) -> float:
        """Calls per second as of late; at first, of a warm-up."""
        key = _key(server, shape)
        if key not in self._rates:
            sample = self._calls(server, shape, max(self._warm_up, _WARM_UP_ROUNDS * shape.clients)).sample
            if sample.together < _TOGETHER * sample.seconds:  # most of it was their start
                sample = self._calls(server, shape, round(sample.calls / sample.seconds * self._seconds)).sample
            self._rates[key] = sample.per_second
        return self._rates[key]

    def _calls(self, server: Served, shape: Shape, wanted: int) -> Figures:
        client = self._h2load if server.target.fresh is None else self._pump
        answered, made = server.answered(), server.made()
        before, began = self._used(server)
        sample = client.run(server.target, shape, wanted, self._seconds * _PATIENCE + 30)
        after, ended = self._used(server)
        calls, answered = sample.calls, server.answered() - answered
        if answered != Counter(OK=calls):
            raise refused(server.target.path, calls, answered)
        _check(server.target.path, calls, made, server.made())
        return Figures(sample, (after - before) / calls * 1e6, (ended - began) / calls * 1e6)


def _check(who: str, calls: int, before: int | None, after: int | None) -> None:
    """Raise `BenchError` unless each call has made one row, where that is counted."""
    if before is not None and after is not None and after - before != calls:
        raise BenchError(f"{who}: {calls} calls made {after - before} rows; what does not move coins makes no figure")


def _key(server: Served, shape: Shape) -> tuple[int, str, Shape]:
    return server.target.port, server.target.path, shape
