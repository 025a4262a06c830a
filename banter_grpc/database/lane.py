"""A lane: short units of many callers, pipelined over one connection that is kept up.

Units are answered first in, first out. One that is refused is rolled back as a whole and touches nobody else's; one
that is slow delays those behind it on its lane, and can't be cancelled once it was sent.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from banter_grpc.database.errors import BusyError, NotExecutedError
from banter_grpc.database.exchange import Dumped
from banter_grpc.database.lane_connection import LaneConnection
from banter_grpc.database.lane_settings import LaneSettings
from banter_grpc.database.reach import Reach
from banter_grpc.database.unit import Prepared, Unit

_TICK: Final = 0.25
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0


@dataclass(slots=True)
class Tally:
    """What the lanes of one group count together."""

    waiting: int = 0
    """Units that were not sent yet."""
    round_trips: int = 0
    """Units sent so far."""
    reconnects: int = 0
    """Connections made again so far."""


class Lane:
    """One lane. Its methods are called in one event loop.

    `up` is set whenever the lane comes up; `reach` is told of every attempt to connect.
    """

    def __init__(
        self,
        conninfo: str,
        settings: LaneSettings,
        *,
        prepares: bool = True,
        reach: Reach | None = None,
        tally: Tally | None = None,
        up: asyncio.Event | None = None,
    ) -> None:
        self._conninfo = conninfo
        self._settings = settings
        self._window = settings.window
        self._prepares = prepares
        self._reach = reach or Reach()
        self._tally = tally or Tally()
        self._came_up = up or asyncio.Event()
        self.is_up = False
        """Whether it takes units."""
        self.queue: deque[Unit] = deque()
        """Units that were not sent."""
        self.flying: deque[Unit | Prepared] = deque()
        """What was sent, in the order of its answers."""
        self._link: LaneConnection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._pause = 0.0
        self._scheduled = self._closing = self._retiring = self._was_up = False

    @property
    def backend(self) -> int | None:
        """The server's process behind it; None while there is none."""
        return None if self._link is None else self._link.backend

    async def open(self) -> None:
        """Connect, or raise what the attempt raised; from then on the lane keeps itself up."""
        self._loop = asyncio.get_running_loop()
        await self._connect()
        self._tick()

    def start(self) -> None:
        """Connect in its own time; from then on the lane keeps itself up."""
        self._loop = asyncio.get_running_loop()
        self._keeper = self._loop.create_task(self._reconnect(), name="statement lane")
        self._tick()

    async def close(self, drain: float = 10.0) -> None:
        """Refuse new units, await those accepted for at most `drain` seconds, then close."""
        self._closing, self.is_up = True, False
        try:
            if self._link is not None and (self.queue or self.flying):
                self._idle.clear()
                async with asyncio.timeout(drain):
                    await self._idle.wait()
        except TimeoutError:
            pass
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if self._keeper is not None:
                self._keeper.cancel()
            self._lost(None)
        while self._keeper is not None and not self._keeper.done():
            await asyncio.wait([self._keeper], timeout=1.0)
            self._keeper.cancel()  # once more, should something have swallowed it

    def run(self, steps: Sequence[Dumped]) -> asyncio.Future[list[Any]]:
        """Run a unit; the future gives the answer of each step. Cancelling it drops the unit if it was not sent.

        Raises `NotExecutedError` and `BusyError`. Fails with `psycopg.Error`: the server refused the unit, nothing of
        it is left; `ConnectionEnded`; `NotExecutedError`; or `DefectError` when an answer can't be read.
        """
        if not self.is_up:
            raise NotExecutedError("the lane is not up")
        if len(self.queue) >= self._settings.queue:
            raise BusyError(f"{self._settings.queue} units wait already")
        unit = Unit(steps, self._loop.create_future())
        self.queue.append(unit)
        self._tally.waiting += 1
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)
        return unit.future

    def _turn(self) -> None:
        """Send what the callers of this turn of the loop queued."""
        self._scheduled = False
        self._work(self._pump)

    def _work(self, step: Callable[[LaneConnection], object]) -> None:
        """Do `step` and all that it makes possible; notice when the connection breaks."""
        link = self._link
        if link is None:
            return
        try:
            step(link)
            link.settle()
            while self.queue and not link.blocked and len(self.flying) < self._window:
                self._pump(link)
                link.settle()
        except Exception as error:
            self._lost(error)
            return
        if link.read_only and not self._retiring:
            self._retire()
        if link.broken or (self._retiring and not self.flying):
            self._lost(None)
        elif not self.queue and not self.flying:
            self._idle.set()

    def _pump(self, link: LaneConnection) -> None:
        """Send queued units, as far as the window and the socket allow."""
        queue, flying, tally = self.queue, self.flying, self._tally
        while queue and not link.blocked and len(flying) < self._window:
            unit = queue[0]
            if not unit.future.done():
                # It stays in the queue until it is in flight: whatever breaks meanwhile, somebody tells its caller.
                link.send(unit)
                tally.round_trips += 1
            queue.popleft()
            tally.waiting -= 1

    def _again(self, unit: Unit) -> None:
        self.queue.appendleft(unit)
        self._tally.waiting += 1

    def _tick(self) -> None:
        """Look after the connection from time to time."""
        self._timer = self._loop.call_later(_TICK, self._tick)
        # libuv drops a reader after one call when the socket reports an error (POLLERR), with the rest unread.
        self._work(LaneConnection.read_unasked)
        link, now = self._link, self._loop.time()
        if link is None:
            return
        if self.flying and now - link.heard > self._settings.silence:
            self._lost(TimeoutError(f"nothing heard for {self._settings.silence:g} s"))
        elif now - link.born > self._lifetime and not self._retiring:
            self._retire()
            self._work(LaneConnection.settle)

    def _retire(self) -> None:
        """Send no more; connect again once all is answered. What was not sent is told so."""
        self._retiring, self.is_up = True, False
        self._drop_queue(None)

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                link = await LaneConnection.connect(self._conninfo, self._prepares, self.flying, self._again)
        except Exception as error:
            self._reach.failed(error)
            raise
        self._reach.connected()
        self._link = link
        self._tally.reconnects += self._was_up
        self._was_up = True
        if self._closing:  # a cancellation that was swallowed on the way must not bring a closed lane up
            self._lost(None)
            return
        self._lifetime = self._settings.max_lifetime * random.uniform(0.9, 1.0)
        self._scheduled = self._retiring = False
        link.watch(self._readable, self._writable)
        self.is_up = True
        self._came_up.set()

    def _readable(self) -> None:
        self._work(LaneConnection.read)

    def _writable(self) -> None:
        self._work(LaneConnection.flush)

    def _lost(self, error: BaseException | None) -> None:
        """Close the connection, tell every caller what is known of his unit, and connect again."""
        link, self._link, self.is_up = self._link, None, False
        if link is not None:
            link.end(error)
            lived = self._loop.time() - link.born
            self._pause = 0.0 if lived > _LONGEST_PAUSE else self._pause
            if not self._closing:
                self._keeper = self._loop.create_task(self._reconnect(), name="statement lane")
        self._drop_queue(error)
        self._idle.set()

    def _drop_queue(self, error: BaseException | None) -> None:
        for unit in self.queue:
            unit.fail(NotExecutedError("the lane went down before the unit was sent"), error)
        self._tally.waiting -= len(self.queue)
        self.queue.clear()

    async def _reconnect(self) -> None:
        """Connect, at once and then ever more slowly, until that succeeds."""
        while not self._closing:
            await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))
            self._pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, self._pause * 2))
            with suppress(Exception):  # `Reach` has been told
                await self._connect()
                return
