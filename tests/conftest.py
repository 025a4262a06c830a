"""One PostgreSQL per run of the tests, shared by its workers; a database of its own for each worker.

The cluster lives in a short folder of the system's temporary folder: pytest's own ones are 0700, and PostgreSQL's
account could not enter them as root.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.support import clock
from tests.support.clusters import Cluster, Database, shared_cluster

# Before grpc is imported: its fork handlers crash children, such as PostgreSQL's.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

if TYPE_CHECKING:
    from tests.support.harness import Running


def pytest_configure(config: pytest.Config) -> None:
    """Keep bytecode in pytest's cache where Python is told to keep none, as in many containers.

    Else each process that a test starts would compile all that it imports, which takes longer than what it is for.
    """
    if sys.dont_write_bytecode and config.pluginmanager.has_plugin("cacheprovider"):
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(config.cache.mkdir("bytecode"))
        sys.dont_write_bytecode = False
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores, as tests often wait: for a lease to run out, for a database that is away.

    Four at most: they share the 200 connections of one PostgreSQL, and a test may use 60.
    """
    return min(len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1, 3) + 1


class NewDatabase(Protocol):
    """Makes a database for one test: a fresh clone of the migrated template, or an empty one."""

    def __call__(self, *, migrated: bool = True) -> Database: ...


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The PostgreSQL of this run."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
    with shared_cluster(run[:8]) as shared:
        yield shared


@pytest.fixture(scope="module")
def own_cluster(cluster: Cluster) -> Iterator[Cluster]:
    """A PostgreSQL of a module's own, which its tests may stop."""
    with cluster.another() as own:
        yield own


@pytest.fixture(scope="session")
def worker_database(cluster: Cluster) -> Iterator[Database]:
    """This worker's own migrated database. Its tests share it, so each works with rows of its own."""
    database = cluster.new_database()
    yield database
    cluster.drop_database(database.name)


@pytest.fixture(scope="session")
def owner_url(worker_database: Database) -> str:
    """The worker's database, for the owner."""
    return worker_database.owner_url


@pytest.fixture(scope="session")
def service_url(worker_database: Database) -> str:
    """The worker's database, for the service."""
    return worker_database.service_url


@pytest.fixture
def new_database(cluster: Cluster) -> Iterator[NewDatabase]:
    """Databases that end with the test: `new_database()` is a fresh clone, `new_database(migrated=False)` is empty."""
    made: list[str] = []

    def make(*, migrated: bool = True) -> Database:
        database = cluster.new_database(migrated=migrated)
        made.append(database.name)
        return database

    yield make
    for name in made:
        cluster.drop_database(name)


@pytest.fixture
def move_clock(owner_url: str) -> Iterator[Callable[[float], None]]:
    """Moves time in the worker's database: after `move_clock(3600)` clock() is an hour ahead, until the test ends."""
    yield partial(clock.move_clock, owner_url)
    clock.run_clock(owner_url)


@pytest.fixture
def clock_at(owner_url: str, move_clock: Callable[[float], None]) -> Callable[[str], None]:
    """Stops time in the worker's database: after `clock_at("2031-01-31 10:00")` it is that, until the test ends."""
    return partial(clock.stop_clock, owner_url)


@pytest.fixture(scope="session")
async def banter(worker_database: Database) -> AsyncIterator[Running]:
    """This worker's server, on its own database. Tests share it, so each uses users of its own."""
    from tests.support.harness import running

    async with running(worker_database.owner_url, worker_database.service_url) as server:
        yield server
