"""What a client saw of a row of calls."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """`calls` answered in `seconds`, from the first's start to the last's end; latencies in milliseconds."""

    calls: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Calls per second."""
        return self.calls / self.seconds


def sample_of(calls: Iterable[tuple[int, int]]) -> Sample:
    """The sample of at least one call, each given by its start and its duration in microseconds."""
    starts, durations, end = [], [], 0
    for start, duration in calls:
        starts.append(start)
        durations.append(duration)
        end = max(end, start + duration)
    durations.sort()
    seconds = max(end - min(starts), 1) / 1e6
    return Sample(len(durations), seconds, _percentile(durations, 0.50), _percentile(durations, 0.99))


def _percentile(durations: list[int], share: float) -> float:
    """The least of the sorted durations that `share` of them do not exceed, in milliseconds."""
    return durations[math.ceil(share * len(durations)) - 1] / 1000
