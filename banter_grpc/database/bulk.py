"""Adding many rows at once, as the owner: for commands, not for the service."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Final, LiteralString

import psycopg
from psycopg import sql

from banter_grpc.database import errors, roles
from banter_grpc.database.failures import failure_of
from banter_grpc.database.roles import Connection

_LOCK_COINS: Final = """
SELECT FROM wallets WHERE user_id = ANY(%s::uuid[]) AND kind = 'coins' ORDER BY user_id FOR NO KEY UPDATE
"""
_GRANT: Final = """
SELECT
    post(
        given.id, 'signup_grant', given.user_id, NULL, given.user_id,
        ARRAY[(given.user_id, 'coins', given.coins, 0)::leg, (given.user_id, 'promotions', -given.coins, 0)::leg]
    )
FROM unnest(%s::uuid[], %s::uuid[], %s::bigint[]) AS given (id, user_id, coins)
INNER JOIN living_users USING (user_id)
WHERE NOT EXISTS (SELECT FROM transactions WHERE transactions.id = given.id)
"""


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
        """Add the rows that break no unique constraint; how many. Columns `living` name living users, or are null."""
        staged = self._stage(table, columns, rows)
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        alive = [
            sql.SQL(
                "({0} IS NULL OR EXISTS (SELECT FROM living_users WHERE living_users.user_id = staged.{0}))"
            ).format(sql.Identifier(column))
            for column in living
        ]
        return self._connection.execute(
            sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} AS staged WHERE {} ON CONFLICT DO NOTHING").format(
                sql.Identifier(table), names, names, staged, sql.SQL(" AND ").join(alive or [sql.SQL("TRUE")])
            )
        ).rowcount

    def grant(self, grants: Iterable[tuple[str, str, int]]) -> int:
        """Give living users coins, by (transaction, user, coins), unless that transaction is there; how many were.

        The time of a transaction is when this is done, as it is of every other one.
        """
        given = [*grants]
        columns = [[grant[place] for grant in given] for place in range(3)]
        self._connection.execute(_LOCK_COINS, [columns[1]])
        return self._connection.execute(_GRANT, columns).rowcount

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
