"""What the database's work leaves in the metrics and the log."""

from __future__ import annotations

from collections.abc import Sequence

from banter_grpc.rpc.telemetry.logs import Log
from banter_grpc.rpc.telemetry.metrics import Metrics


class DatabaseObserver:
    """Measures units and waits; logs slow queries by name and duration, never by value."""

    def __init__(self, log: Log, metrics: Metrics, slow_seconds: float) -> None:
        self._log = log
        self._metrics = metrics
        self._slow_seconds = slow_seconds

    def unit(self, queries: Sequence[str], seconds: float, failed: bool) -> None:
        """A unit came back from the database after `seconds`."""
        self._metrics.unit(queries, seconds, failed)
        if seconds >= self._slow_seconds:
            self._log.warning("slow query", queries=list(queries), duration_ms=round(seconds * 1000, 3))

    def waited(self, seconds: float) -> None:
        """A unit got its connection after `seconds`."""
        self._metrics.waited(seconds)
