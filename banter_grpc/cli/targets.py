"""The database that a command works on, and the embedded server around it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from banter_grpc.cli.environment import settings
from banter_grpc.cli.failures import CommandError
from banter_grpc.cli.output import working
from banter_grpc.cli.places import find_url, folder
from banter_grpc.cli.signals import interrupted_once
from banter_grpc.database.embedded import EmbeddedError, EmbeddedPostgres
from banter_grpc.database.roles import SERVICE


@dataclass(frozen=True, slots=True)
class Target:
    """A database: its URL for what the command is, and the server if it is the embedded one."""

    url: str
    embedded: EmbeddedPostgres | None = None


def as_owner(database_url: str | None, data_dir: Path | None) -> AbstractContextManager[Target]:
    """The database for its owner; the embedded one runs inside the context."""
    found = settings()
    url = find_url(database_url, data_dir, found.migration_database_url)
    return given(url) if url else embedded(folder(data_dir, found))


def as_service(database_url: str | None, data_dir: Path | None) -> AbstractContextManager[Target]:
    """The database for the service; the embedded one runs inside the context."""
    found = settings()
    url = find_url(database_url, data_dir, found.database_url)
    return given(url) if url else embedded(folder(data_dir, found), SERVICE)


@contextmanager
def given(url: str) -> Generator[Target]:
    """A database that somebody else runs."""
    yield Target(url)


@contextmanager
def embedded(where: Path, user: str | None = None) -> Generator[Target]:
    """The embedded database, started, for its owner or another role.

    Ctrl-C ends the context, and a second one changes nothing.
    """
    server = EmbeddedPostgres(where)
    with interrupted_once():
        try:
            with working("starting PostgreSQL"):
                server.start()
        except BaseException:
            with suppress(EmbeddedError, OSError):  # why it did not start says more
                server.stop()
            raise
        try:
            yield Target(server.url(user) if user else server.url(), server)
        finally:
            server.stop()


def require_migrated(url: str) -> None:
    """Refuse a database whose schema is not the one that this program knows."""
    from banter_grpc.database.migrations import Migrations, MigrationState

    statuses = Migrations().status(url)
    pending = [each.name for each in statuses if each.state is MigrationState.PENDING]
    if pending:
        raise CommandError(f"the database lacks {', '.join(pending)}: run banter migrate up")
    edited = [each.name for each in statuses if each.state is MigrationState.EDITED]
    if edited:
        raise CommandError(f"{', '.join(edited)} was edited after it was applied: run the version that applied it")
