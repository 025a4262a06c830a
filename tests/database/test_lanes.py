"""Lanes and pool together: which way a unit goes, and what its caller gets when a lane is lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from banter_grpc.database import errors
from banter_grpc.database.budget import Budget, divide
from banter_grpc.database.connection import ConnectionEnded
from banter_grpc.database.database import Database, LaneSettings, PoolSettings
from banter_grpc.database.lanes import Lanes
from banter_grpc.database.statement import Step, Way
from tests.conftest import NewDatabase
from tests.database.lane_units import COUNT, DIVIDE, ONE, PID, PUT, SLEEP, statement, unit, within
from tests.support.clusters import Cluster
from tests.support.proxy import Cut, Proxy

Admin = psycopg.AsyncConnection[tuple[Any, ...]]
NAME = statement("SELECT current_setting('application_name')", name="name", writes=False, repeatable=True)
WRITER = statement("SELECT current_setting('application_name')", name="writer")
OWN = statement("SELECT current_setting('application_name')", name="own", way=Way.OWN, writes=False, repeatable=True)
UPSERT = statement(
    "INSERT INTO item VALUES ($1::int8, $2::int8) ON CONFLICT (id) DO UPDATE SET v = excluded.v", repeatable=True
)


@asynccontextmanager
async def opened(url: str, **settings: Any) -> AsyncIterator[Lanes]:
    lanes = Lanes([url] * 2, LaneSettings(**settings))
    await lanes.open()
    try:
        async with asyncio.timeout(20):
            while lanes.stats().up < 2:
                await asyncio.sleep(0.01)
        yield lanes
    finally:
        await within(lanes.close(), 30)


@asynccontextmanager
async def opened_database(url: str, **settings: Any) -> AsyncIterator[Database]:
    pool = PoolSettings(url=url, size=2, min_size=1, instance="test")
    database = Database(pool, lanes=LaneSettings(**{"read_lanes": 2, "write_lanes": 2, **settings}))
    await database.open()
    try:
        yield database
    finally:
        await within(database.close(), 30)


async def name_of(database: Database, *steps: Any, key: object = None) -> str:
    answers = await database.run(*(Step(made, ()) for made in steps), key=key)
    return (answers if len(steps) == 1 else answers[-1])[0][0]


async def test_units_of_one_key_queue_on_one_lane_and_others_go_to_an_idle_one(lane_url: str, admin: Admin) -> None:
    async with opened(lane_url) as lanes:

        async def slow(key: object) -> int:
            return (await lanes.run(unit((PID, ()), (SLEEP, (0.1,))), key=key))[0][0][0]

        pids = await within(asyncio.gather(*(slow(key) for key in ("a", "b", "a", "a", "b"))))
        assert pids[0] == pids[2] == pids[3] != pids[1] == pids[4]
        free = [asyncio.create_task(slow(None)) for _ in range(2)]
        await asyncio.sleep(0)
        assert [len(lane.queue) for lane in lanes.lanes] == [1, 1]
        assert len(set(await within(asyncio.gather(*free)))) == 2
        assert lanes._keys == {}, "no key is remembered for ever"


async def test_a_key_moves_with_its_units_when_their_lane_goes_down(lane_url: str, admin: Admin) -> None:
    async with opened(lane_url) as lanes:
        first, second = lanes.lanes
        lost = asyncio.create_task(lanes.run(unit((SLEEP, (5,))), key="k"))
        await asyncio.sleep(0.05)
        await admin.execute("SELECT pg_terminate_backend(%s)", (first.backend,))
        with pytest.raises(ConnectionEnded):
            await within(lost)
        first.is_up = False
        assert (await within(lanes.run(unit((PID, ())), key="k")))[0] == [(second.backend,)]
        assert lanes._keys == {}


async def test_a_unit_that_was_not_sent_goes_to_another_lane(lane_url: str, admin: Admin) -> None:
    async with opened(lane_url, window=1) as lanes:
        first, _ = lanes.lanes
        key = "k"
        sent = asyncio.create_task(lanes.run(unit((SLEEP, (1,))), key=key))
        queued = [asyncio.create_task(lanes.run(unit((PUT, (i, 0))), key=key)) for i in range(20)]
        await asyncio.sleep(0.1)
        assert lanes.stats().waiting == 20 and lanes.waiting == 20
        await admin.execute("SELECT pg_terminate_backend(%s)", (first.backend,))
        results = await within(asyncio.gather(sent, *queued, return_exceptions=True))
        assert isinstance(results[0], ConnectionEnded) and results[1:] == [[[]]] * 20
        assert await within(lanes.run(unit((COUNT, ())))) == [[(20,)]]
        async with asyncio.timeout(10):
            while lanes.stats().reconnects < 1:
                await asyncio.sleep(0.01)
        assert lanes.stats().waiting == 0


async def test_a_restarted_server_is_waited_for_only_so_long(own_cluster: Cluster) -> None:
    url = own_cluster.new_database(migrated=False).owner_url
    async with opened(url, patience=15) as lanes:
        sent = [asyncio.create_task(lanes.run(unit((SLEEP, (5,))))) for _ in range(4)]
        await asyncio.sleep(0.1)
        await asyncio.to_thread(own_cluster.server.stop)
        results = await within(asyncio.gather(*sent, return_exceptions=True))
        assert [type(result) for result in results] == [ConnectionEnded] * 4
        waiting = [asyncio.create_task(lanes.run(unit((ONE, (i,))))) for i in range(50)]
        await asyncio.sleep(0.1)
        assert lanes.waiting == 50
        lanes._settings = LaneSettings(patience=0.2)
        with pytest.raises(errors.NotExecutedError, match=r"0\.2 s"):
            await within(lanes.run(unit((ONE, (1,)))), 1)
        await asyncio.to_thread(own_cluster.server.start)
        assert await within(asyncio.gather(*waiting)) == [[[(i,)]] for i in range(50)]


async def test_closing_lanes_refuse_who_waits_for_one(lane_url: str, admin: Admin) -> None:
    lanes = Lanes(["host=/nonexistent"], LaneSettings(patience=15))
    with pytest.raises(psycopg.OperationalError):
        await lanes.open()
    waiting = asyncio.create_task(lanes.run(unit((ONE, (1,)))))
    await asyncio.sleep(0.05)
    await within(lanes.close(), 2)
    with pytest.raises(errors.NotExecutedError):
        await within(waiting, 2)


async def test_reads_writes_and_what_goes_its_own_way_have_connections_of_their_own(lane_url: str) -> None:
    async with opened_database(lane_url) as database:
        assert (await name_of(database, NAME)).startswith("banter/test/read-")
        assert (await name_of(database, WRITER, key="k")).startswith("banter/test/write-")
        assert (await name_of(database, WRITER, NAME, key="k")).startswith("banter/test/write-")
        assert await name_of(database, OWN) == "banter/test/pool"
        assert await name_of(database, WRITER, OWN) == "banter/test/pool"
        stats = database.lane_stats()
        assert stats["read"].round_trips == 1 and stats["write"].round_trips == 2
        assert await database.ping()
    async with opened_pool(lane_url) as database:
        assert await name_of(database, WRITER) == "banter/test/pool"
        assert database.lane_stats() == {}


@asynccontextmanager
async def opened_pool(url: str) -> AsyncIterator[Database]:
    database = Database(PoolSettings(url=url, size=1, min_size=1, instance="test"))
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def test_a_refusal_on_a_lane_is_told_in_the_services_own_words(lane_url: str, admin: Admin) -> None:
    async with opened_database(lane_url, lock_timeout=0.2) as database:
        await database.run(Step(PUT, (1, 1)), key=1)
        with pytest.raises(errors.ConstraintError) as unique:
            await database.run(Step(PUT, (1, 1)), key=1)
        assert unique.value.constraint == "item_id"
        with pytest.raises(errors.BadValueError):
            await database.run(Step(DIVIDE, (0,)))
        with pytest.raises(errors.BadValueError):
            await database.run(Step(ONE, ("a\0b",)))
        with pytest.raises(errors.DefectError):
            await database.run(Step(ONE, (object(),)))
        async with admin.transaction():
            await admin.execute("UPDATE item SET v = 2 WHERE id = 1")
            with pytest.raises(errors.TimeoutError):
                await database.run(Step(UPSERT, (1, 5)), key=1)
        assert await database.run(Step(UPSERT, (1, 5)), Step(COUNT, ()), key=1) == ([], [(1,)])


async def test_a_collision_is_tried_again_three_times(lane_url: str, admin: Admin) -> None:
    await admin.execute(
        "CREATE SEQUENCE attempts; CREATE FUNCTION collide(times int8) RETURNS int8 LANGUAGE plpgsql AS $$"
        " BEGIN IF nextval('attempts') <= times THEN RAISE serialization_failure; END IF; RETURN 1; END $$"
    )
    collide = statement("SELECT collide($1::int8)")
    async with opened_database(lane_url) as database:
        assert await within(database.run(Step(collide, (3,)))) == [(1,)]
        await admin.execute("SELECT setval('attempts', 1)")
        with pytest.raises(errors.CollisionError):
            await within(database.run(Step(collide, (9,))))


@pytest.mark.parametrize("cut", list(Cut))
async def test_only_what_may_be_repeated_is_sent_again_when_its_fate_is_unknown(
    lane_url: str, admin: Admin, cut: Cut
) -> None:
    async with Proxy(lane_url) as proxy, opened_database(proxy.url, read_lanes=1, write_lanes=1) as database:
        assert await within(database.run(Step(COUNT, ()))) == [(0,)]
        await within(database.run(Step(UPSERT, (1, 1)), Step(PUT, (9, 0))))
        for made, repeated in ((ONE, True), (UPSERT, True), (PUT, False)):
            proxy.cut(cut)
            run = database.run(Step(made, (2, 2) if made is not ONE else (2,)))
            if repeated:
                await within(run)
            else:
                await admin.execute("DELETE FROM item WHERE id = 2")
                with pytest.raises(errors.OutcomeUnknownError):
                    await within(run)
        assert await within(database.run(Step(COUNT, ()))) == [(3 if cut is Cut.ANSWER else 2,)]


async def test_a_database_that_cannot_be_reached_is_said_to_be_unavailable(new_database: NewDatabase) -> None:
    database = Database(PoolSettings(url="postgresql:///?host=/nonexistent", connect_timeout=0.3), lanes=LaneSettings())
    with pytest.raises(errors.UnavailableError):
        await within(database.open(), 5)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ((48, 4, 32, "lanes"), Budget(4, 32, 10)),
        ((5, 1, 1, "lanes"), Budget(1, 1, 1)),
        ((48, 4, 32, "pool"), Budget(0, 0, 46)),
    ],
)
def test_the_pool_gets_what_is_left_of_the_budget(arguments: Any, wanted: Budget) -> None:
    assert divide(*arguments) == wanted
    budget = divide(*arguments)
    assert sum(budget) + 2 == arguments[0]


@pytest.mark.parametrize(
    "arguments", [(4, 1, 1, "lanes"), (38, 4, 32, "lanes"), (2, 4, 32, "pool"), (0, 1, 1, "lanes")]
)
def test_a_budget_that_does_not_suffice_is_refused_in_one_line(arguments: Any) -> None:
    with pytest.raises(ValueError, match=r"^\d+ connections are too few: .*, 1 that listens and 1 for jobs make \d+$"):
        divide(*arguments)


@pytest.mark.parametrize(
    "settings", [{"read_lanes": 0}, {"write_lanes": 0}, {"window": 0}, {"queue": 0}, {"silence": 25.0}]
)
def test_lane_settings_that_make_no_sense_are_refused(settings: Any) -> None:
    with pytest.raises(ValueError, match=r"least|longer"):
        LaneSettings(**settings)
