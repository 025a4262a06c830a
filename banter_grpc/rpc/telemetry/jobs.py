"""What jobs leave in the metrics and the log."""

from __future__ import annotations

import time
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

from banter_grpc.rpc.telemetry.durations import Durations
from banter_grpc.rpc.telemetry.logs import Log
from banter_grpc.rpc.telemetry.redaction import faults

_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

Outcome = Literal["done", "failed", "timed out", "stopped"]
"""`stopped`: the process ended, or lost its lease."""


class JobObserver:
    """Measures runs, and logs each that did something or failed: by the job's name and numbers, nobody's data."""

    def __init__(self, log: Log, registry: CollectorRegistry) -> None:
        self._log = log
        self._held = Gauge("jobs_lease_held", "1 while this process runs the jobs.", registry=registry)
        self._runs = Counter("job_runs", "Runs of a job, by what came of them.", ["job", "outcome"], registry=registry)
        self._items = Counter("job_items", "Items that a job has done.", ["job"], registry=registry)
        self._succeeded = Gauge(
            "job_last_success_timestamp_seconds",
            "When a job last did what it had to, in seconds since 1970; of all processes the latest counts.",
            ["job"],
            registry=registry,
        )
        self._durations = Durations("job_duration_seconds", "Time that one run of a job took.", ["job"], _BUCKETS)
        registry.register(self._durations)

    def lease(self, *, held: bool) -> None:
        """The jobs are run by this process from now on, or no more."""
        self._held.set(held)
        self._log.info("jobs are run here" if held else "jobs are run here no more")

    def ran(
        self, job: str, outcome: Outcome, seconds: float, items: int = 0, error: BaseException | None = None
    ) -> None:
        """A run came to its end."""
        self._runs.labels(job, outcome).inc()
        self._items.labels(job).inc(items)
        self._durations.labelled(job).observe(seconds)
        if outcome == "done":
            self._succeeded.labels(job).set(time.time())
        if items or outcome != "done":
            fields: dict[str, object] = {"job": job, "outcome": outcome, "duration_ms": round(seconds * 1000, 3)}
            fields |= {"items": items} if outcome == "done" else {}
            fields |= {"faults": faults(error)} if error is not None else {}
            (self._log.info if outcome in ("done", "stopped") else self._log.error)("job", **fields)

    def broke(self, error: BaseException) -> None:
        """What runs the jobs ran into a defect, and begins again."""
        self._log.error("jobs broke off", faults=faults(error))
