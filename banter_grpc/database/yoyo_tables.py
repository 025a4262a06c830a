"""yoyo's bookkeeping on a connection of ours: which migrations there are, and which of them are marked as applied.

Four of its habits are mended here: it connects by a URL of its own kind, it looks up names that a container may not
have, it fills the server's log with errors about a table that exists, and it takes a tenth of a second to split files
into statements, which we send whole.
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

from yoyo import read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri
from yoyo.migrations import Migration, default_migration_table, parse_metadata_from_sql_comments
from yoyo.topologicalsort import CycleError, topological_sort

from banter_grpc.database.roles import Connection


@dataclass(frozen=True, slots=True)
class Script:
    """A migration as its files have it; `back` is empty where there is no rollback file."""

    name: str
    forth: str
    back: str
    depends: frozenset[str]
    transactional: bool
    migration: Migration


def read(folder: Path) -> list[Script]:
    """The migrations of a folder, in the order in which they are applied; `ValueError` says what is wrong with one."""
    try:
        scripts = {str(migration.id): _script(migration) for migration in read_migrations(glob.escape(str(folder)))}
    except OSError as error:
        raise ValueError(f"{error.filename}: {error.strerror}") from error
    for script in scripts.values():
        if unknown := script.depends - scripts.keys():
            raise ValueError(f"{script.name} depends on {', '.join(sorted(unknown))}, which is not there")
    try:
        ordered = list(topological_sort(scripts, {script.name: script.depends for script in scripts.values()}))
    except CycleError as error:
        raise ValueError(f"{', '.join(error.args[1])} depend on each other") from error
    return [scripts[name] for name in ordered]


def _script(migration: Migration) -> Script:
    path = Path(migration.path)
    if not migration.is_raw_sql():
        raise ValueError(f"{path.name} is no SQL file")
    forth, back = path.read_text("utf-8"), path.with_suffix(".rollback.sql")
    said, _, _ = parse_metadata_from_sql_comments(forth)
    transactional = said.get("transactional", "true").lower()
    if transactional not in {"true", "false"}:
        raise ValueError(f"in {path.name} transactional is true or false, not {transactional!r}")
    return Script(
        name=str(migration.id),
        forth=forth,
        back=back.read_text("utf-8") if back.exists() else "",
        depends=frozenset(said.get("depends", "").split()),
        transactional=transactional == "true",
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
