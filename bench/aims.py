"""What the service aims at, with one worker and 32 calls in flight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench import layers
from bench.layers import Layers
from bench.results import Result

_IN_FLIGHT, _WORKERS = 32, 1
_OF_FLOOR = {"GetUser": 0.5, "BatchGetUsers": 0.2}
_OF_CEILING = {"UpdateUser-one": 1.0, "PurchaseCoins-one": 1.5}
_OF_CEILING_ALWAYS = {"PurchaseCoins": 1 / 3}
"""However many are in flight."""
_BY_POOL = {"GetUser", "BatchGetUsers", "UpdateUser", "UpdateUser-one"}
_OF_POOL = 1.4
_OF_POOL_SLOW = 1.0


@dataclass(frozen=True, slots=True)
class Aim:
    """One aim, and what was found: at least `wanted`, or at most."""

    text: str
    wanted: float
    found: float
    unit: str = ""
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether it is."""
        return self.found <= self.wanted if self.at_most else self.found >= self.wanted


def aims(results: Sequence[Result], layers: Layers | None) -> list[Aim]:
    """Those that the measured allows to judge."""
    return [aim for result in results for aim in _of(result)] + _surroundings(layers)


def _of(result: Result) -> Iterator[Aim]:
    name, title = result.case.name, result.case.title
    if result.slower_ms and name in _BY_POOL:
        text = f"{title}, flush + {result.slower_ms} ms, {result.shape.in_flight} in flight, "
        text += f"{result.workers} worker{'s' if result.workers > 1 else ''}: lanes by the pool"
        yield Aim(text, _OF_POOL_SLOW, result.of_pool)
    if result.slower_ms:
        return
    if name in _OF_CEILING_ALWAYS and result.workers == _WORKERS:
        text = f"{title}, {result.shape.in_flight} in flight: share of the ceiling"
        yield Aim(text, _OF_CEILING_ALWAYS[name], result.of_ceiling)
    if (result.shape.in_flight, result.workers) != (_IN_FLIGHT, _WORKERS):
        return
    if name in _OF_FLOOR:
        yield Aim(f"{title}: share of the floor", _OF_FLOOR[name], result.of_floor)
    if name in _OF_CEILING:
        yield Aim(f"{title}: share of the ceiling", _OF_CEILING[name], result.of_ceiling)
    if name in _BY_POOL:
        yield Aim(f"{title}: lanes by the pool", _OF_POOL, result.of_pool)


def _surroundings(found: Layers | None) -> list[Aim]:
    if found is None:
        return []
    text = "CPU of what surrounds a handler, per call (the least of the repeats)"
    return [Aim(text, layers.AIM_US, found.total.least, " us", at_most=True)]
