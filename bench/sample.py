"""What clients saw of a row of calls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.errors import BenchError


@dataclass(frozen=True, slots=True)
class Sample:
    """`calls` were made. Of those that ended while every client had calls to make: how many a second, and latencies
    in milliseconds.
    """

    calls: int
    seconds: float
    """From the first call's start to the last one's end."""
    per_second: float
    p50_ms: float
    p99_ms: float


def sample_of(*clients: Sequence[tuple[int, int]]) -> Sample:
    """The sample of at least one call of each client, each given by its start and its duration in microseconds.

    Clients don't start and end at once: only what all of them saw together makes a rate. Raises `BenchError` when that
    was nothing.
    """
    starts = [min(start for start, _ in calls) for calls in clients]
    ends = [max(start + duration for start, duration in calls) for calls in clients]
    begin, end = max(starts), min(ends)
    durations = sorted(duration for calls in clients for start, duration in calls if begin < start + duration <= end)
    if not durations:
        raise BenchError("the clients did not call at one time: give more --seconds")
    seconds = max(end - begin, 1) / 1e6
    return Sample(
        sum(map(len, clients)),
        max(max(ends) - min(starts), 1) / 1e6,
        len(durations) / seconds,
        _percentile(durations, 0.50),
        _percentile(durations, 0.99),
    )


def _percentile(durations: list[int], share: float) -> float:
    """The least of the sorted durations that `share` of them do not exceed, in milliseconds."""
    return durations[math.ceil(share * len(durations)) - 1] / 1000
