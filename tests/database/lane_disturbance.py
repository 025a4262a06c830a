"""What is slow on one way to the database, and what others feel of it."""

from __future__ import annotations

import asyncio
import random
import time

import psycopg

from banter_grpc.database.database import Database
from banter_grpc.database.statement import Step, Way
from tests.database.lane_units import statement

_GET = statement("SELECT id, v FROM item WHERE id = $1::int8", name="get", writes=False, repeatable=True)
_ADD = statement("UPDATE item SET v = v + 1 WHERE id = $1::int8", name="add")
_LONG = statement("SELECT pg_sleep($1::float8)::text", name="long", way=Way.OWN, writes=False, repeatable=True)
_LOCKED = 1000


class Disturbance:
    """A query of 5 s on the pool; a row that is locked for 400 ms again and again, and writers who wait for it."""

    def __init__(self, database: Database, url: str) -> None:
        self._database = database
        self._url = url
        self._tasks: list[asyncio.Task[None]] = []
        self._waited = 0

    def start(self) -> None:
        self._tasks = [asyncio.create_task(each) for each in (self._query(), self._lock(), self._write())]

    async def end(self) -> int:
        """Stop; how many writers had to wait for the lock."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return self._waited

    async def _query(self) -> None:
        await self._database.run(Step(_LONG, (5.0,)))

    async def _lock(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._url) as connection:
            while True:
                await connection.execute("UPDATE item SET v = v + 1 WHERE id = %s", (_LOCKED,))
                await asyncio.sleep(0.4)
                await connection.commit()
                await asyncio.sleep(0.02)

    async def _write(self) -> None:
        while True:
            started = time.perf_counter()
            await self._database.run(Step(_ADD, (_LOCKED,)), key=_LOCKED)
            self._waited += time.perf_counter() - started > 0.2


async def latencies(database: Database, seconds: float) -> tuple[float, float]:
    """The 99th percentile of reads, and of writes of rows that nobody locks, by 8 callers each."""
    end = time.perf_counter() + seconds

    async def caller(write: bool) -> list[float]:
        taken: list[float] = []
        while (started := time.perf_counter()) < end:
            row = random.randrange(1, _LOCKED)
            # Writers without a key take the lane with the least to do: the one that waits for the lock is not that.
            await database.run(Step(_ADD if write else _GET, (row,)))
            taken.append(time.perf_counter() - started)
        return taken

    results = await asyncio.gather(*(caller(number % 2 == 0) for number in range(16)))
    writes, reads = ([each for taken in results[start::2] for each in taken] for start in (0, 1))
    return _p99(reads), _p99(writes)


def _p99(taken: list[float]) -> float:
    return sorted(taken)[int(len(taken) * 0.99)]
