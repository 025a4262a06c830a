"""A group of lanes to one database: which unit goes over which."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from banter_grpc.database.errors import BusyError, NotExecutedError
from banter_grpc.database.exchange import Dumped
from banter_grpc.database.lane import Lane, Tally
from banter_grpc.database.lane_settings import LaneSettings
from banter_grpc.database.observer import Observer
from banter_grpc.database.reach import Reach


@dataclass(frozen=True, slots=True)
class LaneStats:
    """A group of lanes now; `round_trips` and `reconnects` so far."""

    lanes: int
    up: int
    in_flight: int
    waiting: int
    round_trips: int
    reconnects: int


class _Group:
    """The units of one key that wait for an answer, and where they are."""

    __slots__ = ("lane", "units")

    def __init__(self) -> None:
        self.lane: Lane | None = None
        self.units = 0


class Lanes:
    """One lane for each of `conninfos`. One that is down is passed over while another is up."""

    def __init__(
        self,
        conninfos: Sequence[str],
        settings: LaneSettings,
        *,
        prepares: bool = True,
        reach: Reach | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._observer = observer
        self._settings = settings
        self._came_up = asyncio.Event()
        self._tally = Tally()
        reach = reach or Reach()
        self.lanes = [
            Lane(conninfo, settings, prepares=prepares, reach=reach, tally=self._tally, up=self._came_up)
            for conninfo in conninfos
        ]
        self._keys: dict[Hashable, _Group] = {}
        self._waiting = 0
        self._closing = False

    async def open(self) -> None:
        """Return when one lane is up, or raise what its attempt raised; the others follow in their own time."""
        first, *others = self.lanes
        await first.open()
        for lane in others:
            lane.start()

    async def close(self, drain: float = 10.0) -> None:
        """Refuse new units, await those accepted for at most `drain` seconds, then close."""
        self._closing = True
        self._came_up.set()  # who waits for a lane is told
        await asyncio.gather(*(lane.close(drain) for lane in self.lanes))

    @property
    def waiting(self) -> int:
        """How many units were not sent yet."""
        return self._waiting + self._tally.waiting

    def stats(self) -> LaneStats:
        """The group as it is now."""
        return LaneStats(
            lanes=len(self.lanes),
            up=sum(lane.is_up for lane in self.lanes),
            in_flight=sum(len(lane.flying) for lane in self.lanes),
            waiting=self.waiting,
            round_trips=self._tally.round_trips,
            reconnects=self._tally.reconnects,
        )

    async def run(self, steps: Sequence[Dumped], key: Hashable = None) -> list[Any]:
        """Run a unit on the lane where others of its key are, else on the one with the least to do; as `Lane.run`.

        A unit that was not sent goes to another lane. When none is up, and the patience of the settings is over since
        the unit came, it is `NotExecutedError`.
        """
        started = time.perf_counter()
        failed = True
        group = self._join(key)
        try:
            while True:
                lane = self._choose(group)
                if lane is None:
                    await self._wait(started + self._settings.patience - time.perf_counter())
                    continue
                try:
                    answers = await lane.run(steps)
                except BusyError:
                    raise
                except NotExecutedError:
                    continue
                failed = False
                return answers
        finally:
            self._leave(key, group)
            if self._observer is not None:
                names = [step.statement.name for step in steps]
                self._observer.unit(names, time.perf_counter() - started, failed)

    def _join(self, key: Hashable) -> _Group | None:
        """The units of a key, with one more."""
        if key is None:
            return None
        group = self._keys.get(key)
        if group is None:
            group = self._keys[key] = _Group()
        group.units += 1
        return group

    def _leave(self, key: Hashable, group: _Group | None) -> None:
        if group is not None:
            group.units -= 1
            if not group.units:
                del self._keys[key]

    def _choose(self, group: _Group | None) -> Lane | None:
        """The lane where units of the same key are, while it is up, else the one with the least to do; None while none
        is up.
        """
        if group is not None and group.lane is not None and group.lane.is_up:
            return group.lane
        best, least = None, sys.maxsize
        for lane in self.lanes:
            if lane.is_up:
                load = len(lane.queue) + len(lane.flying)
                if load < least:
                    best, least = lane, load
                    if not load:
                        break
        if group is not None:
            group.lane = best
        return best

    async def _wait(self, seconds: float) -> None:
        """Wait until a lane comes up, for at most so long."""
        if self._closing:
            raise NotExecutedError("the lanes are closing")
        if self._waiting >= self._settings.queue:
            raise BusyError(f"{self._settings.queue} units wait already")
        self._came_up.clear()
        self._waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await self._came_up.wait()
        except TimeoutError:
            raise NotExecutedError(f"no lane was up for {self._settings.patience:g} s") from None
        finally:
            self._waiting -= 1
