"""The PostgreSQL that tests run on, and the databases in it.

`BANTER_TEST_POSTGRES` names the folder of another PostgreSQL's programs than those of the wheel.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from banter_grpc import resources
from banter_grpc.database.embedded import EmbeddedError, EmbeddedPostgres
from banter_grpc.database.migrations import Migrations
from banter_grpc.database.roles import SERVICE

_TEMPORARY = Path(tempfile.gettempdir()).resolve()
_PREFIX = f"banter-test-{os.getuid()}"


@dataclass(frozen=True)
class Database:
    """A database of a test cluster: its name, and its URL for either role."""

    name: str
    owner_url: str
    service_url: str


class Cluster:
    """A server, and the databases that tests make in it."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self.server = server

    def new_database(self, *, migrated: bool = True) -> Database:
        """A clone of the migrated template, or an empty database."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self._create(name, self._template() if migrated else "template0")
        return Database(name, self.server.url(database=name), self.server.url(user=SERVICE, database=name))

    @contextmanager
    def another(self) -> Generator[Cluster]:
        """A cluster of its own, as new."""
        with tempfile.TemporaryDirectory(prefix="banter-own-", ignore_cleanup_errors=True) as made:
            Path(made).chmod(0o755)
            server = _server(self.copy(Path(made, "pg")))
            server.start()
            try:
                yield Cluster(server)
            finally:
                server.stop()

    def copy(self, folder: Path) -> Path:
        """Make `folder` that of a new server, stopped: a copy of one that is made once, as initdb takes longer."""
        spare = self.server.folder / "spare"
        with _exclusively():
            if not spare.exists():
                new = _server(self.server.folder / "spare.new")
                _remove_unused(new)  # what a killed worker left
                new.start()
                new.stop()
                new.folder.rename(spare)
        subprocess.run(["cp", "-a", spare, folder], check=True)  # with its owners
        return folder

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self._administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _template(self) -> str:
        """A database with every migration applied, made once however many workers ask at once."""
        text = b"".join(path.read_bytes() for path in sorted(resources.migrations().glob("*.sql")))
        name = f"template_{hashlib.sha256(text).hexdigest()[:12]}"
        with psycopg.connect(self.server.url(database="postgres"), autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(1)")
            if connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
                new = f"{name}_new"
                self.drop_database(new)
                self._create(new, "template0")
                Migrations().up(self.server.url(database=new))
                # Nobody connects to it, not even autovacuum: a connection would keep it from being cloned.
                self._administer(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(new)))
                self._administer(
                    sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(new), sql.Identifier(name))
                )
        return name

    def _create(self, name: str, template: str) -> None:
        self._administer(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )

    def _administer(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.server.url(database="postgres"), autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def shared_cluster(run: str) -> Generator[Cluster]:
    """The cluster of a run of the tests: the first worker that asks starts it, the last that leaves removes it.

    What a killed run left behind goes first.
    """
    server = _server(_TEMPORARY / f"{_PREFIX}-{run}")
    with _exclusively():
        for left in _TEMPORARY.glob(f"{_PREFIX}-*"):
            if left != server.folder:
                _remove_unused(EmbeddedPostgres(left))
        server.start()
    try:
        yield Cluster(server)
    finally:
        with _exclusively():
            _remove_unused(server)


def _server(folder: Path) -> EmbeddedPostgres:
    programs = os.environ.get("BANTER_TEST_POSTGRES")
    return EmbeddedPostgres(folder, search=[Path(programs)] if programs else None)


def _remove_unused(server: EmbeddedPostgres) -> None:
    try:
        unused = server.stop()
    except EmbeddedError:  # a removal that was killed
        unused = True
    if unused:
        shutil.rmtree(server.folder, ignore_errors=True)


@contextmanager
def _exclusively() -> Generator[None]:
    """While no other worker, of this run or another, starts, stops or removes a test cluster."""
    with open(_TEMPORARY / f"{_PREFIX}.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
