"""Migrations: numbered SQL files, each applied exactly once and whole, whoever starts and whatever dies meanwhile.

Everything happens on one connection that holds an advisory lock. The lock dies with its process, but nobody else has
it before the server has ended what that process had sent.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import errors, pq, sql

from banter_grpc import resources
from banter_grpc.database import roles
from banter_grpc.database.roles import Connection
from banter_grpc.database.yoyo_tables import Script, YoyoTables, read
from banter_grpc.foreseen import ForeseenError

_LOCK = 0x62616E746572  # "banter"

_CONCURRENT_INDEX = re.compile(
    r"^\s*CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+IF\s+NOT\s+EXISTS\s+([\w.\"]+)\s", re.IGNORECASE | re.MULTILINE
)


class MigrationError(ForeseenError):
    """The schema is as it was before the migration that failed; the text is one line that says what to do."""


class MigrationState(Enum):
    """What a migration is to a database."""

    APPLIED = "applied"
    PENDING = "pending"
    EDITED = "edited since it was applied"
    MISSING = "applied, but there is no such file"


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """One migration, by the name of its file without `.sql`, and when it was applied."""

    name: str
    state: MigrationState
    apply_time: datetime | None


class Migrations:
    """The migrations of a folder, Banter's own by default. Everything may raise `MigrationError`.

    `patience` is how many seconds to wait while another process migrates, `lock_timeout` how many a migration may
    wait for a table: whoever comes for that table waits behind it all the while.
    """

    def __init__(self, folder: Path | None = None, *, patience: float = 600, lock_timeout: float = 5) -> None:
        self.folder = folder or resources.migrations()
        self._patience = patience
        self._lock_timeout = lock_timeout

    def up(self, url: str) -> list[str]:
        """Apply what is pending, as the owner; the names of what this call applied. Makes the service's role first."""
        scripts = self._scripts()
        with self._alone(url) as connection:
            roles.ensure(connection, login=False)
            tables = _prepare(connection)
            _refuse_changes(_status(connection, scripts))
            applied = tables.applied(scripts)
            pending = [script for script in scripts if script.name not in applied]
            for script in pending:
                if not _has_sql(script.forth):
                    raise MigrationError(f"{script.name} has no SQL yet: write it, or remove its two files")
                self._apply(connection, tables, script)
        return [script.name for script in pending]

    def down(self, url: str, count: int = 1) -> list[str]:
        """Roll back the last `count` migrations, newest first; the names of what this call rolled back."""
        scripts = self._scripts()
        with self._alone(url) as connection:
            tables = _prepare(connection)
            _refuse_changes(_status(connection, scripts))
            applied = tables.applied(scripts)
            last = [script for script in reversed(scripts) if script.name in applied][: max(count, 0)]
            for script in last:
                if not _has_sql(script.back):
                    raise MigrationError(f"{script.name} can't be rolled back: {script.name}.rollback.sql has no SQL")
            for script in last:
                self._roll_back(connection, tables, script)
        return [script.name for script in last]

    def status(self, url: str) -> list[MigrationStatus]:
        """Every migration, in order; those without a file come last. The service's role may ask this too."""
        with _connection(url) as connection:
            return _status(connection, self._scripts())

    def pending(self, url: str) -> list[str]:
        """The names of those not yet applied. The service's role may ask this too."""
        return [status.name for status in self.status(url) if status.state is MigrationState.PENDING]

    def create(self, name: str) -> Path:
        """Write the two files of a new migration, after the newest one; the path of the first."""
        slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        if not slug:
            raise MigrationError(f"{name!r} is no name for a migration: say what it does, such as add_rooms")
        if self.folder == resources.migrations() and not resources.in_checkout():
            raise MigrationError("migrations are written in a checkout of the sources, not in an installed package")
        last = max((script.name for script in self._scripts(may_be_none=True)), default="")
        path = self.folder / f"{int(last[:4] or 0) + 1:04}_{slug}.sql"
        title = name.strip().replace("_", " ").capitalize()
        try:
            with open(path, "x", encoding="utf-8") as file:
                file.write(f"-- {title}.\n-- depends: {last}".rstrip() + "\n\n")
            path.with_suffix(".rollback.sql").touch(exist_ok=False)
        except OSError as error:
            raise MigrationError(f"{path} can't be written: {(error.strerror or 'unknown error').lower()}") from error
        return path

    def _scripts(self, *, may_be_none: bool = False) -> list[Script]:
        try:
            scripts = read(self.folder)
        except ValueError as error:
            raise MigrationError(f"the migrations in {self.folder} can't be read: {error}") from error
        for script in scripts:
            if not re.fullmatch(r"\d{4}_\w+", script.name):
                raise MigrationError(f"{script.name}.sql is no name for a migration: it looks like 0001_name.sql")
        if not scripts and not may_be_none:
            raise MigrationError(f"there are no migrations in {self.folder}")
        return scripts

    @contextmanager
    def _alone(self, url: str) -> Generator[Connection]:
        """A connection that holds the lock, until it is closed or its process dies.

        The lock is asked for again and again: who *waits* in it has a snapshot, and a CREATE INDEX CONCURRENTLY of
        the holder waits for that in turn.
        """
        with _connection(url) as connection:
            # A login's own limits are for the service; lock_timeout is a matter of each file.
            for name in ("statement_timeout", "idle_in_transaction_session_timeout", "lock_timeout"):
                connection.execute(sql.SQL("SET {} = 0").format(sql.Identifier(name)))
            with suppress(errors.InvalidParameterValue):  # not every system can watch a client
                connection.execute("SET client_connection_check_interval = '500ms'")
            give_up = time.monotonic() + self._patience
            while not _truth(connection, "SELECT pg_try_advisory_lock(%s)", _LOCK):
                if time.monotonic() > give_up:
                    raise MigrationError("another process is still migrating this database: wait for it, or end it")
                time.sleep(0.1)
            yield connection

    def _apply(self, connection: Connection, tables: YoyoTables, script: Script) -> None:
        if not script.transactional:
            _drop_half_made_index(connection, script)
        with self._executed(connection, script, script.forth):
            tables.mark(script)
            row = [script.name, _checksum(script)]
            connection.execute("INSERT INTO migration_checksums VALUES (%s, %s, statement_timestamp())", row)

    def _roll_back(self, connection: Connection, tables: YoyoTables, script: Script) -> None:
        with self._executed(connection, script, script.back):
            tables.unmark(script)
            connection.execute("DELETE FROM migration_checksums WHERE id = %s", [script.name])

    @contextmanager
    def _executed(self, connection: Connection, script: Script, text: str) -> Generator[None]:
        """Run the text of a file, and what the caller does with it in the same transaction.

        A file that can't be in one runs before: killed between the two, it runs again.
        """
        try:
            if not script.transactional:
                connection.execute(text.encode())
            with connection.transaction():
                if script.transactional:
                    limit = sql.Literal(f"{self._lock_timeout * 1000:.0f}ms")
                    connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(limit))
                    connection.execute(text.encode())
                    if connection.info.transaction_status is not pq.TransactionStatus.INTRANS:
                        raise MigrationError(f"{script.name} ends the transaction that it is in: take its COMMIT out")
                yield
        except errors.LockNotAvailable as error:
            raise MigrationError(
                f"{script.name} waited {self._lock_timeout:g} s for a lock and was undone: try again at a quieter time"
            ) from error
        except psycopg.Error as error:
            raise MigrationError(f"{script.name} failed{_place(error, text)}: {_line(error)}") from error


@contextmanager
def _connection(url: str) -> Generator[Connection]:
    """A connection in autocommit; what the database complains of becomes one line."""
    try:
        with roles.connect(url) as connection:
            yield connection
    except roles.RoleError as error:
        raise MigrationError(str(error)) from error
    except psycopg.Error as error:
        raise MigrationError(f"the database refuses: {_line(error)}") from error


def _prepare(connection: Connection) -> YoyoTables:
    """Make the tables that remember what was applied; the service may read ours."""
    if not _has_checksums(connection):
        with connection.transaction():
            connection.execute(
                "CREATE TABLE migration_checksums ("
                " id text NOT NULL, sha256 text NOT NULL, apply_time timestamptz NOT NULL,"
                " CONSTRAINT migration_checksums_pkey PRIMARY KEY (id))"
            )
            grant = sql.SQL("GRANT SELECT ON migration_checksums TO {}")
            connection.execute(grant.format(sql.Identifier(roles.SERVICE)))
    tables = YoyoTables(connection)
    tables.prepare()
    return tables


def _has_checksums(connection: Connection) -> bool:
    return _truth(connection, "SELECT to_regclass('migration_checksums') IS NOT NULL")


def _status(connection: Connection, scripts: Sequence[Script]) -> list[MigrationStatus]:
    rows: dict[str, tuple[str, datetime]] = {}
    if _has_checksums(connection):
        query = "SELECT id, sha256, apply_time FROM migration_checksums ORDER BY id"
        rows = {name: (checksum, at) for name, checksum, at in connection.execute(query)}
    result: list[MigrationStatus] = []
    for script in scripts:
        checksum, at = rows.pop(script.name, (None, None))
        if checksum is None:
            state = MigrationState.PENDING
        else:
            state = MigrationState.APPLIED if checksum == _checksum(script) else MigrationState.EDITED
        result.append(MigrationStatus(script.name, state, at))
    return result + [MigrationStatus(name, MigrationState.MISSING, at) for name, (_, at) in rows.items()]


def _refuse_changes(statuses: Sequence[MigrationStatus]) -> None:
    edited = [status.name for status in statuses if status.state is MigrationState.EDITED]
    if edited:
        raise MigrationError(
            f"{', '.join(edited)} was edited after it was applied: restore the file, and write a new migration"
        )
    missing = [status.name for status in statuses if status.state is MigrationState.MISSING]
    if missing:
        raise MigrationError(
            f"{', '.join(missing)} was applied, but its file is missing: restore it, or update this program"
        )


def _drop_half_made_index(connection: Connection, script: Script) -> None:
    """Remove the invalid index that a killed CREATE INDEX CONCURRENTLY left: IF NOT EXISTS is content with it."""
    match = _CONCURRENT_INDEX.search(script.forth)
    if match is None:
        return
    query = "SELECT indexrelid::regclass::text FROM pg_index WHERE indexrelid = to_regclass(%s) AND NOT indisvalid"
    row = connection.execute(query, [match[1]]).fetchone()
    if row:
        connection.execute(f"DROP INDEX CONCURRENTLY {row[0]}".encode())


def _has_sql(text: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("--") for line in text.splitlines())


def _checksum(script: Script) -> str:
    return hashlib.sha256(script.forth.encode()).hexdigest()


def _place(error: psycopg.Error, text: str) -> str:
    position = error.diag.statement_position
    return f" in line {text.count(chr(10), 0, int(position) - 1) + 1}" if position else ""


def _line(error: psycopg.Error) -> str:
    return error.diag.message_primary or (str(error).splitlines() or [type(error).__name__])[0]


def _truth(connection: Connection, query: LiteralString, *parameters: object) -> bool:
    row = connection.execute(query, parameters).fetchone()
    return row is not None and bool(row[0])
