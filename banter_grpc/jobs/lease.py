"""The lease: which process of all works on something now."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import suppress
from typing import Final

from banter_grpc import ids
from banter_grpc.database.database import Database
from banter_grpc.database.errors import DatabaseError
from banter_grpc.database.queries import jobs as queries

_GOODBYE_SECONDS: Final = 2.0


class Lease:
    """One process's claim to the lease `name`, which lasts for `seconds` from when it was asked for.

    The database says who holds it, by its clock. The holder counts from before it asked, so that it gives up before
    another can take over; only a machine that sleeps, or a clock that runs slow, makes two holders for a moment.
    """

    def __init__(self, database: Database, name: str, seconds: float) -> None:
        self._database = database
        self._name = name
        self._seconds = seconds
        self._holder = ids.new_id()
        self._instance = f"{socket.gethostname()}-{os.getpid()}"
        self._until = 0.0

    @property
    def left(self) -> float:
        """For how many seconds it is held; 0 if it is not."""
        return max(0.0, self._until - time.monotonic())

    @property
    def renewal(self) -> float:
        """After how many seconds the holder asks again: two failures leave time for a third attempt."""
        return self._seconds / 3

    async def take(self) -> None:
        """Take it, or prolong it, or learn that another holds it. Raises `DatabaseError` when nobody can say."""
        asked = time.monotonic()
        try:
            async with asyncio.timeout(self.renewal):
                step = queries.take_lease(
                    name=self._name, holder=self._holder, instance=self._instance, seconds=self._seconds
                )
                taken = await self._database.run(step, key=self._name)
        except TimeoutError:
            raise DatabaseError("the database does not answer in time") from None
        self._until = asked + self._seconds if taken else 0.0

    async def release(self) -> None:
        """Let it go, for the next to take it at once. Without a database it runs out by itself."""
        self._until = 0.0
        with suppress(DatabaseError, TimeoutError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                step = queries.release_lease(name=self._name, holder=self._holder)
                await self._database.run(step, key=self._name)
