"""yoyo's bookkeeping on a connection of ours: which migrations there are, and which of them are marked as applied.

Three of its habits are mended here: it connects by a URL of its own kind, it looks up names that a container may not
have, and it fills the server's log with errors about a table that exists.
"""

from __future__ import annotations

import glob
import os
import socket
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from yoyo import exceptions, read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri
from yoyo.migrations import Migration, default_migration_table, topological_sort

from banter_grpc.database.roles import Connection


@dataclass(frozen=True, slots=True)
class Script:
    """A migration as its files have it; `back` is empty where there is no rollback file."""

    name: str
    forth: str
    back: str
    transactional: bool
    migration: Migration


def read(folder: Path) -> list[Script]:
    """The migrations of a folder, in the order in which they are applied; `ValueError` says what is wrong with one."""
    found = read_migrations(glob.escape(str(folder)))
    try:
        return [_script(migration) for migration in topological_sort(found)]
    except exceptions.BadMigration as error:
        raise ValueError(str(error)) from error
    except KeyError as error:
        raise ValueError(f"transactional is true or false, not {error}") from error
    except OSError as error:
        raise ValueError(f"{error.filename}: {error.strerror}") from error


def _script(migration: Migration) -> Script:
    path = Path(migration.path)
    if not migration.is_raw_sql():
        raise ValueError(f"{path.name} is no SQL file")
    back = path.with_suffix(".rollback.sql")
    return Script(
        name=str(migration.id),
        forth=path.read_text("utf-8"),
        back=back.read_text("utf-8") if back.exists() else "",
        transactional=bool(migration.use_transactions),
        migration=migration,
    )


class YoyoTables(PostgresqlPsycopgBackend):
    """yoyo's tables, made where they are missing."""

    create_lock_table_sql = PostgresqlPsycopgBackend.create_lock_table_sql.replace("TABLE", "TABLE IF NOT EXISTS", 1)

    def __init__(self, connection: Connection) -> None:
        self._given = connection
        super().__init__(parse_uri("postgresql+psycopg:///"), default_migration_table)

    def connect(self, dburi: object) -> Connection:
        return self._given

    def prepare(self) -> None:
        """Make the tables, and free a lock that a killed process left: ours is the advisory lock."""
        self.create_lock_table()
        self.break_lock()
        self.ensure_internal_schema_updated()

    def applied(self, scripts: list[Script]) -> set[str]:
        """The names of those that are marked as applied."""
        marks = set(self.get_applied_migration_hashes())
        return {script.name for script in scripts if script.migration.hash in marks}

    def mark(self, script: Script) -> None:
        """Mark as applied, in the caller's transaction."""
        self.log_migration(script.migration, "apply")
        self.mark_one(script.migration, log=False)

    def unmark(self, script: Script) -> None:
        """Mark as rolled back, in the caller's transaction."""
        self.log_migration(script.migration, "rollback")
        self.unmark_one(script.migration, log=False)

    def get_log_data(self, migration: Migration | None = None, operation: str = "apply") -> dict[str, Any]:
        return {
            "id": str(uuid.uuid4()),
            "migration_id": migration.id if migration else None,
            "migration_hash": migration.hash if migration else None,
            "username": f"uid {os.getuid()}",
            "hostname": socket.gethostname(),
            "created_at_utc": datetime.now(UTC).replace(tzinfo=None),
            "operation": operation,
        }
