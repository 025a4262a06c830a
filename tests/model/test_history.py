"""Workers move coins of a few people at once: what they see could have been seen one after another.

`BANTER_NIGHTLY=1` runs longer histories, and more of them; `BANTER_SEED` draws the same requests again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc.aio
import psycopg

from tests.conftest import NewDatabase
from tests.model.calls import Seen
from tests.model.choices import Choose, by_seed, new_seed, nightly
from tests.model.client import OPTIONS, Client, new_world
from tests.model.history import Event, explain
from tests.model.invariants import assert_like, places
from tests.model.operations import OPERATIONS
from tests.support.clusters import Database
from tests.support.harness import over_lanes, over_pool, running

WORKERS, CALLS, ROUNDS = (16, 150, 20) if nightly() else (16, 25, 1)
PATIENCE = {"lane_lock_timeout": 20.0, "lane_statement_timeout": 25.0, "lock_timeout": 20.0, "statement_timeout": 25.0}


@asynccontextmanager
async def clients(database: Database) -> AsyncIterator[list[Client]]:
    """Two servers on one database, with two channels to each. They meet at row locks alone, and so do the calls to the
    second one, which has no lanes.
    """
    async with AsyncExitStack() as stack:
        made = list[Client]()
        for way in (over_lanes(4), over_pool(12)):
            settings = {**PATIENCE, **way}
            banter = await stack.enter_async_context(running(database.owner_url, database.service_url, **settings))
            for _ in range(2):
                channel = grpc.aio.insecure_channel(banter.address, options=OPTIONS)
                made.append(Client(await stack.enter_async_context(channel), banter.service_token()))
        yield made


async def work(client: Client, seen: Seen, choose: Choose, events: list[Event]) -> None:
    """One call after another: new ones, those of any worker again, and those with another payload."""
    for _ in range(CALLS):
        operation = OPERATIONS[choose(list(OPERATIONS))]
        way = choose(["new", "new", "again", "otherwise"]) if seen.sent else "new"
        call = choose(seen.sent[-12:]) if way != "new" else operation.draw(choose, seen)
        if way == "otherwise":
            call = OPERATIONS[call.rpc].alter(choose, seen, call)
        if call is not None:
            if call not in seen.sent:
                seen.sent.append(call)
            begin = time.monotonic()
            outcome = await client.settle(call)
            events.append(Event(call, outcome, begin, time.monotonic()))
            seen.learn(call, outcome)


async def test_what_ran_at_once_could_have_run_one_after_another(new_database: NewDatabase) -> None:
    database, seed = new_database(), new_seed()
    async with await psycopg.AsyncConnection.connect(database.owner_url, autocommit=True) as owner:
        async with clients(database) as servers:
            for number in range(ROUNDS):
                books, seen = await new_world(servers[0], owner)
                events = list[Event]()
                async with asyncio.timeout(300), asyncio.TaskGroup() as group:
                    for worker in range(WORKERS):
                        group.create_task(work(servers[worker % 4], seen, by_seed(seed, number, worker), events))
                explain(books, events, await places(owner, seen.people))
                await assert_like(owner, books)
        assert await deadlocks(owner) == 0


async def deadlocks(owner: psycopg.AsyncConnection) -> int:
    """Those of the database so far; a connection counts its own when it ends, so it waits until the others have."""
    async with asyncio.timeout(30):
        while (await (await owner.execute(_OTHERS)).fetchone()) != (0,):
            await asyncio.sleep(0.02)
    row = await (await owner.execute(_DEADLOCKS)).fetchone()
    assert row is not None
    return row[0]


_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
_OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
