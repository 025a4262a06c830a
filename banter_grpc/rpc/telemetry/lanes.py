"""The metrics of statement lanes, beside the pool's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class LaneStats(Protocol):
    """What a group of lanes says of itself."""

    @property
    def lanes(self) -> int: ...
    @property
    def up(self) -> int: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    @property
    def round_trips(self) -> int: ...
    @property
    def reconnects(self) -> int: ...


_METRICS: Final = (
    (GaugeMetricFamily, "db_lanes", "Lanes of the group.", "lanes"),
    (GaugeMetricFamily, "db_lanes_up", "Lanes that take units.", "up"),
    (GaugeMetricFamily, "db_lane_units_in_flight", "Units sent and unanswered.", "in_flight"),
    (GaugeMetricFamily, "db_lane_units_waiting", "Units that wait to be sent.", "waiting"),
    (CounterMetricFamily, "db_lane_round_trips", "Units sent, one round trip each.", "round_trips"),
    (CounterMetricFamily, "db_lane_reconnects", "Connections that were made again.", "reconnects"),
)


class LaneCollector(Collector):
    """Reads the groups, by their names, when metrics are asked for."""

    def __init__(self, stats: Callable[[], Mapping[str, LaneStats]]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        """All metrics of all groups."""
        groups = self._stats()
        for family, name, text, attribute in _METRICS:
            metric = family(name, text, labels=["group"])
            for group, stats in groups.items():
                metric.add_metric([group], getattr(stats, attribute))
            yield metric
