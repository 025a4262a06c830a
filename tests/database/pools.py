"""What the tests of the pool share: a table, statements on it, and pools that are closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from banter_grpc.database.database import Database, Observer, PoolSettings
from banter_grpc.database.statement import Statement, Step, Way, all_rows, row_count

SCHEMA = """
DROP SCHEMA public CASCADE;
CREATE SCHEMA public;
GRANT USAGE ON SCHEMA public TO banter_service;
CREATE TABLE counters (
    id integer CONSTRAINT counters_pkey PRIMARY KEY,
    value integer NOT NULL,
    parent integer CONSTRAINT counters_parent_fkey REFERENCES counters (id),
    period int4range,
    CONSTRAINT counters_value_check CHECK (value >= 0),
    CONSTRAINT counters_period_excl EXCLUDE USING gist (period WITH &&)
);
CREATE SEQUENCE attempts;
CREATE FUNCTION collide(times integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('attempts') <= times THEN
        RAISE serialization_failure;
    END IF;
END;
$$;
GRANT SELECT, INSERT, UPDATE, DELETE ON counters TO banter_service;
GRANT USAGE ON SEQUENCE attempts TO banter_service;
"""


def write(sql: str, *, repeatable: bool = False) -> Statement[int]:
    return Statement("write", sql, tuple, row_count, Way.SHARED, writes=True, repeatable=repeatable)


def read(sql: str, name: str = "read") -> Statement[list[Any]]:
    return Statement(name, sql, tuple, all_rows, Way.SHARED, writes=False, repeatable=True)


INSERT = write("INSERT INTO counters (id, value) VALUES ($1::int4, $2::int4)")
PUT = write("INSERT INTO counters (id, value) VALUES ($1::int4, $2::int4) ON CONFLICT (id) DO NOTHING", repeatable=True)
MEET = Statement(
    "meet",
    "INSERT INTO counters (id, value) SELECT 1, value + 1 FROM counters WHERE id = 0"
    " AND NOT EXISTS (SELECT FROM counters WHERE id = 1)",
    tuple,
    row_count,
    Way.SHARED,
    writes=True,
    repeatable=False,
    collides=("counters_pkey",),
)
"""Copies counter 0 to 1 once: two at once meet at the key."""
ADD = write("UPDATE counters SET value = value + $2::int4 WHERE id = $1::int4")
VALUES = read("SELECT id, value FROM counters ORDER BY id")
PID = read("SELECT pg_backend_pid()", "pid")
SLEEP = read("SELECT pg_sleep($1::float8)::text", "sleep")
COLLIDE = write("SELECT collide($1::int4)")


def step(statement: Statement[Any], *parameters: object) -> Step[Any]:
    return Step(statement, parameters)


@asynccontextmanager
async def opened(url: str, observer: Observer | None = None, **settings: Any) -> AsyncIterator[Database]:
    """A pool of one connection, unless told otherwise."""
    database = Database(PoolSettings(url=url, **{"size": 1, "min_size": 1, "instance": "test"} | settings), observer)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


def ask(url: str, sql: str) -> Any:
    """One value, or none of a command, over a connection of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None


def create_tables(url: str) -> None:
    """Make `SCHEMA`, and nothing else, in the database of this owner's URL, which nobody else uses any more."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute(SCHEMA.encode())


async def until(true: Callable[[], Awaitable[bool]], seconds: float) -> float:
    """How long it took until `true`; fails after `seconds`."""
    started = time.monotonic()
    while not await true():
        assert time.monotonic() - started < seconds, f"not so after {seconds} s"
        await asyncio.sleep(0.005)
    return time.monotonic() - started
