"""Servers of a test's own, to be killed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from banter_grpc.database import binaries
from banter_grpc.database.embedded import EmbeddedError, EmbeddedPostgres
from tests.database import lane_units
from tests.support.clusters import Cluster


@pytest.fixture
def place() -> Iterator[Path]:
    """A short, empty folder that every account can enter; a server in `pg` below it is stopped at the end."""
    made = Path(tempfile.mkdtemp(prefix="banter-own-")).resolve()
    made.chmod(0o755)
    yield made
    with suppress(EmbeddedError):
        EmbeddedPostgres(made / "pg").stop()
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def _made() -> Iterator[Path]:
    """A folder in which a server was started and stopped."""
    with tempfile.TemporaryDirectory(prefix="banter-own-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o755)
        server = EmbeddedPostgres(Path(made, "pg"))
        server.start()
        server.stop()
        yield server.folder


@pytest.fixture
def folder(_made: Path, place: Path) -> Path:
    """The folder of a stopped server of the test's own."""
    subprocess.run(["cp", "-a", _made, place / "pg"], check=True)  # with its owners
    return place / "pg"


def _installations() -> list[object]:
    """The embedded PostgreSQL, and the system's where there is one."""
    system = binaries.system_candidates()
    if not system:
        return [None, pytest.param(None, marks=pytest.mark.skip("no PostgreSQL is installed in /usr/lib/postgresql"))]
    return [pytest.param(None, id="embedded"), *(pytest.param([path], id=path.parent.name) for path in system)]


@pytest.fixture(params=_installations(), scope="module")
def any_server(request: pytest.FixtureRequest) -> Iterator[EmbeddedPostgres]:
    """A started server of its own, of each PostgreSQL that there is."""
    made = Path(tempfile.mkdtemp(prefix="banter-own-")).resolve()
    made.chmod(0o755)
    server = EmbeddedPostgres(made / "pg", search=request.param)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def lane_url(cluster: Cluster) -> Iterator[str]:
    """The database of this worker's tests of lanes, for its owner."""
    database = cluster.new_database(migrated=False)
    yield database.owner_url
    cluster.drop_database(database.name)


@pytest.fixture
async def admin(lane_url: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """A connection of the owner's beside the lanes, with the tables of `lane_units` as new."""
    async with await psycopg.AsyncConnection.connect(lane_url, autocommit=True) as connection:
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await connection.execute(lane_units.SCHEMA)
        yield connection
