"""Rate limits: each caller has a budget of calls per class, in this process.

The generic cell rate algorithm (ITU-T I.371): of each budget only the time is kept at which it will be full again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from banter.v1 import options_pb2

from banter_grpc.errors import Refusal
from banter_grpc.rpc.caller import Caller

_MAX_BUDGETS = 100_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls a second in the long run, and so many at once."""

    per_second: float
    burst: int


class RateLimits:
    """The budgets of all callers. `services` holds for services; a class without a rate is not limited."""

    def __init__(self, users: Mapping[int, Rate], services: Mapping[int, Rate], now: Callable[[], float]) -> None:
        self._users = users
        self._services = services
        self._now = now
        self._full_at: dict[tuple[str, int], float] = {}

    def take(self, caller: Caller, peer: str, rate_class: int) -> None:
        """Take one call from the caller's budget (a public caller's is his host's), or raise `Refusal`."""
        rate = (self._services if caller.is_service else self._users).get(rate_class)
        if rate is None:
            return
        key = (caller.actor_id or peer, rate_class)
        now = self._now()
        full_at = max(now, self._full_at.get(key, now))
        wait = full_at + 1 / rate.per_second - now - rate.burst / rate.per_second
        if wait > 1e-9:
            name = (
                options_pb2.RateClass.DESCRIPTOR.values_by_number[rate_class].name.removeprefix("RATE_CLASS_").lower()
            )
            delay = max(0.001, round(wait, 3))
            raise Refusal(
                "RATE_LIMITED",
                f"too many calls of class {name}, {rate.per_second:g} a second at most; try again in {delay:g} s",
                retry_after=delay,
                rate_class=name,
                per_second=f"{rate.per_second:g}",
            )
        if len(self._full_at) >= _MAX_BUDGETS:
            self._forget(now)
        self._full_at[key] = full_at + 1 / rate.per_second

    def _forget(self, now: float) -> None:
        """Drop the budgets that are full; should none be, the oldest half: a flood of names must not grow memory."""
        self._full_at = {key: at for key, at in self._full_at.items() if at > now}
        if len(self._full_at) >= _MAX_BUDGETS:
            self._full_at = dict(list(self._full_at.items())[_MAX_BUDGETS // 2 :])
