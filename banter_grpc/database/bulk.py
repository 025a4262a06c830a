"""Adding many rows at once, as the owner: for commands, not for the service."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import LiteralString

import psycopg
from psycopg import sql

from banter_grpc.database import errors, roles
from banter_grpc.database.failures import failure_of
from banter_grpc.database.roles import Connection


class Bulk:
    """A connection that adds rows and leaves those alone that are there."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def batch(self) -> Generator[None]:
        """What is added inside is there whole, or not at all."""
        with self._connection.transaction():
            yield

    def add(
        self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, living: Sequence[str] = ()
    ) -> int:
        """Add the rows that break no unique constraint and whose columns `living` name living users; how many."""
        staged = self._stage(table, columns, rows)
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        alive = [
            sql.SQL("EXISTS (SELECT FROM living_users WHERE living_users.user_id = staged.{})").format(
                sql.Identifier(column)
            )
            for column in living
        ]
        return self._connection.execute(
            sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} AS staged WHERE {} ON CONFLICT DO NOTHING").format(
                sql.Identifier(table), names, names, staged, sql.SQL(" AND ").join(alive or [sql.SQL("TRUE")])
            )
        ).rowcount

    def absent(self, table: str, column: str, ids: Sequence[str]) -> int:
        """How many of the ids the table does not have."""
        row = self._connection.execute(
            sql.SQL("SELECT count(*) FROM {} WHERE {} = ANY(%s::uuid[])").format(
                sql.Identifier(table), sql.Identifier(column)
            ),
            [ids],
        ).fetchone()
        return len(ids) - (row[0] if row else 0)

    def number(self, query: LiteralString, *parameters: object) -> int:
        """The number that a query gives."""
        row = self._connection.execute(query, parameters).fetchone()
        return int(row[0]) if row else 0

    def analyze(self, tables: Iterable[str]) -> None:
        """Let the planner know that these tables have grown."""
        for table in tables:
            self._connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table)))

    def _stage(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> sql.Identifier:
        """Put the rows into a temporary table of these columns, which is empty again after the batch."""
        staged, names = sql.Identifier(f"staged_{table}"), sql.SQL(", ").join(map(sql.Identifier, columns))
        self._connection.execute(
            sql.SQL(
                "CREATE TEMPORARY TABLE IF NOT EXISTS {} ON COMMIT DELETE ROWS AS SELECT {} FROM {} WITH NO DATA"
            ).format(staged, names, sql.Identifier(table))
        )
        with (
            self._connection.cursor() as cursor,
            cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(staged, names)) as copy,
        ):
            for row in rows:
                copy.write_row(row)
        return staged


@contextmanager
def bulk(url: str) -> Generator[Bulk]:
    """A connection of the owner, without limits of time. Raises `DatabaseError`, and `RoleError` if there is none."""
    with roles.connect(url) as connection:
        try:
            connection.execute("SET statement_timeout = 0")
            connection.execute("SET client_min_messages = error")  # IF NOT EXISTS has something to say
            yield Bulk(connection)
        except psycopg.Error as error:
            if connection.broken:
                raise errors.UnavailableError(
                    "the connection to the database was lost: run it again, and it goes on where it stopped"
                ) from None
            raise failure_of(error) from error
