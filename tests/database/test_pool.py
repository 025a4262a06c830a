"""The pool: units, their errors, waiting and cancelling."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import psycopg
import pytest

from banter_grpc.database import errors
from banter_grpc.database.access import unsafe_settings
from banter_grpc.database.database import Database, PoolSettings
from banter_grpc.database.errors import ConstraintError, ConstraintKind
from banter_grpc.database.statement import Step
from tests.database.pools import (
    ADD,
    COLLIDE,
    INSERT,
    MEET,
    PID,
    SLEEP,
    VALUES,
    ask,
    opened,
    read,
    step,
    until,
    write,
)
from tests.support.clusters import Database as Made
from tests.support.proxy import Proxy


@pytest.fixture
async def database(made: Made) -> AsyncIterator[Database]:
    """A pool of one connection."""
    async with opened(made.service_url) as database:
        yield database


async def test_a_unit_is_one_round_trip_the_first_time_too(made: Made) -> None:
    async with Proxy(made.service_url) as proxy, opened(proxy.url) as database:
        for number in range(3):
            trips, syncs = proxy.round_trips, proxy.syncs
            await database.run(step(INSERT, number, 1), step(ADD, number, 2), step(VALUES))
            assert proxy.round_trips - trips == 1
            assert proxy.syncs - syncs == (4 if number == 0 else 1)
        for _ in range(3):
            trips, syncs = proxy.round_trips, proxy.syncs
            await database.run(step(VALUES))
            assert (proxy.round_trips - trips, proxy.syncs - syncs) == (1, 1)


async def test_a_step_sees_what_the_steps_before_it_did(database: Database) -> None:
    assert await database.run(step(INSERT, 1, 5), step(ADD, 1, 2), step(VALUES)) == (1, 1, [(1, 7)])


@pytest.mark.parametrize("wrong", [0, 1, 2])
async def test_a_unit_is_whole_or_nothing(database: Database, wrong: int) -> None:
    steps = [step(INSERT, 1, 1), step(INSERT, 2, 2)]
    steps.insert(wrong, step(INSERT, 3, -1))
    with pytest.raises(ConstraintError, match="counters_value_check"):
        await database.run(*steps)
    assert await database.run(step(VALUES)) == []


async def test_a_statement_is_prepared_once_for_each_connection(database: Database) -> None:
    for number in range(5):
        await database.run(step(INSERT, number, 0), step(ADD, number, 1))
    names = await database.run(Step(read("SELECT name FROM pg_prepared_statements ORDER BY name"), ()))
    assert names == [("banter_1",), ("banter_2",), ("banter_3",)]


async def test_nothing_is_prepared_where_a_pooler_could_not_keep_it(made: Made) -> None:
    async with opened(made.service_url, prepares=False) as database:
        assert await database.run(step(INSERT, 1, 5), step(VALUES)) == (1, [(1, 5)])
        assert await database.run(step(VALUES)) == [(1, 5)]
        assert await database.run(step(read("SELECT name FROM pg_prepared_statements"))) == []


async def test_statements_that_were_forgotten_or_outlived_their_columns_are_prepared_again(
    made: Made, database: Database
) -> None:
    everything = read("SELECT id, value AS value FROM counters")
    await database.run(step(INSERT, 1, 1), step(everything))
    ask(made.owner_url, "ALTER TABLE counters ALTER COLUMN value TYPE int8")
    ask(made.owner_url, "UPDATE counters SET value = 1::int8 << 40")
    assert await database.run(step(everything)) == [(1, 2**40)]
    await database.run(step(write("DEALLOCATE ALL")))
    assert await database.run(step(ADD, 1, 2), step(everything)) == (1, [(1, 2**40 + 2)])


REFUSED: list[tuple[str, Sequence[object], type[errors.DatabaseError], Any]] = [
    ("INSERT INTO counters VALUES (1, 2)", (), ConstraintError, (ConstraintKind.UNIQUE, "counters_pkey")),
    ("INSERT INTO counters VALUES (2, -1)", (), ConstraintError, (ConstraintKind.CHECK, "counters_value_check")),
    ("INSERT INTO counters VALUES (2)", (), ConstraintError, (ConstraintKind.NOT_NULL, "counters_value_not_null")),
    (
        "INSERT INTO counters VALUES (2, 1, 9)",
        (),
        ConstraintError,
        (ConstraintKind.FOREIGN_KEY, "counters_parent_fkey"),
    ),
    (
        "INSERT INTO counters (id, value, period) VALUES (2, 1, '[1,3)'), (3, 1, '[2,4)')",
        (),
        ConstraintError,
        (ConstraintKind.EXCLUSION, "counters_period_excl"),
    ),
    ("SELECT $1::uuid", ("secret",), errors.BadValueError, None),
    ("SELECT $1::int4", (2**31,), errors.BadValueError, None),
    ("SELECT $1::date", ("2026-02-30",), errors.BadValueError, None),
    ("SELECT $1::text", ("secret\0",), errors.BadValueError, None),
    ("SELECT $1::text", ("secret\ud800",), errors.BadValueError, None),
    ("SELECT 1 / $1::int4", (0,), errors.BadValueError, None),
    ("SELECT pg_sleep(5)", (), errors.TimeoutError, None),
    ("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(5)", (), errors.TimeoutError, None),
    ("SELECT secret FROM nowhere", (), errors.DefectError, None),
    ("SELECT secret", (), errors.DefectError, None),
    ("CREATE TABLE secret ()", (), errors.DefectError, None),
    ("SELECT $1::text", (object(),), errors.DefectError, None),
]


@pytest.mark.parametrize(("sql", "parameters", "kind", "constraint"), REFUSED, ids=[sql[:40] for sql, *_ in REFUSED])
async def test_a_refusal_becomes_an_error_of_ours_that_says_no_value(
    made: Made, sql: str, parameters: Sequence[object], kind: type[errors.DatabaseError], constraint: Any
) -> None:
    async with opened(made.service_url, statement_timeout=0.2) as database:
        await database.run(step(INSERT, 1, 1))
        with pytest.raises(kind) as refused:
            await database.run(step(write(sql), *parameters))
        error = refused.value
        assert error.__cause__ is not None
        assert "secret" not in str(error)
        if isinstance(error, ConstraintError):
            assert (error.kind, error.constraint) == constraint
        assert await database.run(step(VALUES)) == [(1, 1)]
        assert database.stats().in_use == 0


async def test_a_wait_for_a_lock_ends_as_a_timeout(made: Made) -> None:
    with psycopg.connect(made.owner_url) as holder:
        holder.execute("INSERT INTO counters VALUES (1, 1)")
        async with opened(made.service_url, lock_timeout=0.1) as database:
            with pytest.raises(errors.TimeoutError):
                await database.run(step(INSERT, 1, 1))


async def test_a_server_that_became_a_standby_is_left(made: Made, database: Database) -> None:
    first = await database.run(step(PID))
    await database.run(step(write("SET default_transaction_read_only = on")))
    with pytest.raises(errors.UnavailableError):
        await database.run(step(INSERT, 1, 1))
    assert await database.run(step(INSERT, 1, 1)) == 1
    assert await database.run(step(PID)) != first


async def is_active(url: str) -> bool:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND state = 'active' AND query LIKE '%pg_sleep(%'"
            " AND pid <> pg_backend_pid()"
        )
        return await cursor.fetchone() != (0,)


@pytest.mark.parametrize("alone", [True, False])
async def test_a_query_whose_caller_was_cancelled_is_gone_within_100_ms(
    made: Made, database: Database, alone: bool
) -> None:
    pid = await database.run(step(PID))
    steps = [step(SLEEP, 30.0)] if alone else [step(INSERT, 1, 1), step(SLEEP, 30.0), step(INSERT, 2, 2)]
    took: list[float] = []
    for _ in range(3):
        caller = asyncio.create_task(database.run(*steps))
        await until(lambda: is_active(made.owner_url), 5)
        started = time.monotonic()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert not await is_active(made.owner_url)
        took.append(time.monotonic() - started)
    assert min(took) < 0.1, "a busy machine may hold up the others"
    assert await database.run(step(PID), step(VALUES)) == (pid, [])


async def test_64_callers_share_one_connection(database: Database) -> None:
    echo = read("SELECT $1::int4 AS a")
    answers = await asyncio.gather(*(database.run(step(echo, number)) for number in range(64)))
    assert answers == [[(number,)] for number in range(64)]
    stats = database.stats()
    assert (stats.size, stats.in_use, stats.waiting) == (1, 0, 0)
    assert stats.wait_seconds > 0


async def test_who_would_wait_too_long_is_refused(made: Made) -> None:
    async with opened(made.service_url, wait=0.2, max_waiting=5) as database:
        holder = asyncio.create_task(database.run(step(SLEEP, 1.0)))
        await until(lambda: is_active(made.owner_url), 5)
        started = time.monotonic()
        waiters = [asyncio.create_task(database.run(step(VALUES))) for _ in range(10)]
        done, waiting = await asyncio.wait(waiters, timeout=0.1)
        assert len(done) == len(waiting) == database.waiting == 5
        for failure in await asyncio.gather(*waiters, return_exceptions=True):
            assert isinstance(failure, errors.UnavailableError)
        assert 0.2 <= time.monotonic() - started < 0.4
        await holder
        assert await database.run(step(VALUES)) == []


async def test_cancelling_callers_at_random_loses_no_connection(made: Made) -> None:
    async with opened(made.service_url, size=3, min_size=3) as database:
        await asyncio.gather(*(database.run(step(SLEEP, 0.05)) for _ in range(3)))

        async def caller() -> None:
            task = asyncio.create_task(database.run(step(SLEEP, 0.001), step(VALUES)))
            await asyncio.sleep(random.random() * 0.02)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        for _ in range(5):
            await asyncio.gather(*(caller() for _ in range(60)))
        pids = await asyncio.gather(*(database.run(step(SLEEP, 0.2), step(PID)) for _ in range(3)))
        assert len({str(pid) for _, pid in pids}) == 3
        assert (database.stats().in_use, database.waiting) == (0, 0)


async def test_a_deadlock_is_tried_again(made: Made) -> None:
    url = f"{made.owner_url}&options=-cdeadlock_timeout%3D20ms"
    async with opened(url, size=2, min_size=2) as database:
        await database.run(step(INSERT, 1, 0), step(INSERT, 2, 0))
        sleep = step(SLEEP, 0.1)
        one = database.run(step(ADD, 1, 1), sleep, step(ADD, 2, 1))
        other = database.run(step(ADD, 2, 1), sleep, step(ADD, 1, 1))
        await asyncio.gather(one, other)
        assert await database.run(step(VALUES)) == [(1, 2), (2, 2)]
    assert ask(made.owner_url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") > 0


async def test_who_loses_at_a_key_that_the_query_names_is_sent_again_and_finds_what_the_winner_did(made: Made) -> None:
    async with opened(made.service_url, size=2, min_size=2) as database:
        await database.run(step(INSERT, 0, 1))
        with psycopg.connect(made.owner_url) as winner:
            winner.execute("INSERT INTO counters (id, value) VALUES (1, 7)")
            loser = asyncio.create_task(database.run(step(MEET)))
            await asyncio.sleep(0.1)
            assert not loser.done(), "it waits for the key"
            winner.commit()
        assert await asyncio.wait_for(loser, 5) == 0
        assert await database.run(step(VALUES)) == [(0, 1), (1, 7)]


async def test_a_collision_is_tried_again_three_times(made: Made, database: Database) -> None:
    await database.run(step(INSERT, 1, 0), step(COLLIDE, 3))
    assert await database.run(step(VALUES)) == [(1, 0)]
    with pytest.raises(errors.CollisionError):
        await database.run(step(INSERT, 2, 0), step(COLLIDE, 100))
    assert ask(made.owner_url, "SELECT last_value FROM attempts") == 8
    assert await database.run(step(VALUES)) == [(1, 0)]


class Heard:
    def __init__(self) -> None:
        self.units: list[tuple[Sequence[str], float, bool]] = []
        self.waits: list[float] = []

    def unit(self, queries: Sequence[str], seconds: float, failed: bool) -> None:
        self.units.append((queries, seconds, failed))

    def waited(self, seconds: float) -> None:
        self.waits.append(seconds)


async def test_the_observer_hears_of_each_unit_and_each_wait(made: Made) -> None:
    heard = Heard()
    async with opened(made.service_url, heard) as database:
        await asyncio.gather(database.run(step(SLEEP, 0.5), step(VALUES)), database.run(step(VALUES)))
        with pytest.raises(errors.DatabaseError):
            await database.run(step(INSERT, 1, -1))
    assert [(queries, failed) for queries, _, failed in heard.units] == [
        (["sleep", "read"], False),
        (["read"], False),
        (["write"], True),
    ]
    assert heard.units[0][1] > 0.3 > heard.units[1][1]
    assert heard.waits[0] < 0.3 < heard.waits[1]


async def test_a_connection_has_its_settings_from_the_start(made: Made) -> None:
    settings = "SELECT " + ", ".join(
        f"current_setting('{name}')"
        for name in (
            "application_name",
            "statement_timeout",
            "lock_timeout",
            "idle_in_transaction_session_timeout",
            "client_connection_check_interval",
            "role",
            "work_mem",
        )
    )
    url = f"{made.owner_url}&options=-cwork_mem%3D5MB"
    async with opened(url, statement_timeout=1.5, lock_timeout=0.25, role="banter_service") as database:
        assert await database.run(step(read(settings))) == [
            ("banter/test/pool", "1500ms", "250ms", "5s", "1s", "banter_service", "5MB")
        ]
    none = {"statement_timeout": None, "lock_timeout": None, "client_check_interval": None}
    async with opened(made.service_url, **none, idle_in_transaction_timeout=None) as database:
        [row] = await database.run(step(read(settings)))
        assert row[1:6] == ("0", "0", "0", "0", "none")


async def test_a_ping_says_whether_the_database_answers(made: Made) -> None:
    async with opened(made.service_url) as database:
        assert await database.ping() is True
    assert await database.ping() is False


async def test_opening_says_why_it_failed(tmp_path: Any) -> None:
    for url in (f"postgresql:///x?host={tmp_path}", "nonsense"):
        started = time.monotonic()
        with pytest.raises(errors.UnavailableError) as refused:
            await Database(PoolSettings(url=url, connect_timeout=0.3)).open()
        assert isinstance(refused.value.__cause__, psycopg.Error)
        assert time.monotonic() - started < 2


def test_settings_that_lose_data_in_a_crash_are_named(made: Made) -> None:
    assert unsafe_settings(made.service_url) == []
    assert unsafe_settings(f"{made.service_url}&options=-csynchronous_commit%3Doff") == ["synchronous_commit"]
