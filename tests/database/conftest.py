"""Servers of a test's own, to be killed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from banter_grpc.database.embedded import EmbeddedError, EmbeddedPostgres
from tests.database import lane_units, pools
from tests.support.clusters import Cluster, Database


@pytest.fixture
def place() -> Iterator[Path]:
    """A short, empty folder that every account can enter; a server in `pg` below it is stopped at the end."""
    made = Path(tempfile.mkdtemp(prefix="banter-own-")).resolve()
    made.chmod(0o755)
    yield made
    with suppress(EmbeddedError):
        EmbeddedPostgres(made / "pg").stop()
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def folder(cluster: Cluster, place: Path) -> Path:
    """The folder of a stopped server of the test's own."""
    return cluster.copy(place / "pg")


@pytest.fixture(scope="session")
def lane_url(cluster: Cluster) -> Iterator[str]:
    """The database of this worker's tests of lanes, for its owner."""
    database = cluster.new_database(migrated=False)
    yield database.owner_url
    cluster.drop_database(database.name)


@pytest.fixture(scope="session")
def pool_database(cluster: Cluster) -> Iterator[Database]:
    """The database of this worker's tests of the pool."""
    database = cluster.new_database(migrated=False)
    yield database
    cluster.drop_database(database.name)


@pytest.fixture
def made(pool_database: Database) -> Database:
    """A database with the tables of the tests of the pool, as new."""
    pools.create_tables(pool_database.owner_url)
    return pool_database


@pytest.fixture
async def admin(lane_url: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """A connection of the owner's beside the lanes, with the tables of `lane_units` as new."""
    async with await psycopg.AsyncConnection.connect(lane_url, autocommit=True) as connection:
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await connection.execute(lane_units.SCHEMA)
        yield connection
