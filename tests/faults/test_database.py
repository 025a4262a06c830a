"""The database under the service goes, stalls, or cuts its connections: what callers see, and how soon all is well."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import psycopg
import pytest
from banter.v1 import user_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.clusters import Cluster
from tests.support.harness import Running, failure_of, over_lanes, over_pool, running

ALLOWED = {"DATABASE_UNAVAILABLE", "OUTCOME_UNKNOWN", "SERVER_BUSY", "DEADLINE_EXCEEDED"}
"""What the error table has for a database that is not there."""

CUTS = 20

WAYS = pytest.mark.parametrize("way", [over_lanes(4), over_pool(8)], ids=["lanes", "pool"])


async def until(condition: Callable[[], Awaitable[bool]], seconds: float) -> float:
    """Wait for a condition, at most `seconds`; returns how long it took."""
    started = time.perf_counter()
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.002)
    return time.perf_counter() - started


@contextlib.asynccontextmanager
async def locked_users(owner_url: str) -> AsyncIterator[None]:
    """Every query of users waits meanwhile."""
    async with await psycopg.AsyncConnection.connect(owner_url) as blocker:
        await blocker.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        yield
        await blocker.rollback()


class Callers:
    """64 callers who ask for one user again and again, and what each of them got."""

    def __init__(self, banter: Running, user_id: str) -> None:
        self._banter = banter
        self._request = user_pb2.GetUserRequest(user_id=user_id)
        self.outcomes: Counter[str] = Counter()
        self.slowest = 0.0

    async def one(self) -> str:
        started = time.perf_counter()
        try:
            await self._banter.users.GetUser(self._request, metadata=self._banter.as_service, timeout=5)
            outcome = "OK"
        except grpc.aio.AioRpcError as error:
            # At its own deadline a client answers itself, without details.
            late = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            outcome = "DEADLINE_EXCEEDED" if late else failure_of(error).reason
        self.slowest = max(self.slowest, time.perf_counter() - started)
        self.outcomes[outcome] += 1
        return outcome

    async def run(self, stop: asyncio.Event, pause: float = 0.02) -> None:
        """Ask until told to stop; who was refused comes again after a pause."""

        async def again() -> None:
            while not stop.is_set():
                if await self.one() != "OK":
                    await asyncio.sleep(pause)

        await asyncio.gather(*(again() for _ in range(64)))


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [(over_pool(4), 0.1), (over_lanes(1) | {"lane_lock_timeout": 0.6}, 1.0)],
    ids=["within 100 ms on the pool", "with the timeouts of its lane"],
)
async def test_a_query_whose_client_has_gone_is_gone(new_database, settings: dict[str, object], seconds: float) -> None:
    database = new_database()
    async with running(database.owner_url, database.service_url, **settings) as banter:
        user = await banter.new_user()
        request = user_pb2.GetUserRequest(user_id=user.user_id)
        async with (
            locked_users(database.owner_url),
            await psycopg.AsyncConnection.connect(database.owner_url, autocommit=True) as watcher,
        ):

            async def runs() -> bool:
                rows = await watcher.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND state = 'active' AND query LIKE '%%get_user%%' AND pid <> pg_backend_pid()"
                )
                return await rows.fetchone() == (1,)

            async def gone() -> bool:
                return not await runs()

            for way in ("cancel", "deadline"):
                timeout = 0.3 if way == "deadline" else 10
                call = banter.users.GetUser(request, metadata=banter.as_service, timeout=timeout)
                waiting = asyncio.ensure_future(call)
                await until(runs, 5)
                if way == "cancel":
                    call.cancel()
                with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
                    await waiting
                assert await until(gone, 5) < seconds
        assert (await banter.users.GetUser(request, metadata=banter.as_service)).user == user


@pytest.mark.parametrize("way", [over_lanes(1), over_pool(1)], ids=["lanes", "pool"])
async def test_64_callers_share_one_connection(new_database, way: dict[str, object]) -> None:
    database = new_database()
    async with running(database.owner_url, database.service_url, **way) as banter:
        callers = Callers(banter, (await banter.new_user()).user_id)
        async with asyncio.timeout(30):
            for _ in range(5):
                assert await asyncio.gather(*(callers.one() for _ in range(64))) == ["OK"] * 64


async def test_a_pool_that_stays_busy_refuses_in_time(new_database) -> None:
    database = new_database()
    settings = over_pool(1) | {"pool_max_waiting": 8, "pool_wait": 2.0}  # longer than it takes all to arrive
    async with running(database.owner_url, database.service_url, **settings) as banter:
        callers = Callers(banter, (await banter.new_user()).user_id)
        async with locked_users(database.owner_url):
            async with asyncio.timeout(10):
                held = asyncio.gather(*(callers.one() for _ in range(64)))
                await asyncio.sleep(2.5)
            assert callers.outcomes["SERVER_BUSY"] + callers.outcomes["DATABASE_UNAVAILABLE"] == 63
            assert callers.outcomes["SERVER_BUSY"] >= 50
        assert (await held).count("OK") == 1


@WAYS
async def test_connections_cut_at_random_cost_no_more_than_a_retry(new_database, way: dict[str, object]) -> None:
    database = new_database()
    async with running(database.owner_url, database.service_url, **way) as banter:
        callers, stop = Callers(banter, (await banter.new_user()).user_id), asyncio.Event()
        working = asyncio.create_task(callers.run(stop))
        async with await psycopg.AsyncConnection.connect(database.owner_url, autocommit=True) as killer:
            for _ in range(CUTS):
                rows = await killer.execute(
                    "SELECT pg_terminate_backend(pid) FROM ("
                    "  SELECT pid FROM pg_stat_activity"
                    "  WHERE datname = current_database() AND application_name ~ '/(pool|read-[0-9]+)$'"
                    "  ORDER BY random() LIMIT 1"
                    ") AS one"
                )
                assert rows.rowcount == 1
                # The next one comes when every caller has had an answer: no retry is cut once more.
                answered = callers.outcomes.total() + 64

                async def all_are_answered(least: int = answered) -> bool:
                    return callers.outcomes.total() >= least

                await until(all_are_answered, 10)
                await asyncio.sleep(random.uniform(0.01, 0.05))
        stop.set()
        await asyncio.wait_for(working, 15)
        assert set(callers.outcomes) <= ALLOWED | {"OK"}
        failed = callers.outcomes.total() - callers.outcomes["OK"]
        assert failed <= CUTS / 10, "a read whose connection was cut is sent again"
        assert await asyncio.gather(*(callers.one() for _ in range(64))) == ["OK"] * 64


async def is_ready(banter: Running) -> bool:
    request = health_pb2.HealthCheckRequest(service="banter.v1.UserService")
    answer = await health_pb2_grpc.HealthStub(banter.channel).Check(request)
    return answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_database_stopped_for_ten_seconds_is_back_at_once_when_it_is_back(own_cluster: Cluster) -> None:
    database = own_cluster.new_database()
    urls = database.owner_url, database.service_url
    async with running(*urls, **over_lanes(4)) as lanes, running(*urls, **over_pool(8)) as pool:
        stopped, back = asyncio.Event(), asyncio.Event()
        both = [asyncio.create_task(outlives_its_database(banter, stopped, back)) for banter in (lanes, pool)]
        await asyncio.sleep(1)
        await asyncio.to_thread(own_cluster.server.stop)
        stopped.set()
        await asyncio.sleep(10)
        await asyncio.to_thread(own_cluster.server.start)
        back.set()
        await asyncio.wait_for(asyncio.gather(*both), 30)


async def outlives_its_database(banter: Running, stopped: asyncio.Event, back: asyncio.Event) -> None:
    callers, stop = Callers(banter, (await banter.new_user()).user_id), asyncio.Event()
    await until(lambda: is_ready(banter), 5)
    working = asyncio.create_task(callers.run(stop, pause=0.5))
    await stopped.wait()

    async def is_unready() -> bool:
        return not await is_ready(banter)

    await until(is_unready, 5)
    await asyncio.sleep(7)
    alive = await health_pb2_grpc.HealthStub(banter.channel).Check(health_pb2.HealthCheckRequest())
    assert alive.status == health_pb2.HealthCheckResponse.SERVING, "the server itself is alive"
    served = callers.outcomes["OK"]
    assert served > 0
    await back.wait()

    async def serves() -> bool:
        return callers.outcomes["OK"] > served + 100

    assert await until(serves, 10) < 3
    await until(lambda: is_ready(banter), 5)
    stop.set()
    await asyncio.wait_for(working, 15)
    assert set(callers.outcomes) <= ALLOWED | {"OK"}
    assert callers.slowest < 4, "with the database away nobody waits long"
    assert await asyncio.gather(*(callers.one() for _ in range(64))) == ["OK"] * 64


@pytest.mark.parametrize("timeout", ["lock_timeout", "statement_timeout"])
@WAYS
async def test_the_databases_own_timeout_is_unavailable_and_may_be_tried_again(
    new_database, timeout: str, way: dict[str, object]
) -> None:
    database = new_database()
    name = timeout if way["way"] == "pool" else f"lane_{timeout}"
    async with running(database.owner_url, database.service_url, **way, **{name: 0.2}) as banter:
        callers = Callers(banter, (await banter.new_user()).user_id)
        async with locked_users(database.owner_url):
            assert await callers.one() == "DATABASE_UNAVAILABLE"
        assert await callers.one() == "OK"
