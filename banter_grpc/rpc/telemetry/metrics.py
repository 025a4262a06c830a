"""Metrics in Prometheus' form, in a registry of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge

from banter_grpc.rpc.telemetry.durations import Duration, Durations
from banter_grpc.rpc.telemetry.lanes import LaneCollector, LaneStats

_CALL_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_QUERY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)


class PoolStats(Protocol):
    """What a pool says of itself."""

    @property
    def size(self) -> int: ...
    @property
    def in_use(self) -> int: ...
    @property
    def waiting(self) -> int: ...


class Metrics:
    """All metrics of one process. Label sets are bounded: methods and queries are those of the code."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._calls = Durations(
            "rpc_server_call_duration_seconds",
            "Time from a call's arrival to its answer.",
            ["method", "code"],
            _CALL_BUCKETS,
        )
        self._queries = Durations(
            "db_query_duration_seconds",
            "Time of a unit on the database, under the names of its queries.",
            ["query"],
            _QUERY_BUCKETS,
        )
        waits = Durations("db_pool_wait_seconds", "Wait for a connection of the pool.", [], _QUERY_BUCKETS)
        self._waits = waits.labelled()
        for durations in (self._calls, self._queries, waits):
            self.registry.register(durations)
        self._by_call: dict[tuple[str, str], Duration] = {}
        self._by_queries: dict[tuple[str, ...], Duration] = {}
        self._in_flight = Gauge("rpc_server_calls_in_flight", "Calls being served.", registry=self.registry)
        self._errors = Counter(
            "db_unit_errors", "Units that failed, under the names of their queries.", ["query"], registry=self.registry
        )

    def watch_calls(self, in_flight: Callable[[], int]) -> None:
        """Read the number of calls in flight when metrics are asked for."""
        self._in_flight.set_function(in_flight)

    def watch_pool(self, stats: Callable[[], PoolStats]) -> None:
        """Read the pool's state when metrics are asked for."""
        for name, text, read in (
            ("db_pool_connections", "Connections of the pool.", lambda: stats().size),
            ("db_pool_connections_in_use", "Connections that serve a unit.", lambda: stats().in_use),
            ("db_pool_waiting", "Units that wait for a connection.", lambda: stats().waiting),
        ):
            Gauge(name, text, registry=self.registry).set_function(read)

    def watch_lanes(self, stats: Callable[[], Mapping[str, LaneStats]]) -> None:
        """Read the state of each group of lanes when metrics are asked for."""
        self.registry.register(LaneCollector(stats))

    def call(self, method: str, code: str, seconds: float) -> None:
        """A call was answered."""
        duration = self._by_call.get((method, code))
        if duration is None:
            duration = self._by_call[method, code] = self._calls.labelled(method, code)
        duration.observe(seconds)

    def unit(self, queries: Sequence[str], seconds: float, failed: bool) -> None:
        """A unit came back from the database."""
        names = tuple(queries)
        duration = self._by_queries.get(names)
        if duration is None:
            duration = self._by_queries[names] = self._queries.labelled("+".join(names))
        duration.observe(seconds)
        if failed:
            self._errors.labels("+".join(names)).inc()

    def waited(self, seconds: float) -> None:
        """A unit got its connection."""
        self._waits.observe(seconds)
