"""A lane whose connection is lost: every caller is told what is certain, and the lane comes back."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from banter_grpc.database.connection import ConnectionEnded
from banter_grpc.database.errors import NotExecutedError
from banter_grpc.database.lane_settings import LaneSettings
from tests.database.lane_units import (
    BIG,
    COUNT,
    LENGTH,
    LOOPS,
    ONE,
    PUT,
    SLEEP,
    is_up,
    lane_to,
    on_loop,
    opened,
    pid_of,
    statement,
    unit,
    within,
)
from tests.support.proxy import Proxy

Admin = psycopg.AsyncConnection[tuple[Any, ...]]


async def kill(admin: Admin, pid: int | None, wait_ms: int = 0) -> None:
    await admin.execute("SELECT pg_terminate_backend(%s, %s)", (pid, wait_ms))


async def test_a_terminated_backend_takes_along_what_it_had_not_answered_and_nothing_else(
    lane_url: str, admin: Admin
) -> None:
    async with opened(lane_url) as lane:
        pid = await pid_of(lane)
        sent = [lane.run(unit((PUT, (i, 0)), (SLEEP, (seconds,)))) for i, seconds in enumerate((0.1, 15, 15))]
        await within(sent[0])
        queued = [lane.run(unit((PUT, (100 + i, 0)))) for i in range(LaneSettings().window + 5)]
        await asyncio.sleep(0.05)
        await kill(admin, pid)
        results = await within(asyncio.gather(*sent, *queued, return_exceptions=True))
        assert results[0] == [[], [("",)]]
        in_doubt = [error for error in results[1:] if isinstance(error, ConnectionEnded)]
        assert len(in_doubt) >= 50
        for error in in_doubt:
            assert error.rolled_back, "PostgreSQL itself said that it ended"
            assert isinstance(error.__cause__, psycopg.errors.AdminShutdown)
        unsent = results[1 + len(in_doubt) :]
        assert len(unsent) >= 5 and all(isinstance(error, NotExecutedError) for error in unsent)
        with pytest.raises(NotExecutedError):
            lane.run(unit((ONE, (1,))))
        await is_up(lane)
        assert await within(lane.run(unit((COUNT, ())))) == [[(1,)]]
        assert await pid_of(lane) != pid


async def test_a_connection_cut_without_a_word_leaves_its_units_in_doubt(lane_url: str, admin: Admin) -> None:
    async with Proxy(lane_url) as proxy, opened(proxy.url) as lane:
        await within(lane.run(unit((PUT, (0, 0)))))
        sent = [lane.run(unit((PUT, (i, 0)), (SLEEP, (0.2,)))) for i in range(1, 4)]
        await asyncio.sleep(0.05)
        proxy.drop()
        for error in await within(asyncio.gather(*sent, return_exceptions=True)):
            assert isinstance(error, ConnectionEnded)
            assert not error.rolled_back
        await is_up(lane)


async def test_a_unit_that_meets_a_broken_connection_while_it_prepares_is_answered(lane_url: str, admin: Admin) -> None:
    """It has left the queue and is not in flight yet: nobody must forget it."""
    async with Proxy(lane_url) as proxy, opened(proxy.url) as lane:
        for number in range(4):
            await is_up(lane)
            await within(lane.run(unit((ONE, (1,)))))
            proxy.drop()
            await asyncio.sleep(0)
            assert lane.is_up, "it has not seen the end yet"
            lost = lane.run(unit((statement(f"SELECT {number}"), ()), (PUT, (1, 1))))
            lane._turn()
            with pytest.raises((ConnectionEnded, NotExecutedError)):
                await within(lost, 5)


async def test_an_idle_lane_notices_its_end_and_comes_back(lane_url: str, admin: Admin) -> None:
    async with opened(lane_url) as lane:
        pid = await pid_of(lane)
        await kill(admin, pid)
        await is_up(lane, after=pid)
        assert await pid_of(lane) != pid


@LOOPS
def test_answers_that_arrived_before_the_end_count(
    new_loop: Callable[[], asyncio.AbstractEventLoop], lane_url: str, admin: Admin
) -> None:
    """A backend that dies with unread input resets its socket (POLLERR): libuv then drops the reader after one call."""

    async def scenario() -> None:
        async with opened(lane_url) as lane:
            await within(asyncio.gather(*(lane.run(unit(s)) for s in ((BIG, (1,)), (SLEEP, (0,)), (LENGTH, ("",))))))
            pid = await pid_of(lane)
            answered, slow = lane.run(unit((BIG, (60_000,)))), lane.run(unit((SLEEP, (5,))))
            unread = [lane.run(unit((LENGTH, ("x" * 2000,)))) for _ in range(30)]
            lane._turn()
            with psycopg.connect(lane_url, autocommit=True) as other:  # the loop stands still meanwhile
                time.sleep(0.2)
                other.execute("SELECT pg_terminate_backend(%s, 1000)", (pid,))
            results = await within(asyncio.gather(answered, slow, *unread, return_exceptions=True), 2)
            assert len(results[0][0][0][0]) == 60_000
            assert [type(result) for result in results[1:]] == [ConnectionEnded] * 31

    on_loop(new_loop, scenario)


async def test_a_server_that_says_nothing_is_given_up_and_a_slow_one_is_not(lane_url: str, admin: Admin) -> None:
    async with opened(lane_url, statement_timeout=0.4, silence=2.01) as lane:
        pid = await pid_of(lane)
        assert len(await within(asyncio.gather(*(lane.run(unit((SLEEP, (0.1,)))) for _ in range(22))))) == 22
        assert lane.backend == pid
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(ConnectionEnded) as ended:
                await within(lane.run(unit((ONE, (1,)))), 5)
            assert not ended.value.rolled_back
            await is_up(lane)
            assert await within(lane.run(unit((ONE, (1,))))) == [[(1,)]]
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_a_lane_that_grew_old_connects_again_and_loses_nothing(lane_url: str, admin: Admin) -> None:
    async with opened(lane_url, max_lifetime=0.3) as lane:
        pid, done = await pid_of(lane), 0
        async with asyncio.timeout(20):
            while lane.backend in (pid, None):
                try:
                    await asyncio.gather(*(lane.run(unit((PUT, (done + i, 0)))) for i in range(5)))
                    done += 5
                except NotExecutedError:
                    await asyncio.sleep(0.001)
        assert done > 0


async def test_a_server_that_takes_no_writes_any_more_is_left_for_the_new_primary(lane_url: str, admin: Admin) -> None:
    async with opened(lane_url) as lane:
        pid = await pid_of(lane)
        await within(lane.run(unit((statement("SELECT set_config('default_transaction_read_only', 'on', false)"), ()))))
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await within(lane.run(unit((PUT, (1, 1)))))
        await is_up(lane)
        assert await pid_of(lane) != pid
        assert await within(lane.run(unit((PUT, (1, 1))))) == [[]]


async def test_a_closing_lane_answers_what_it_accepted(lane_url: str, admin: Admin) -> None:
    lane = lane_to(lane_url, window=4)
    await lane.open()
    pid = await pid_of(lane)
    units = [lane.run(unit((SLEEP, (0.01,)), (PUT, (i, 0)))) for i in range(50)]
    closing = asyncio.create_task(lane.close())
    await asyncio.sleep(0)
    with pytest.raises(NotExecutedError):
        lane.run(unit((ONE, (1,))))
    await within(closing)
    assert all(unit.done() and not unit.exception() for unit in units)
    async with asyncio.timeout(20):
        while (await admin.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (pid,))).rowcount:
            await asyncio.sleep(0.01)
    await lane.close()


async def test_a_closing_lane_waits_no_longer_than_it_may(lane_url: str, admin: Admin) -> None:
    lane = lane_to(lane_url)
    await lane.open()
    stuck = lane.run(unit((SLEEP, (5,))))
    await asyncio.sleep(0.05)
    await within(lane.close(0.1), 2)
    assert isinstance(stuck.exception(), ConnectionEnded)


@LOOPS
def test_a_lane_closes_at_every_moment_of_its_reconnecting(
    new_loop: Callable[[], asyncio.AbstractEventLoop], lane_url: str, admin: Admin
) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = 60
        async with await psycopg.AsyncConnection.connect(lane_url, autocommit=True) as other:
            for number in range(60):
                lane = lane_to(lane_url)
                await lane.open()
                pending = lane.run(unit((SLEEP, (5,)))) if number % 2 else None
                await kill(other, lane.backend)
                await asyncio.sleep(random.random() * 0.02)
                await within(lane.close(0), 5)
                assert lane.backend is None and not lane.is_up
                if pending is not None:
                    assert isinstance(pending.exception(), ConnectionEnded)
                assert asyncio.all_tasks() == {asyncio.current_task()}

    on_loop(new_loop, scenario)


async def test_a_lane_closed_while_it_connects_stays_closed_though_the_cancellation_is_swallowed(
    lane_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, made = asyncio.Event(), list[Admin]()
    connect = psycopg.AsyncConnection.connect

    async def deaf(*arguments: Any, **options: Any) -> Admin:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        made.append(await connect(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", deaf)
    lane = lane_to(lane_url)
    lane.start()
    await within(begun.wait())
    await within(lane.close(0), 5)
    assert (lane.is_up, lane.backend, [each.closed for each in made]) == (False, None, [True])
