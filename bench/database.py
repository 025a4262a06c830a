"""The PostgreSQL of the bench."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, LiteralString

import psycopg

from banter_grpc.database.embedded import EmbeddedError, EmbeddedPostgres
from banter_grpc.database.migrations import Migrations
from banter_grpc.database.roles import SERVICE as SERVICE_ROLE
from bench.errors import BenchError

SLOWER_MS: Final = 2
"""By how much a slow flush is slower."""

_DELAY: Final = "SET commit_delay = 2000"  # microseconds
_ROOM: Final = "SET max_connections = 400"
"""Two services with two workers each, one more of each, and pgbench's clients."""
_TEMPORARY = Path(tempfile.gettempdir()).resolve()
_PREFIX = f"banter-bench-{os.getuid()}"


@contextmanager
def postgres() -> Generator[EmbeddedPostgres]:
    """A migrated PostgreSQL of our own, in a folder that goes with it. What a killed bench left behind goes first."""
    server = EmbeddedPostgres(_TEMPORARY / f"{_PREFIX}-{os.getpid()}")
    try:
        try:
            with _exclusively():
                _sweep()
                server.start()
                _make_room(server)
            Migrations().up(server.url())
            yield server
        finally:
            with _exclusively():
                _remove_unused(server)
    except EmbeddedError as error:
        raise BenchError(str(error)) from None


@contextmanager
def slow_flush(server: EmbeddedPostgres) -> Generator[None]:
    """Inside, each flush of the log begins `SLOWER_MS` later."""
    url = server.url()
    _alter(url, _DELAY, "SET commit_siblings = 0")
    try:
        yield
    finally:
        _alter(url, "RESET commit_delay", "RESET commit_siblings")


def postmaster_pid(server: EmbeddedPostgres) -> int:
    """The number of a running server's first process, which has started all of its others."""
    return int((server.folder / "data" / "postmaster.pid").read_text().split()[0])


def service_url(server: EmbeddedPostgres) -> str:
    """The database as the service logs in."""
    return server.url(user=SERVICE_ROLE)


def count(url: str, query: LiteralString | None) -> int | None:
    """The one number that a query returns; None where there is none to run."""
    if query is None:
        return None
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def _make_room(server: EmbeddedPostgres) -> None:
    _alter(server.url(), _ROOM)
    server.stop()
    server.start()


def _alter(url: str, *changes: LiteralString) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for change in changes:
            connection.execute(f"ALTER SYSTEM {change}")
        connection.execute("SELECT pg_reload_conf()")


def _sweep() -> None:
    for left in _TEMPORARY.glob(f"{_PREFIX}-*"):
        with suppress(EmbeddedError):
            _remove_unused(EmbeddedPostgres(left))


def _remove_unused(server: EmbeddedPostgres) -> None:
    if server.stop():
        shutil.rmtree(server.folder, ignore_errors=True)


@contextmanager
def _exclusively() -> Generator[None]:
    """While no other bench starts, stops or removes a PostgreSQL."""
    with open(_TEMPORARY / f"{_PREFIX}.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
