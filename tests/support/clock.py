"""The clock of a test's database: stopped, ahead, or as it is."""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg import sql

from banter_grpc import resources

Moment = str
"""A time in UTC, such as ``2031-01-31 10:00``."""

_RUNS: Final = "statement_timestamp()"


def stop_clock(owner_url: str, moment: Moment) -> None:
    """clock() says this moment in the database, until it is replaced again."""
    _replace(owner_url, sql.SQL("{}::timestamptz").format(sql.Literal(f"{moment}+00")))


def move_clock(owner_url: str, seconds: float) -> None:
    """clock() is so many seconds ahead in the database, until it is replaced again."""
    _replace(owner_url, sql.SQL(_RUNS + " + make_interval(secs => {})").format(sql.Literal(float(seconds))))


def run_clock(owner_url: str) -> None:
    """clock() is as the migrations made it."""
    _replace(owner_url, sql.SQL(_RUNS))


def _replace(owner_url: str, says: sql.Composable) -> None:
    migration = (resources.migrations() / "0001_clock.sql").read_text()
    start = migration.index("CREATE FUNCTION clock()")
    real = migration[start : migration.index(";", start)].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1)
    assert real.count(_RUNS) == 1
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(real.replace(_RUNS, says.as_string(connection)).encode())
