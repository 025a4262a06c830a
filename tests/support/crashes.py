"""A service as production has it, on a PostgreSQL of its own, and every way in which they die."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from tests.support.clusters import Cluster, Database
from tests.support.processes import eventually, lives
from tests.support.proxy import Cut, Proxy
from tests.support.served import Served, served

_SETTINGS: Final = {
    "rate_write": 1e6,
    "rate_read": 1e6,
    "caller_cache": 0,  # who is erased is unknown at once
}


class Production:
    """The service, one worker under its supervisor, behind a proxy before its database."""

    def __init__(self, cluster: Cluster, database: Database, proxy: Proxy, folder: Path) -> None:
        self._cluster = cluster
        self._proxy = proxy
        self._folder = folder
        self._runs = 0
        self._cuts = 0
        self._stack = ExitStack()
        self.database = database
        self.served = self._serve()

    def _serve(self) -> Served:
        self._runs += 1
        folder = self._folder / str(self._runs)
        folder.mkdir()
        return self._stack.enter_context(served(folder, self._proxy.url, **_SETTINGS))

    @property
    def ways(self) -> Mapping[str, Callable[[], object]]:
        """By its name, what kills something. `restart` makes it whole."""
        return {
            "worker": self._kill_worker,
            "service": self._kill_service,
            "postgres": self._kill_postgres,
            "both": lambda: (self._kill_worker(), self._kill_postgres()),
            "connection": self._cut_connections,
        }

    def restart(self) -> None:
        """Start what is dead and does not come back by itself."""
        self._cluster.server.start()
        if not lives(self.served.supervisor):
            self._stack.close()
            self.served = self._serve()

    @property
    def cuts(self) -> int:
        """How many requests lost their answer so far."""
        return self._cuts - self._proxy.uncut

    def close(self) -> None:
        self._stack.close()

    def _kill_worker(self) -> None:
        served = {int(str(line["pid"])) for line in self.served.log if line["event"] == "serving"}
        _kill([pid for pid in _children(self.served.supervisor) if pid in served])

    def _kill_service(self) -> None:
        _kill([self.served.supervisor, *_children(self.served.supervisor)])

    def _kill_postgres(self) -> None:
        postmaster = int((self._cluster.server.folder / "data" / "postmaster.pid").read_text().split()[0])
        _kill([postmaster, *_children(postmaster)])

    def _cut_connections(self) -> None:
        """The next requests are executed, and nobody hears of it."""
        self._proxy.cut(*[Cut.ANSWER] * 3)
        self._cuts += 3


@asynccontextmanager
async def production(cluster: Cluster, folder: Path) -> AsyncIterator[Production]:
    """A service that is killed again and again; it has to end well."""
    database = cluster.new_database()
    async with Proxy(database.service_url) as proxy:
        made = await asyncio.to_thread(Production, cluster, database, proxy, folder)
        try:
            yield made
        finally:
            await asyncio.to_thread(made.close)


def _kill(pids: list[int]) -> None:
    """kill -9, and wait until they are gone."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(lives(pid) for pid in pids))


def _children(pid: int) -> list[int]:
    """The processes that it has started and that live; Linux only."""
    found = list[int]()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int(folder.joinpath("stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(folder.name))
    return found
