"""The service's database: units go over lanes or the pool, and are tried again where that is safe.

What is short shares the lanes; what is long, streamed or to die with its caller (`Way.OWN`) goes over the pool. Units
that only read have lanes of their own, so that no lock of a writer holds them up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Hashable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final, TypeVar, overload

import psycopg

from banter_grpc.database import errors
from banter_grpc.database.connection import ConnectionEnded
from banter_grpc.database.dumping import Dumper
from banter_grpc.database.lane_settings import LaneSettings
from banter_grpc.database.lanes import Lanes, LaneStats
from banter_grpc.database.observer import Observer
from banter_grpc.database.pool import Pool, PoolStats
from banter_grpc.database.reach import Reach
from banter_grpc.database.retries import Retries, end_of_stream
from banter_grpc.database.settings import PoolSettings, connection_string
from banter_grpc.database.statement import Statement, Step, Way, row_count

__all__ = ["Database", "LaneSettings", "LaneStats", "Observer", "PoolSettings", "PoolStats"]

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")

_PING: Final = Statement("ping", "SELECT 1", tuple, row_count, Way.SHARED, writes=False, repeatable=True)

BATCH: Final = 200
"""Rows of a batch of a stream: enough to make a round trip cheap, few enough to work on without a pause."""


class Database:
    """Lanes and pool of one process. Open it before use, close it after.

    Without `lanes` every unit goes over the pool: for commands of few queries, and to measure.
    """

    def __init__(
        self, pool: PoolSettings, observer: Observer | None = None, *, lanes: LaneSettings | None = None
    ) -> None:
        self._wait = pool.wait
        self._dumper = Dumper()
        reach = Reach()
        self._pool = Pool(pool, reach, observer)
        self._groups: dict[str, Lanes] = {}
        if lanes is not None:
            self._groups = {
                "read": _lanes("read", lanes.read_lanes, pool, lanes, reach, observer),
                "write": _lanes("write", lanes.write_lanes, pool, lanes, reach, observer),
            }
        self._reads = self._groups.get("read")
        self._writes = self._groups.get("write")

    async def open(self) -> None:
        """Connect. Raises `UnavailableError`, whose cause says why, when that does not succeed in time."""
        await self._pool.open()
        try:
            for group in self._groups.values():
                await group.open()
        except BaseException as error:
            await self.close()
            if isinstance(error, psycopg.Error | TimeoutError):
                raise errors.UnavailableError("cannot connect to the database") from error
            raise

    async def close(self) -> None:
        """Refuse new units, await those accepted for a while, and close every connection."""
        await asyncio.gather(*(group.close() for group in self._groups.values()))
        await self._pool.close()

    @property
    def waiting(self) -> int:
        """How many units wait for a connection, or to be sent on one."""
        if self._reads is None or self._writes is None:
            return self._pool.waiting
        return self._pool.waiting + self._reads.waiting + self._writes.waiting

    def stats(self) -> PoolStats:
        """The pool as it is now."""
        return self._pool.stats()

    def lane_stats(self) -> Mapping[str, LaneStats]:
        """The groups of lanes as they are now, `read` and `write`; none without lanes."""
        return {name: group.stats() for name, group in self._groups.items()}

    async def ping(self) -> bool:
        """Whether the database answers now, the way that most units go."""
        try:
            async with asyncio.timeout(self._wait + 1.0):
                await self.run(Step(_PING, ()))
        except (errors.DatabaseError, TimeoutError):
            return False
        return True

    @overload
    async def run(self, a: Step[A], /, *, key: Hashable = None) -> A: ...
    @overload
    async def run(self, a: Step[A], b: Step[B], /, *, key: Hashable = None) -> tuple[A, B]: ...
    @overload
    async def run(self, a: Step[A], b: Step[B], c: Step[C], /, *, key: Hashable = None) -> tuple[A, B, C]: ...
    @overload
    async def run(
        self, a: Step[A], b: Step[B], c: Step[C], d: Step[D], /, *, key: Hashable = None
    ) -> tuple[A, B, C, D]: ...
    @overload
    async def run(
        self, a: Step[A], b: Step[B], c: Step[C], d: Step[D], e: Step[E], /, *, key: Hashable = None
    ) -> tuple[A, B, C, D, E]: ...

    @overload
    async def run(self, /, *steps: Step[Any], key: Hashable = None) -> tuple[Any, ...]: ...

    async def run(self, *steps: Step[Any], key: Hashable = None) -> Any:
        """Run a unit: one round trip, all of it or nothing. Returns the answer of its step, or a tuple of answers.

        `key` names the row that writers of other calls fight for: the most shared one that the request names, else its
        resource. A unit goes to the lane where others of its key are under way: they queue there, instead of waiting
        for the row's lock. Nothing may depend on their order: other processes have lanes too, a lane that is down is
        passed over, and what was sent for a caller who has gone is forgotten. The pool has no use for a key.

        Raises `DatabaseError`: collisions were tried again before, and so was what is repeatable when the connection
        was lost. Cancelling the caller cancels the unit on the pool; on a lane it drops one that was not sent, while
        one that was sent ends by itself or by the lane's timeouts, and its answer is discarded.
        """
        dumped = [self._dumper.dump(step) for step in steps]
        group = self._way(steps)
        retries: Retries | None = None
        while True:
            try:
                answers = await (self._pool.run(dumped) if group is None else group.run(dumped, key))
            except (psycopg.Error, ConnectionEnded, errors.UnavailableError) as error:
                retries = retries or Retries([step.statement for step in steps])
                await retries.consider(error)
            else:
                return answers[0] if len(answers) == 1 else tuple(answers)

    async def stream(self, *steps: Step[list[A]], batch: int = BATCH) -> AsyncGenerator[tuple[str, list[A]], None]:
        """Read the rows of queries too long to hold: for each step in turn its query's name with up to `batch` rows.

        All of it is one snapshot, the database as it was at the first batch, and goes over the pool: a connection is
        taken until the last row, so that close it (`contextlib.aclosing`) when you leave it early. The reader sets
        the pace, and nothing is read ahead. A step without rows gives nothing.

        Raises `DatabaseError`: before the first rows it is tried again like a unit, after them it is not. Cancelling
        the reader cancels the query.
        """
        dumped = [self._dumper.dump(step) for step in steps]
        retries = Retries([step.statement for step in steps])
        begun = False
        while True:
            try:
                async with aclosing(self._pool.stream(dumped, batch)) as batches:
                    async for each in batches:
                        begun = True
                        yield each
            except (psycopg.Error, ConnectionEnded, errors.UnavailableError) as error:
                if begun:
                    end_of_stream(error)
                await retries.consider(error)
            else:
                return

    def _way(self, steps: Sequence[Step[Any]]) -> Lanes | None:
        """The lanes that the unit goes over, or None for the pool."""
        writes = False
        for step in steps:
            if step.statement.way is Way.OWN:
                return None
            writes = writes or step.statement.writes
        return self._writes if writes else self._reads


def _lanes(
    name: str, count: int, pool: PoolSettings, lanes: LaneSettings, reach: Reach, observer: Observer | None
) -> Lanes:
    """A group of lanes to the pool's database, each under a name of its own."""
    own = replace(pool, statement_timeout=lanes.statement_timeout, lock_timeout=lanes.lock_timeout)
    conninfos = [connection_string(own, f"{name}-{number}") for number in range(1, count + 1)]
    return Lanes(conninfos, lanes, prepares=pool.prepares, reach=reach, observer=observer)
