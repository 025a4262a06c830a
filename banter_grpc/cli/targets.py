"""Which database a command works on: an option names it, else the environment, else it is the embedded one."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from banter_grpc.cli.environment import settings
from banter_grpc.cli.failures import CommandError
from banter_grpc.cli.output import working
from banter_grpc.cli.signals import interrupted_once
from banter_grpc.config import Settings
from banter_grpc.database.embedded import EmbeddedError, EmbeddedPostgres, default_folder
from banter_grpc.database.migrations import Migrations, MigrationState
from banter_grpc.database.roles import SERVICE

if TYPE_CHECKING:
    from pydantic import SecretStr

    from banter_grpc.rpc.mint import DevKey


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


def find_url(database_url: str | None, data_dir: Path | None, configured: SecretStr | None) -> str | None:
    """The URL to use; None for the embedded database. An option weighs more than the environment."""
    if database_url or data_dir:
        return database_url
    return configured.get_secret_value() if configured else None


def folder(data_dir: Path | None, found: Settings) -> Path:
    """The folder of the embedded database and of the development key."""
    return (data_dir or found.data_dir or default_folder()).expanduser()


def dev_key(where: Path) -> DevKey:
    """The development key in that folder, made where it is missing."""
    from banter_grpc.rpc.mint import DevKey

    if not where.exists():
        # Not the key's own 0700: the embedded server's account must be able to enter later.
        where.mkdir(parents=True, exist_ok=True)
        where.chmod(0o711)
    return DevKey.load_or_create(where / "dev.key")


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
    statuses = Migrations().status(url)
    pending = [each.name for each in statuses if each.state is MigrationState.PENDING]
    if pending:
        raise CommandError(f"the database lacks {', '.join(pending)}: run banter migrate up")
    edited = [each.name for each in statuses if each.state is MigrationState.EDITED]
    if edited:
        raise CommandError(f"{', '.join(edited)} was edited after it was applied: run the version that applied it")
