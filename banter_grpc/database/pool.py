"""The pool: units of many callers over few connections, each alone on its own while it runs.

A unit is one round trip and one implicit transaction. psycopg's pool keeps the connections; what it does not say, or
does too slowly for an RPC, is here: short waits, dead connections noticed before use, quick recovery.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import psycopg_pool

from banter_grpc.database import errors
from banter_grpc.database.connection import ConnectionEnded, PooledConnection
from banter_grpc.database.exchange import Dumped
from banter_grpc.database.failures import is_read_only
from banter_grpc.database.observer import Observer
from banter_grpc.database.reach import Reach
from banter_grpc.database.settings import PoolSettings, connection_string
from banter_grpc.database.snapshot import Snapshot

_REFILL: Final = 0.25


@dataclass(frozen=True, slots=True)
class PoolStats:
    """The pool now: connections open or being opened, those in use, units waiting; and all waits so far, in seconds."""

    size: int
    in_use: int
    waiting: int
    wait_seconds: float


class Pool:
    """The connections of units that need one of their own. Open it before use, close it after."""

    def __init__(self, settings: PoolSettings, reach: Reach, observer: Observer | None = None) -> None:
        self._settings = settings
        self._observer = observer
        self._reach = reach
        self._in_use = 0
        self._waiting = 0
        self._wait_seconds = 0.0
        # A reader decides how long his stream takes, so that streams never get all connections.
        self._streams = asyncio.Semaphore(max(1, settings.size // 2))
        self._returning: set[asyncio.Task[None]] = set()
        self._refill: asyncio.Task[None] | None = None
        self._pool = psycopg_pool.AsyncConnectionPool(
            connection_string(settings, settings.purpose),
            connection_class=PooledConnection,
            kwargs={
                "autocommit": True,
                "prepare_threshold": None,
                "reach": self._reach,
                "prepares": settings.prepares,
            },
            min_size=min(settings.min_size, settings.size),
            max_size=settings.size,
            max_waiting=settings.max_waiting,
            timeout=settings.wait,
            max_lifetime=settings.max_lifetime,
            max_idle=settings.max_idle,
            reconnect_timeout=0.0,  # its pauses grow without bound: it gives up at once, and is told to try again
            reconnect_failed=self._could_not_connect,
            open=False,
            name="banter",
        )
        # It logs each attempt and each loss; `Reach` says what a person needs to know of them.
        logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)

    async def open(self) -> None:
        """Connect. Raises `UnavailableError`, whose cause says why, when that does not succeed in time."""
        await self._pool.open()
        try:
            await self._pool.wait(self._settings.connect_timeout)
        except psycopg_pool.PoolTimeout as error:
            await self.close()
            raise errors.UnavailableError("cannot connect to the database") from self._reach.error or error

    async def close(self) -> None:
        """Close the connections, those in use when they come back; new units are refused."""
        if self._refill is not None:
            self._refill.cancel()
        await asyncio.gather(*self._returning)
        await self._pool.close()

    @property
    def waiting(self) -> int:
        """How many units wait for a connection; cheaper than `stats`."""
        return self._waiting

    def stats(self) -> PoolStats:
        """The pool as it is now."""
        return PoolStats(self._pool.get_stats()["pool_size"], self._in_use, self._waiting, self._wait_seconds)

    async def run(self, steps: Sequence[Dumped]) -> list[Any]:
        """Run a unit once and return the answer of each step. Cancelling the caller cancels the unit in the server.

        Raises `psycopg.Error` when the server refuses it and nothing of it is left, `ConnectionEnded`,
        `UnavailableError` when there is no connection in time, and `DefectError` when an answer can't be read.
        """
        connection = await self._acquire()
        started = time.perf_counter()
        failed = True
        try:
            answers = await connection.run(steps)
            failed = False
            return answers
        except psycopg.Error as error:
            if is_read_only(error):
                await connection.close()  # the next one may find the new primary
            raise
        except (ConnectionEnded, asyncio.CancelledError):
            raise
        except Exception as error:
            raise errors.DefectError("an answer could not be read") from error
        finally:
            self._release(connection)
            if self._observer is not None:
                names = [step.statement.name for step in steps]
                self._observer.unit(names, time.perf_counter() - started, failed)

    async def stream(self, steps: Sequence[Dumped], batch: int) -> AsyncGenerator[tuple[str, list[Any]], None]:
        """Read the rows of each step in batches, all from one snapshot: the statement's name, and some rows.

        Raises what `run` does. However it ends, by its last row, by an error or because its reader has gone, so do
        the query and its transaction.
        """
        await self._take_turn()
        try:
            connection = await self._acquire()
            try:
                snapshot = Snapshot(connection, self._settings.reader_timeout, self._observer)
                for step in steps:
                    async with aclosing(snapshot.read(step, batch)) as batches:
                        async for rows in batches:
                            yield step.statement.name, rows
            finally:
                self._release(connection)  # in a transaction: the pool ends it
        finally:
            self._streams.release()

    async def _take_turn(self) -> None:
        """Wait until not too many streams are open."""
        try:
            async with asyncio.timeout(self._settings.wait):
                await self._streams.acquire()
        except TimeoutError as error:
            raise errors.UnavailableError("too many streams are open") from error

    async def _acquire(self) -> PooledConnection:
        """A connection that works, as far as can be told without asking the server."""
        started = time.perf_counter()
        self._waiting += 1
        try:
            while True:
                left = started + self._settings.wait - time.perf_counter()
                connection = await self._get(left)
                if not connection.has_ended():
                    break
                await connection.close()
                self._release(connection)
        finally:
            self._waiting -= 1
            waited = time.perf_counter() - started
            self._wait_seconds += waited
        if self._observer is not None:
            self._observer.waited(waited)
        return connection

    async def _get(self, patience: float) -> PooledConnection:
        if self._reach.is_lost and not self._in_use and not self._pool.get_stats()["pool_available"]:
            await asyncio.sleep(0)  # who asks again and again would keep the loop from trying
            raise errors.UnavailableError("the database can't be reached") from self._reach.error
        task = asyncio.current_task()
        cancelling = task.cancelling() if task is not None else 0
        try:
            connection = await self._pool.getconn(patience)
        except (psycopg_pool.PoolTimeout, psycopg_pool.TooManyRequests, psycopg_pool.PoolClosed) as error:
            raise errors.UnavailableError("no connection was free in time") from self._reach.error or error
        self._in_use += 1
        if task is not None and task.cancelling() > cancelling:  # wait_for() swallows it, before Python 3.12
            self._release(connection)
            raise asyncio.CancelledError
        return connection

    def _release(self, connection: PooledConnection) -> None:
        """Give it back in a task of its own: a cancelled caller would lose it to the pool for ever."""
        self._in_use -= 1
        task = asyncio.get_running_loop().create_task(self._pool.putconn(connection))
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)

    async def _could_not_connect(self, _: object) -> None:
        if self._refill is None:
            self._refill = asyncio.create_task(self._try_again(), name="pool refill")

    async def _try_again(self) -> None:
        """The pool has given up a connection: have it try again while it is too small or somebody waits."""
        await asyncio.sleep(_REFILL)
        self._refill = None
        if not self._pool.closed and (self._waiting or self.stats().size < self._pool.min_size):
            await self._pool.check()
