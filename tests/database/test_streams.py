"""Streams: results too long to hold, read at the reader's pace, gone when he goes."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from banter_grpc.database import errors
from banter_grpc.database.database import Database
from tests.database.pools import INSERT, PID, VALUES, ask, opened, read, step, until
from tests.support.clusters import Database as Made
from tests.support.proxy import Cut, Proxy

NUMBERS = read("SELECT generate_series(1, $1::int8) AS number", "numbers")
LINES = read("SELECT n AS number, repeat('x', 100) AS line FROM generate_series(1, $1::int8) AS n", "lines")
SLOW = read("SELECT pg_sleep($1::float8)::text AS nothing, 'in the middle' AS mark", "slow")
RATIOS = read("SELECT 1 / ($1::int8 - n) AS ratio FROM generate_series(1, 1000) AS n", "ratios")

Stream = AsyncGenerator[tuple[str, list[Any]], None]


@pytest.fixture
async def database(made: Made) -> AsyncIterator[Database]:
    """A pool of one connection."""
    async with opened(made.service_url) as database:
        yield database


async def numbers(stream: Stream) -> list[int]:
    return [row[0] async for _, rows in stream for row in rows]


def backends(made: Made, condition: str) -> int:
    """How many of the service's connections are so."""
    return ask(
        made.owner_url,
        "SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database()"
        f" AND application_name LIKE 'banter/%' AND {condition}",
    )


async def test_rows_come_in_batches_in_their_order_and_step_by_step(database: Database) -> None:
    steps = [step(NUMBERS, 25), step(VALUES), step(NUMBERS, 10), step(LINES, 1)]
    seen = [(name, [row[0] for row in rows]) async for name, rows in database.stream(*steps, batch=10)]
    assert seen == [
        ("numbers", list(range(1, 11))),
        ("numbers", list(range(11, 21))),
        ("numbers", list(range(21, 26))),
        ("numbers", list(range(1, 11))),
        ("lines", [1]),
    ]


async def test_all_of_it_is_one_snapshot(made: Made) -> None:
    async with opened(made.service_url, size=2) as database:
        await database.run(step(INSERT, 1, 1), step(INSERT, 2, 2))
        seen: list[int] = []
        async for _, rows in database.stream(step(VALUES), step(VALUES), batch=1):
            seen += [row[0] for row in rows]
            await database.run(step(INSERT, 100 + len(seen), 0))
        assert seen == [1, 2, 1, 2]


async def test_a_million_rows_take_no_more_memory_than_a_few(database: Database) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    if not Path("/proc/self/statm").exists():
        pytest.skip("how much memory is used is read from /proc")
    count, most, start = 0, 0, 0
    async with asyncio.timeout(120), aclosing(database.stream(step(LINES, 1_000_000), batch=2000)) as stream:
        async for _, rows in stream:
            count += len(rows)
            if count == 20_000:
                gc.collect()
                start = resident()
            most = max(most, resident())
    assert count == 1_000_000
    assert most - start < 16 * 2**20, "all of it would be over 100 MB"


async def test_a_slow_reader_holds_back_the_server(made: Made, database: Database) -> None:
    """The result would take an hour to make: only what is asked for is made."""
    async with asyncio.timeout(30), aclosing(database.stream(step(NUMBERS, 10**10), batch=10)) as stream:
        for first in (1, 11):
            _, rows = await anext(stream)
            assert [row[0] for row in rows] == list(range(first, first + 10))
            assert backends(made, "state = 'idle in transaction' AND wait_event = 'ClientRead'") == 1


async def test_a_reader_who_leaves_frees_the_connection(made: Made, database: Database) -> None:
    pid = await database.run(step(PID))
    async with asyncio.timeout(30):
        async with aclosing(database.stream(step(NUMBERS, 10**10))) as stream:
            await anext(stream)
        assert await database.run(step(PID)) == pid, "the same connection serves the next one"
    assert backends(made, "state <> 'idle'") == 0
    assert database.stats().in_use == 0


async def test_a_reader_who_is_cancelled_takes_the_query_with_him(made: Made, database: Database) -> None:
    reading = asyncio.create_task(numbers(database.stream(step(NUMBERS, 5), step(SLOW, 60), batch=10)))

    async def is_running() -> bool:
        return backends(made, "state = 'active' AND query LIKE 'FETCH%'") == 1

    await until(is_running, 10)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    async def is_gone() -> bool:
        return backends(made, "state <> 'idle'") == 0

    await until(is_gone, 10)
    assert await database.run(step(VALUES)) == []


async def test_a_connection_that_breaks_in_the_middle_is_an_error_of_ours(made: Made, database: Database) -> None:
    async with asyncio.timeout(30), aclosing(database.stream(step(NUMBERS, 10**10))) as stream:
        await anext(stream)
        ask(
            made.owner_url,
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'banter/%'",
        )
        with pytest.raises(errors.UnavailableError):
            await anext(stream)
    assert await database.run(step(VALUES)) == []


@pytest.mark.parametrize("cut", Cut)
async def test_a_connection_that_breaks_before_the_first_rows_is_made_up_for(made: Made, cut: Cut) -> None:
    async with Proxy(made.service_url) as proxy, opened(proxy.url) as database:
        proxy.cut(*[cut] * 4)
        with pytest.raises(errors.UnavailableError):
            await numbers(database.stream(step(NUMBERS, 3)))
        proxy.cut(cut)
        assert await numbers(database.stream(step(NUMBERS, 3), batch=2)) == [1, 2, 3]


@pytest.mark.parametrize("row", [1, 500])
async def test_a_row_that_fails_is_an_error_and_the_connection_serves_on(database: Database, row: int) -> None:
    seen: list[int] = []
    with pytest.raises(errors.BadValueError):
        async for _, rows in database.stream(step(RATIOS, row), batch=100):
            seen += [r[0] for r in rows]
    assert len(seen) == (row - 1) // 100 * 100
    assert await numbers(database.stream(step(NUMBERS, 3))) == [1, 2, 3]


async def test_a_batch_has_the_time_of_a_statement_and_the_stream_has_more(made: Made) -> None:
    async with opened(made.service_url, statement_timeout=0.2) as database:
        naps = read("SELECT pg_sleep(0.05)::text AS nap FROM generate_series(1, $1::int8)", "naps")
        assert len(await numbers(database.stream(step(naps, 8), batch=1))) == 8
        with pytest.raises(errors.TimeoutError):
            await numbers(database.stream(step(naps, 8), batch=8))


async def test_a_reader_who_takes_nothing_for_too_long_loses_his_stream(made: Made) -> None:
    async with opened(made.service_url, reader_timeout=0.1) as database:
        async with aclosing(database.stream(step(NUMBERS, 10**10))) as stream:
            await anext(stream)

            async def is_gone() -> bool:
                return backends(made, "state = 'idle in transaction'") == 0

            await until(is_gone, 10)
            with pytest.raises(errors.UnavailableError):
                await anext(stream)
        assert await database.run(step(VALUES)) == []


async def test_streams_leave_half_of_the_connections_to_others(made: Made) -> None:
    async with opened(made.service_url, size=4, wait=0.3) as database:
        one, two, three = (database.stream(step(NUMBERS, 10**10)) for _ in range(3))
        async with aclosing(one), aclosing(two):
            await anext(one)
            await anext(two)
            async with aclosing(three):
                with pytest.raises(errors.UnavailableError):
                    await anext(three)
            assert await asyncio.gather(*(database.run(step(VALUES)) for _ in range(5))) == [[]] * 5
            await one.aclose()
            assert await numbers(database.stream(step(NUMBERS, 2))) == [1, 2]


async def test_each_batch_is_measured_under_the_name_of_its_query(made: Made) -> None:
    seen: list[tuple[list[str], bool]] = []

    class Observer:
        def unit(self, queries: list[str], seconds: float, failed: bool) -> None:
            assert seconds >= 0
            seen.append((list(queries), failed))

        def waited(self, seconds: float) -> None: ...

    async with opened(made.service_url, Observer()) as database:  # type: ignore[arg-type]
        await numbers(database.stream(step(NUMBERS, 3), batch=2))
        with pytest.raises(errors.BadValueError):
            await numbers(database.stream(step(RATIOS, 1)))
    assert seen == [(["numbers"], False), (["numbers"], False), (["ratios"], True)]
