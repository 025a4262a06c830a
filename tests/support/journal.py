"""Jobs that leave a journal of who ran when; and a process of its own that competes to run one.

python -m tests.support.journal URL WHO SECONDS
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import psycopg
from prometheus_client import CollectorRegistry

from banter_grpc import loop
from banter_grpc.database.database import Database, PoolSettings
from banter_grpc.database.statement import Statement, Step, Way, row_count
from banter_grpc.jobs.job import Job
from banter_grpc.jobs.lease import Lease
from banter_grpc.jobs.runner import JobRunner
from banter_grpc.rpc.telemetry.jobs import JobObserver
from banter_grpc.rpc.telemetry.logs import make_log

SCHEMA: Final = """
CREATE TABLE journal (who text, begin_time timestamptz, end_time timestamptz);
CREATE TABLE todo (id integer);
GRANT SELECT, INSERT ON journal TO banter_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON todo TO banter_service;
"""
OVERLAPS: Final = """
SELECT count(*) FROM journal AS a
JOIN journal AS b ON a.who <> b.who AND a.begin_time < b.end_time AND b.begin_time < a.end_time
"""

_WRITE: Final = Statement(
    "write_journal",
    "INSERT INTO journal SELECT $1::text, statement_timestamp(), clock_timestamp() FROM pg_sleep($2::float8)",
    tuple,
    row_count,
    Way.OWN,
    writes=True,
    repeatable=False,
)
_WORK_OFF: Final = Statement(
    "work_off",
    "DELETE FROM todo WHERE id IN (SELECT id FROM todo LIMIT $1::int8 FOR UPDATE SKIP LOCKED)",
    tuple,
    row_count,
    Way.OWN,
    writes=True,
    repeatable=False,
)
_REFUSED: Final = Statement("refused", "SELECT 1 / 0", tuple, row_count, Way.OWN, writes=False, repeatable=True)
_HANG: Final = Statement("hang", "SELECT pg_sleep(600)", tuple, row_count, Way.OWN, writes=False, repeatable=True)


def refuse() -> Step[int]:
    """The database refuses it."""
    return Step(_REFUSED, ())


def hang() -> Step[int]:
    """It takes ten minutes."""
    return Step(_HANG, ())


def write(who: str, seconds: float = 0.0) -> Step[int]:
    """Says in the journal that somebody worked for so long."""
    return Step(_WRITE, (who, seconds))


def work_off(most: int) -> Step[int]:
    """Does at most so many items of `todo`."""
    return Step(_WORK_OFF, (most,))


def writing(who: str, every: float = 0.05, seconds: float = 0.0) -> Job:
    """A job that writes a line of the journal each time."""
    return Job.of_step("write", every, "writes a journal", lambda _: write(who, seconds))


def create_tables(owner_url: str) -> None:
    """Make the journal and the items."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(SCHEMA.encode())


def lines_of(owner_url: str, who: str) -> int:
    """How many lines somebody has written."""
    return value_of(owner_url, f"SELECT count(*) FROM journal WHERE who = '{who}'")


def value_of(owner_url: str, query: str) -> int:
    """One number."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


async def compete(url: str, who: str, seconds: float) -> None:
    """Until killed: hold the lease as often as it comes, and write line after line in one run that does not end."""

    async def run(database: Database) -> int:
        while True:
            await database.run(write(who, 0.01))

    database = Database(PoolSettings(url=url, size=2, min_size=2))
    await database.open()
    log = make_log("json", "error")
    job = Job(name="write", every=1.0, about="writes a journal", run=run)
    runner = JobRunner([job], database, Lease(database, "jobs", seconds), JobObserver(log, CollectorRegistry()))
    runner.start()
    print("competes", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    loop.run(compete(sys.argv[1], sys.argv[2], float(sys.argv[3])))
