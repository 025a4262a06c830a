"""Lanes whose backends are killed at random, whose callers go, and whose units fail: every write's fate is as told.

`BANTER_NIGHTLY=1` makes of the seconds an hour, and of 10^5 units 10^6.
"""

from __future__ import annotations

import asyncio
import gc
import random
import resource
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from banter_grpc.database import errors
from banter_grpc.database.database import Database, LaneSettings, PoolSettings
from banter_grpc.database.statement import Step
from banter_grpc.database.unit import Unit
from tests.database.lane_disturbance import Disturbance, latencies
from tests.database.lane_units import DIVIDE, LENGTH, LOOPS, ONE, PUT, SLEEP, STAR, on_loop, statement, within
from tests.support.nightly import NIGHTLY

SECONDS = 1800.0 if NIGHTLY else 10.0
UNITS = 1_000_000 if NIGHTLY else 100_000
CALLERS = 200

PUT_A, PUT_B = (statement(f"INSERT INTO ledger_{name} VALUES ($1::uuid, $2::int4)") for name in "ab")
LOOK = statement("SELECT id FROM ledger_a LIMIT $1::int4", writes=False, repeatable=True)


class Chaos:
    """Callers that write, fail and go away, and a hand that kills backends and alters a table under them."""

    def __init__(self, database: Database, seed: int, seconds: float) -> None:
        self.database = database
        self.random = random.Random(seed)
        self.seconds = seconds
        self.stop = 0.0
        self.fates: dict[uuid.UUID, str] = {}
        self.kills = 0

    def begin(self) -> None:
        self.stop = asyncio.get_running_loop().time() + self.seconds

    @property
    def goes_on(self) -> bool:
        return asyncio.get_running_loop().time() < self.stop

    def steps(self, id_: uuid.UUID, who: int) -> list[Step[Any]]:
        chance = self.random.random
        steps: list[Step[Any]] = [Step(PUT_A, (id_, who)), Step(PUT_B, (id_, who))]
        if chance() < 0.2:
            steps.insert(self.random.randrange(3), Step(DIVIDE, (0,)))
        if chance() < 0.2:
            steps.append(Step(LOOK, (self.random.randrange(200),)))
        if chance() < 0.1:
            steps.append(Step(STAR, ()))
        if chance() < 0.02:
            steps.append(Step(SLEEP, (chance() / 20,)))
        if chance() < 0.02:
            steps.append(Step(LENGTH, ("x" * self.random.randrange(3_000_000),)))
        return steps

    async def call(self, who: int) -> None:
        while self.goes_on:
            id_ = uuid.UUID(int=self.random.getrandbits(128))
            self.fates[id_] = "asked"
            self.fates[id_] = await self.fate_of(self.steps(id_, who), who)
            if self.fates[id_] == "no" or self.random.random() < 0.3:
                await asyncio.sleep(self.random.random() / 10)

    async def fate_of(self, steps: list[Step[Any]], who: int) -> str:
        limit = self.random.choice([None, None, self.random.random() / 20])
        try:
            async with asyncio.timeout(limit):
                await self.database.run(*steps, key=self.random.choice([None, who % 7]))  # type: ignore[call-overload]
        except errors.OutcomeUnknownError:
            return "unknown"
        except (errors.BadValueError, errors.TimeoutError, errors.UnavailableError):
            return "no"
        except TimeoutError:
            return "cancelled"
        return "yes"

    async def destroy(self, url: str) -> None:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as admin:
            while self.goes_on:
                await asyncio.sleep(self.random.random() / 3)
                if self.random.random() < 0.7:
                    cursor = await admin.execute(
                        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                        " AND application_name LIKE 'banter/chaos/write-%'"
                    )
                    if pids := await cursor.fetchall():
                        await admin.execute("SELECT pg_terminate_backend(%s)", self.random.choice(pids))
                        self.kills += 1
                elif self.random.random() < 0.5:
                    await admin.execute("ALTER TABLE shape ADD IF NOT EXISTS z int")
                else:
                    await admin.execute("ALTER TABLE shape DROP IF EXISTS z")


def chaotic_database(url: str) -> Database:
    lanes = LaneSettings(
        read_lanes=1, write_lanes=3, window=8, queue=60, patience=5, statement_timeout=2, lock_timeout=1
    )
    return Database(PoolSettings(url=url, size=1, min_size=1, instance="chaos"), lanes=lanes)


@LOOPS
def test_every_write_is_there_exactly_as_often_as_was_said(
    new_loop: Callable[[], asyncio.AbstractEventLoop], lane_url: str, admin: object
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # shown when it fails

    chaos = Chaos(chaotic_database(lane_url), seed, SECONDS)

    async def scenario() -> int:
        database = chaos.database
        await database.open()
        chaos.begin()
        await within(asyncio.gather(chaos.destroy(lane_url), *(chaos.call(i) for i in range(CALLERS))), SECONDS + 20)
        stats = database.lane_stats()["write"]
        assert stats.in_flight == stats.waiting == database.waiting == 0
        await within(database.close())
        return stats.reconnects

    check(chaos, lane_url, on_loop(new_loop, scenario, SECONDS + 60))


def check(chaos: Chaos, url: str, reconnects: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        a = Counter(id_ for (id_,) in connection.execute("SELECT id FROM ledger_a"))
        b = Counter(id_ for (id_,) in connection.execute("SELECT id FROM ledger_b"))
    told = Counter(chaos.fates.values())
    there = Counter(fate for id_, fate in chaos.fates.items() if id_ in a)
    print("told", dict(told), "of which there", dict(there), "kills", chaos.kills, "reconnects", reconnects)
    assert a == b, "a unit is whole or not at all"
    assert set(a.values()) == {1}
    assert not told["asked"], "nobody is left without an answer"
    assert there["yes"] == told["yes"] > 500
    assert there["no"] == 0 < told["no"]
    assert told["cancelled"] and chaos.kills > 5 and reconnects >= chaos.kills / 2


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def test_memory_stays_flat_however_many_units_ran(lane_url: str, admin: psycopg.AsyncConnection) -> None:
    async with asyncio.timeout(60 * UNITS / 100_000):
        database = chaotic_database(lane_url)
        await database.open()
        await admin.execute("INSERT INTO item VALUES (1, 1)")

        async def caller(units: int) -> None:
            for number in range(units):
                try:
                    if number % 50 == 7:
                        await database.run(Step(PUT, (1, 1)))
                    elif number % 50 == 9:
                        async with asyncio.timeout(0):
                            await database.run(Step(ONE, (number,)))
                    else:
                        await database.run(Step(ONE, (number,)), Step(STAR, ()))
                except (errors.ConstraintError, TimeoutError):
                    pass

        async def run(units: int) -> int:
            await asyncio.gather(*(caller(units // 32) for _ in range(32)))
            gc.collect()
            return resident_bytes()

        before = await run(UNITS // 5)
        after = await run(UNITS)
        assert after - before < 8 * 2**20
        assert sum(type(thing) is Unit for thing in gc.get_objects()) < 10
        await database.close()


@pytest.mark.parametrize("disturbed", [False, True])
async def test_nothing_slow_holds_up_what_goes_another_way(
    lane_url: str, admin: psycopg.AsyncConnection, disturbed: bool
) -> None:
    """Reads, and writes of other rows, beside a 5 s query on the pool and a row that is locked for 400 ms at a time."""
    await admin.execute("INSERT INTO item SELECT n, 0 FROM generate_series(1, 1000) n")
    pool = PoolSettings(url=lane_url, size=2, min_size=1)
    database = Database(pool, lanes=LaneSettings(read_lanes=4, write_lanes=32))
    await database.open()
    disturbance = Disturbance(database, lane_url)
    if disturbed:
        disturbance.start()
    reads, writes = await latencies(database, seconds=2.5)
    waited = await disturbance.end()
    await database.close()
    print(f"disturbed: {disturbed}, p99 of reads {reads * 1e3:.1f} ms, of writes of other rows {writes * 1e3:.1f} ms")
    assert reads < 0.2 and writes < 0.2, "nobody waits half as long as for the lock"
    assert waited >= (3 if disturbed else 0), "writers of the locked row did wait"
