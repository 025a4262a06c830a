"""What clients saw of a row of calls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """`calls` were made in `seconds`, from the first one's start to the last one's end; `together` of these seconds
    at least three quarters of the clients had calls to make. Calls per second, and latencies in milliseconds, are of
    that time, if it is any. `client_us` is the client's own CPU per call, where it says so.
    """

    calls: int
    seconds: float
    together: float
    per_second: float
    p50_ms: float
    p99_ms: float
    client_us: float | None = None


def sample_of(*clients: Sequence[tuple[int, int]]) -> Sample:
    """The sample of at least one call of each client, each given by its start and its duration in microseconds."""
    starts = sorted(min(start for start, _ in calls) for calls in clients)
    ends = sorted(max(start + duration for start, duration in calls) for calls in clients)
    seconds = max(ends[-1] - starts[0], 1) / 1e6
    stragglers = (len(clients) - 1) // 8
    begin, end = starts[-1 - stragglers], ends[stragglers]
    together = max(end - begin, 0) / 1e6
    durations = sorted(duration for calls in clients for start, duration in calls if begin < start + duration <= end)
    if not durations:  # they hardly met
        durations = sorted(duration for calls in clients for _, duration in calls)
    return Sample(
        calls=sum(map(len, clients)),
        seconds=seconds,
        together=together,
        per_second=len(durations) / (together or seconds),
        p50_ms=_percentile(durations, 0.50),
        p99_ms=_percentile(durations, 0.99),
    )


def _percentile(durations: list[int], share: float) -> float:
    """The least of the sorted durations that `share` of them do not exceed, in milliseconds."""
    return durations[math.ceil(share * len(durations)) - 1] / 1000
