"""The pool when connections break: what is tried again, what is not, and how it comes back."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter

import psycopg
import pytest

from banter_grpc.database import errors
from banter_grpc.database.database import Database
from tests.database.pools import INSERT, PID, PUT, SLEEP, VALUES, ask, create_tables, opened, step, until
from tests.support.clusters import Cluster
from tests.support.clusters import Database as Made
from tests.support.proxy import Cut, Proxy


@pytest.mark.parametrize(("cut", "executed"), [(Cut.REQUEST, []), (Cut.ANSWER, [(1, 1)])])
async def test_a_write_whose_answer_is_lost_is_not_sent_again(
    made: Made, cut: Cut, executed: list[tuple[int, int]]
) -> None:
    async with Proxy(made.service_url) as proxy, opened(proxy.url) as database:
        proxy.cut(cut)
        with pytest.raises(errors.OutcomeUnknownError) as lost:
            await database.run(step(INSERT, 1, 1))
        assert isinstance(lost.value.__cause__, psycopg.Error)
        assert await database.run(step(VALUES)) == executed


@pytest.mark.parametrize("cut", Cut)
async def test_a_unit_with_one_step_that_may_not_be_repeated_is_not_sent_again(made: Made, cut: Cut) -> None:
    async with Proxy(made.service_url) as proxy, opened(proxy.url) as database:
        proxy.cut(cut)
        with pytest.raises(errors.OutcomeUnknownError):
            await database.run(step(PUT, 1, 1), step(INSERT, 2, 2), step(VALUES))


@pytest.mark.parametrize("cuts", [[Cut.REQUEST], [Cut.ANSWER], [Cut.ANSWER, Cut.REQUEST, Cut.ANSWER]])
async def test_a_write_that_may_be_repeated_is_sent_again(made: Made, cuts: list[Cut]) -> None:
    async with Proxy(made.service_url) as proxy, opened(proxy.url) as database:
        proxy.cut(*cuts)
        _, values = await database.run(step(PUT, 1, 1), step(VALUES))
        assert values == [(1, 1)]


async def test_a_repeatable_write_that_is_lost_again_and_again_has_an_unknown_outcome(made: Made) -> None:
    async with Proxy(made.service_url) as proxy, opened(proxy.url) as database:
        proxy.cut(*[Cut.ANSWER] * 4)
        with pytest.raises(errors.OutcomeUnknownError):
            await database.run(step(PUT, 1, 1))
        assert await database.run(step(VALUES)) == [(1, 1)]


async def test_an_outcome_in_doubt_stays_so_when_the_database_has_gone(made: Made) -> None:
    async with Proxy(made.service_url) as proxy, opened(proxy.url, wait=0.3) as database:
        proxy.refuse = True
        proxy.cut(Cut.ANSWER)
        with pytest.raises(errors.OutcomeUnknownError):
            await database.run(step(PUT, 1, 1))
        with pytest.raises(errors.UnavailableError):
            await database.run(step(PUT, 1, 1))


async def test_a_read_is_sent_again_and_then_its_database_is_unavailable(made: Made) -> None:
    async with Proxy(made.service_url) as proxy, opened(proxy.url) as database:
        proxy.cut(Cut.ANSWER, Cut.REQUEST, Cut.ANSWER)
        assert await database.run(step(VALUES)) == []
        proxy.cut(*[Cut.ANSWER] * 4)
        with pytest.raises(errors.UnavailableError):
            await database.run(step(VALUES))
        assert await database.run(step(VALUES)) == []


async def test_a_connection_that_ended_while_idle_costs_nobody_anything(made: Made) -> None:
    async with Proxy(made.service_url) as proxy, opened(proxy.url, size=4, min_size=4) as database:
        for number in range(3):
            await until(lambda: _has_links(proxy, 4), 5)
            proxy.drop()
            await until(lambda: _has_links(proxy, 0), 5)
            assert await database.run(step(INSERT, number, 1)) == 1
        ask(
            made.owner_url,
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        assert await database.run(step(INSERT, 9, 1)) == 1


async def _has_links(proxy: Proxy, count: int) -> bool:
    return len(proxy.links) == count


async def test_a_write_that_the_server_ended_before_it_was_done_is_sent_again(made: Made) -> None:
    """The server's last word came before the answers of all statements: nothing can have been committed."""
    async with opened(made.service_url) as database:
        pid = await database.run(step(PID))
        unit = asyncio.create_task(database.run(step(INSERT, 1, 1), step(SLEEP, 0.5)))

        terminate = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()"
            " AND state = 'active' AND pid <> pg_backend_pid() AND query LIKE '%pg_sleep($1%'"
        )

        async def terminated() -> bool:
            return ask(made.owner_url, terminate) > 0

        await until(terminated, 5)
        assert (await unit)[0] == 1
        assert await database.run(step(VALUES)) == [(1, 1)]
        assert await database.run(step(PID)) != pid


async def test_terminating_backends_at_random_gives_only_errors_of_the_table(made: Made) -> None:
    ends = time.monotonic() + 2
    seen: Counter[str] = Counter()
    inserted: set[int] = set()
    doubtful: set[int] = set()
    async with opened(made.service_url, size=8, min_size=8) as database:

        async def worker(first: int) -> None:
            number = first
            while time.monotonic() < ends:
                number += 50
                try:
                    await database.run(step(INSERT, number, 1), step(SLEEP, 0.002))
                    inserted.add(number)
                    await database.run(step(VALUES))
                except (errors.OutcomeUnknownError, errors.UnavailableError) as error:
                    seen[type(error).__name__] += 1
                    if isinstance(error, errors.OutcomeUnknownError):
                        doubtful.add(number)

        async def terminator() -> None:
            async with await psycopg.AsyncConnection.connect(made.owner_url, autocommit=True) as connection:
                while time.monotonic() < ends:
                    await connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND application_name = 'banter/test/pool'"
                        " ORDER BY random() LIMIT 1"
                    )
                    await asyncio.sleep(random.random() * 0.02)

        await asyncio.gather(terminator(), *(worker(number) for number in range(50)))
        assert len(inserted) > 100
        kept = {number for number, _ in await database.run(step(VALUES))}
        assert inserted <= kept <= inserted | doubtful
        await asyncio.gather(*(database.run(step(SLEEP, 0.01)) for _ in range(50)))
        stats = database.stats()
        assert (stats.in_use, stats.waiting) == (0, 0)
        assert stats.size == 8


async def test_a_server_that_was_stopped_for_4_s_is_back_in_2(
    own_cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    made = own_cluster.new_database(migrated=False)
    create_tables(made.owner_url)
    async with opened(made.service_url, size=8, min_size=4) as database:
        with caplog.at_level(logging.INFO):
            await asyncio.gather(*(database.run(step(SLEEP, 0.1)) for _ in range(8)))
            await asyncio.to_thread(own_cluster.server.stop)
            stopped = time.monotonic()
            slowest = [await _refused(database) for _ in range(20)]
            assert max(slowest) < 2.5
            assert max(slowest[5:]) < 0.05
            while time.monotonic() - stopped < 4:
                await _refused(database)
                assert not await database.ping()
                await asyncio.sleep(0.1)
            await asyncio.to_thread(own_cluster.server.start)
            assert await until(database.ping, 5) < 2

            async def is_full() -> bool:
                return database.stats().size >= 4

            await until(is_full, 2)
        await asyncio.gather(*(database.run(step(SLEEP, 0.01)) for _ in range(50)))
        messages = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert [message.split(":")[0].split(",")[0] for message in messages] == [
            "cannot connect to PostgreSQL",
            "connected to PostgreSQL again",
        ]


async def _refused(database: Database) -> float:
    """How long an answer took that is no answer."""
    started = time.monotonic()
    with pytest.raises(errors.UnavailableError):
        await database.run(step(INSERT, 1, 1))
    return time.monotonic() - started


async def test_a_pool_recovers_though_nobody_asks(made: Made) -> None:
    async with Proxy(made.service_url) as proxy, opened(proxy.url, size=4, min_size=3) as database:
        proxy.refuse = True
        proxy.drop()
        for _ in range(5):
            await _refused_or_lost(database)
        accepted = proxy.accepted
        await asyncio.sleep(1.2)
        assert proxy.accepted - accepted <= 40, "it does not hammer at a server that is not there"
        proxy.refuse = False
        await until(lambda: _has_links(proxy, 3), 2)
        assert await database.ping()


async def _refused_or_lost(database: Database) -> None:
    with pytest.raises(errors.UnavailableError):
        await database.run(step(VALUES))


async def test_callers_wait_for_busy_connections_while_no_more_can_be_made(made: Made) -> None:
    async with Proxy(made.service_url) as proxy, opened(proxy.url, size=4, min_size=1) as database:
        proxy.refuse = True
        holder = asyncio.create_task(database.run(step(SLEEP, 1.4)))
        waiter = asyncio.create_task(database.run(step(VALUES)))  # the pool tries to grow for it
        await asyncio.sleep(1.2)
        assert await database.run(step(VALUES)) == await waiter == []
        await holder
