"""A histogram of durations that costs the event loop little: a search in a list, and two additions.

prometheus_client's own, which may be observed from any thread, costs four times as much. This one is observed on one
thread and may be read from another.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Duration:
    """The durations under one set of labels."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Something took so long."""
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.sum += seconds


class Durations(Collector):
    """A family of them, by labels; `bounds` are the buckets' upper ends in seconds, ascending."""

    def __init__(self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        self._bounds = bounds
        self._children: dict[tuple[str, ...], Duration] = {}

    def labelled(self, *values: str) -> Duration:
        """The durations under these labels. Keep it: finding it costs as much as using it."""
        return self._children.setdefault(values, Duration(self._bounds))

    def collect(self) -> Iterator[Metric]:
        """The family in Prometheus' form."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for values, child in list(self._children.items()):
            buckets, so_far = list[tuple[str, float]](), 0
            for bound, count in zip([*self._bounds, float("inf")], child.counts, strict=True):
                so_far += count
                buckets.append((floatToGoString(bound), so_far))
            family.add_metric(values, buckets, child.sum)
        yield family
