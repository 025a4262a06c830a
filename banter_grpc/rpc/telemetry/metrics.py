"""Metrics in Prometheus' form, in a registry of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

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
        self._calls = Histogram(
            "rpc_server_call_duration_seconds",
            "Time from a call's arrival to its answer.",
            ["method", "code"],
            buckets=_CALL_BUCKETS,
            registry=self.registry,
        )
        # Finding a child by its labels costs more than what it measures with.
        self._call_children: dict[tuple[str, str], Histogram] = {}
        self._query_children: dict[tuple[str, ...], Histogram] = {}
        self._in_flight = Gauge("rpc_server_calls_in_flight", "Calls being served.", registry=self.registry)
        self._queries = Histogram(
            "db_query_duration_seconds",
            "Time of a unit on the database, under the names of its queries.",
            ["query"],
            buckets=_QUERY_BUCKETS,
            registry=self.registry,
        )
        self._waits = Histogram(
            "db_pool_wait_seconds", "Wait for a connection.", buckets=_QUERY_BUCKETS, registry=self.registry
        )
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
        child = self._call_children.get((method, code))
        if child is None:
            child = self._call_children[method, code] = self._calls.labels(method, code)
        child.observe(seconds)

    def unit(self, queries: Sequence[str], seconds: float, failed: bool) -> None:
        """A unit came back from the database."""
        names = tuple(queries)
        child = self._query_children.get(names)
        if child is None:
            child = self._query_children[names] = self._queries.labels("+".join(names))
        child.observe(seconds)
        if failed:
            self._errors.labels("+".join(names)).inc()

    def waited(self, seconds: float) -> None:
        """A unit got its connection."""
        self._waits.observe(seconds)
