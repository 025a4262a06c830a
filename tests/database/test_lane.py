"""A lane: what units are answered, and that what befalls one touches no other."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import NamedTuple

import psycopg
import pytest
from psycopg.types.json import Jsonb

from banter_grpc.database import errors
from banter_grpc.database.connection import ConnectionEnded
from banter_grpc.database.lane import Lane
from tests.database.lane_units import (
    COUNT,
    DIVIDE,
    ONE,
    PUT,
    SLEEP,
    STAR,
    is_up,
    opened,
    statement,
    unit,
    within,
)

Admin = psycopg.AsyncConnection[tuple[object, ...]]


@pytest.fixture
async def lane(lane_url: str, admin: Admin) -> AsyncIterator[Lane]:
    async with opened(lane_url) as lane:
        yield lane


async def value(admin: Admin, sql: str) -> object:
    row = await (await admin.execute(sql.encode())).fetchone()
    return None if row is None else row[0]


async def test_every_type_of_the_contract_comes_back_as_it_went(lane: Lane) -> None:
    now, id_ = dt.datetime.now(dt.UTC), uuid.uuid4()
    echo = statement(
        "SELECT $1::uuid, $2::timestamptz, $3::int8, $4::bool, $5::text, $6::jsonb, $7::uuid[], $8::int8[],"
        " $9::text[], $10::bytea, $11::numeric, $12::date, $13::float8, $14::int8, $15::text[], $16::interval"
    )
    values = (
        id_, now, 2**62, True, "é'\\\"\n", Jsonb({"a": [1, None, "é"]}), [id_, None], [1, None, -(2**62)],
        ["a,b", '"', "NULL", None, "\\", ""], b"\0\xff'\\", Decimal("1.50"), dt.date(2026, 1, 2), 0.1, None, [],
        dt.timedelta(days=1, seconds=2.5),
    )  # fmt: skip
    [[row]] = await within(lane.run(unit((echo, values))))
    assert row == tuple(value.obj if isinstance(value, Jsonb) else value for value in values)
    [[row]] = await within(lane.run(unit((echo, [None] * 16))))
    assert row == (None,) * 16
    [[(back,)]] = await within(lane.run(unit((statement("SELECT $1::bytea"), (memoryview(b"\0x"),)))))
    assert back == b"\0x"


async def test_a_statement_is_prepared_once_whatever_the_size_of_its_values(lane: Lane, admin: Admin) -> None:
    for number in (0, -1, 32767, 32768, 2**31, 2**63 - 1, -(2**63)):
        assert await within(lane.run(unit((ONE, (number,))))) == [[(number,)]]
    prepared = statement("SELECT count(*) FROM pg_prepared_statements")
    assert await within(lane.run(unit((prepared, ())))) == [[(2,)]]
    many = statement("INSERT INTO item SELECT * FROM unnest($1::int8[], $2::int8[])")
    [done] = await within(lane.run(unit((many, (list(range(1000)), [None] * 1000)))))
    assert done == [] and done.count == 1000


async def test_a_value_that_the_server_refuses_reaches_its_caller_only(lane: Lane) -> None:
    good = lane.run(unit((ONE, (1,))))
    for parameters, error in [
        ((), psycopg.errors.ProtocolViolation),
        ((1, 2), psycopg.errors.ProtocolViolation),
        (("x",), psycopg.errors.InvalidTextRepresentation),
        ((2**63,), psycopg.errors.NumericValueOutOfRange),
    ]:
        with pytest.raises(error):
            await within(lane.run(unit((ONE, parameters))))
    assert await within(good) == [[(1,)]]
    assert lane.is_up


async def test_rows_counts_and_answers_are_those_of_each_step(lane: Lane) -> None:
    class Point(NamedTuple):
        x: int
        y: int

    point = statement("SELECT x, x * 2 FROM generate_series(1, $1::int4) x", Point._make)
    change = statement("UPDATE item SET v = v + 1 WHERE id < $1::int8")
    returning = statement("UPDATE item SET v = v + 1 WHERE id < $1::int8 RETURNING id")
    nothing = statement("SELECT 1 WHERE false")
    steps = [(PUT, (1, 0)), (PUT, (2, 0)), (change, (3,)), (returning, (2,)), (nothing, ()), (point, (2,))]
    answers = await within(lane.run(unit(*steps)))
    assert answers == [[], [], [], [(1,)], [], [Point(1, 2), Point(2, 4)]]
    assert [answer.count for answer in answers] == [1, 1, 2, 1, 0, 2]
    first = statement("SELECT $1::int8", lambda values: values[0])
    assert await within(lane.run(unit((first, (7,)), (ONE, (8,))))) == [[7], [(8,)]]
    assert await within(lane.run(unit((statement("SELECT"), ())))) == [[()]]


async def test_an_answer_that_cannot_be_read_is_its_callers_defect_alone(lane: Lane) -> None:
    def broken(_: object) -> object:
        raise KeyError("mine")

    units = [lane.run(unit((statement("SELECT 1", broken), ()))), lane.run(unit((ONE, (1,))))]
    failed, good = await within(asyncio.gather(*units, return_exceptions=True))
    assert isinstance(failed, errors.DefectError) and isinstance(failed.__cause__, KeyError)
    assert good == [[(1,)]]
    with pytest.raises(errors.DefectError) as caught:
        await within(lane.run(unit((statement("SELECT 'infinity'::timestamptz"), ()))))
    assert isinstance(caught.value.__cause__, psycopg.DataError)
    assert await within(lane.run(unit((ONE, (1,))))) == [[(1,)]]


async def test_an_error_is_confined_to_its_unit(lane: Lane) -> None:
    units = [lane.run(unit((PUT, (i, i)), (DIVIDE, (i % 3,)), (ONE, (i,)))) for i in range(300)]
    results = await within(asyncio.gather(*units, return_exceptions=True))
    for i, result in enumerate(results):
        if i % 3:
            assert result == [[], [(1 // (i % 3),)], [(i,)]]
        else:
            assert isinstance(result, psycopg.errors.DivisionByZero)
    assert await within(lane.run(unit((COUNT, ())))) == [[(200,)]]
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        await within(lane.run(unit((PUT, (1, 1)))))
    assert caught.value.diag.constraint_name == "item_id"


async def test_a_constraint_that_fails_at_the_end_fails_its_unit(lane: Lane, admin: Admin) -> None:
    late = statement("INSERT INTO late VALUES ($1::int8)")
    units = [unit((late, (1,))), unit((late, (2,)), (late, (2,))), unit((late, (3,)))]
    before, bad, after = [lane.run(each) for each in units]
    assert await within(before) == [[]]
    with pytest.raises(psycopg.errors.UniqueViolation):
        await within(bad)
    assert await within(after) == [[]]
    assert await value(admin, "SELECT array_agg(id ORDER BY id) FROM late") == [1, 3]


async def test_a_statement_that_cannot_be_prepared_says_why_to_each_caller(lane: Lane, admin: Admin) -> None:
    bad = statement("SELECT nonesuch FROM soon WHERE a = $1::int4")
    units = [lane.run(unit((ONE, (i,)), (bad, (i,)))) for i in range(5)]
    good = [lane.run(unit((ONE, (i,)))) for i in range(5)]
    refused = await within(asyncio.gather(*units, return_exceptions=True))
    assert all(isinstance(error, psycopg.errors.UndefinedTable) for error in refused)
    assert len({id(error) for error in refused}) == 5
    assert await within(asyncio.gather(*good)) == [[[(i,)]] for i in range(5)]
    await admin.execute("CREATE TABLE soon AS SELECT 1 AS a, 2 AS nonesuch")
    assert await within(lane.run(unit((bad, (1,))))) == [[(2,)]]
    with pytest.raises(psycopg.errors.SyntaxError):
        await within(lane.run(unit((statement("SELECT 1; SELECT 2"), ()))))
    with pytest.raises(psycopg.errors.IndeterminateDatatype):
        await within(lane.run(unit((statement("SELECT $2::int4"), (1, 2)))))


async def test_a_migration_under_a_prepared_statement_goes_unnoticed(lane: Lane, admin: Admin) -> None:
    assert await within(lane.run(unit((STAR, ())))) == [[(1, "x")]]
    await admin.execute("ALTER TABLE shape ADD c int8 DEFAULT 5")
    units = [lane.run(unit((PUT, (i, 0)), (STAR, ()))) for i in range(100)]
    assert await within(asyncio.gather(*units)) == [[[], [(1, "x", 5)]]] * 100
    await admin.execute("ALTER TABLE shape ALTER a TYPE text, DROP c")
    assert await within(lane.run(unit((STAR, ())))) == [[("1", "x")]]
    assert await within(lane.run(unit((COUNT, ())))) == [[(100,)]]
    await admin.execute("ALTER TABLE shape DROP b")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        await within(lane.run(unit((statement("SELECT b FROM shape"), ()))))


@pytest.mark.parametrize("sql", ["DEALLOCATE ALL", "DISCARD ALL"])
async def test_statements_that_are_gone_are_prepared_again(lane: Lane, sql: str) -> None:
    gone = lane.run(unit((statement(sql), ())))
    units = [lane.run(unit((PUT, (i, 0)), (STAR, ()))) for i in range(60)]
    await within(gone)
    assert await within(asyncio.gather(*units)) == [[[], [(1, "x")]]] * 60
    assert await within(lane.run(unit((COUNT, ())))) == [[(60,)]]


@pytest.mark.parametrize("sql", ["COPY item TO STDOUT", "COPY item FROM STDIN"])
async def test_copy_breaks_the_lane_not_the_protocol(lane: Lane, sql: str) -> None:
    units = [lane.run(each) for each in (unit((ONE, (1,))), unit((statement(sql), ())), unit((ONE, (2,))))]
    results = await within(asyncio.gather(*units, return_exceptions=True))
    assert results[0] == [[(1,)]]
    assert all(isinstance(error, ConnectionEnded) and not error.rolled_back for error in results[1:])
    await is_up(lane)
    assert await within(lane.run(unit((ONE, (1,))))) == [[(1,)]]


async def test_who_goes_before_his_unit_is_sent_takes_it_along_and_after_that_it_runs(
    lane_url: str, admin: Admin
) -> None:
    async with opened(lane_url, window=1) as lane:
        first = asyncio.ensure_future(lane.run(unit((SLEEP, (0.3,)), (PUT, (1, 0)))))
        waiting = asyncio.ensure_future(lane.run(unit((PUT, (2, 0)))))
        after = asyncio.ensure_future(lane.run(unit((PUT, (3, 0)))))
        await asyncio.sleep(0.01)
        first.cancel()
        waiting.cancel()
        assert await within(after) == [[]]
        assert first.cancelled() and waiting.cancelled()
        assert await value(admin, "SELECT array_agg(id ORDER BY id) FROM item") == [1, 3]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await lane.run(unit((SLEEP, (0.2,))))
        assert await within(lane.run(unit((ONE, (5,))))) == [[(5,)]]


async def test_a_full_queue_refuses_at_once(lane_url: str, admin: Admin) -> None:
    async with opened(lane_url, window=2, queue=5) as lane:
        units = [lane.run(unit((SLEEP, (0.1,)))) for _ in range(2)]
        async with asyncio.timeout(20):
            while lane.queue:  # what prepares the statement is in flight, too, until it is answered
                await asyncio.sleep(0.001)
        units += [lane.run(unit((ONE, (i,)))) for i in range(5)]
        with pytest.raises(errors.BusyError):
            lane.run(unit((ONE, (1,))))
        assert len(await within(asyncio.gather(*units))) == 7
        assert await within(lane.run(unit((ONE, (1,))))) == [[(1,)]]


async def test_the_lanes_timeouts_end_a_statement_and_a_wait_for_a_lock(lane_url: str, admin: Admin) -> None:
    await admin.execute("INSERT INTO item VALUES (1, 0)")
    update = statement("UPDATE item SET v = 1 WHERE id = $1::int8")
    async with opened(lane_url, statement_timeout=0.5, lock_timeout=0.2) as lane:
        with pytest.raises(psycopg.errors.QueryCanceled):
            await within(lane.run(unit((PUT, (2, 0)), (SLEEP, (5,)))))
        async with admin.transaction():
            await admin.execute("UPDATE item SET v = 2 WHERE id = 1")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                await within(lane.run(unit((update, (1,)))))
        assert await within(lane.run(unit((COUNT, ())))) == [[(1,)]]


async def test_a_setting_of_one_unit_ends_with_it(lane: Lane) -> None:
    for local in ("SET LOCAL statement_timeout = '50ms'", "SELECT set_config('statement_timeout', '50ms', true)"):
        with pytest.raises(psycopg.errors.QueryCanceled):
            await within(lane.run(unit((statement(local), ()), (SLEEP, (0.5,)))))
        await within(lane.run(unit((SLEEP, (0.1,)))))


async def test_notices_and_notifications_disturb_nobody(lane: Lane, admin: Admin) -> None:
    await admin.execute(
        "CREATE FUNCTION shout() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'hey'; RETURN 1; END $$"
    )
    shout, listen, notify = statement("SELECT shout()"), statement("LISTEN c"), statement("NOTIFY c")
    units = [lane.run(unit((shout, ()))) for _ in range(10)]
    assert await within(asyncio.gather(*units)) == [[[(1,)]]] * 10
    await within(lane.run(unit((listen, ()))))
    for _ in range(10):
        await admin.execute("NOTIFY c")
    assert await within(lane.run(unit((notify, ()), (ONE, (1,))))) == [[], [(1,)]]


async def test_without_prepared_statements_units_are_answered_as_well(lane_url: str, admin: Admin) -> None:
    """As behind a PgBouncer that can't keep them."""
    async with opened(lane_url) as lane:
        lane._prepares = False
        pid = lane.backend
        await admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
        await is_up(lane, after=pid)
        units = [lane.run(unit((PUT, (i, i)), (DIVIDE, (i % 2,)), (ONE, (i,)))) for i in range(20)]
        results = await within(asyncio.gather(*units, return_exceptions=True))
        assert sum(isinstance(result, psycopg.errors.DivisionByZero) for result in results) == 10
        assert await within(lane.run(unit((COUNT, ())))) == [[(10,)]]
        prepared = statement("SELECT count(*) FROM pg_prepared_statements")
        assert await within(lane.run(unit((prepared, ())))) == [[(0,)]]
