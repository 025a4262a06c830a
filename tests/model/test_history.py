"""Workers move coins of a few people at once: what they see could have been seen one after another.

`BANTER_NIGHTLY=1` runs longer histories, and more of them; `BANTER_SEED` draws the same requests again.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc.aio
import psycopg
from banter.v1 import user_pb2

from tests.conftest import NewDatabase
from tests.model.calls import Call, Seen
from tests.model.choices import Choose, by_seed, new_seed, nightly
from tests.model.client import OPTIONS, Client, new_world
from tests.model.history import Event, explain
from tests.model.invariants import assert_like, places
from tests.model.operations import OPERATIONS
from tests.support.clusters import Database
from tests.support.harness import over_lanes, over_pool, running

STORMS = 4
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
            settings = {**PATIENCE, **way, "caller_cache": 0}  # who is erased is unknown at once, on both
            banter = await stack.enter_async_context(running(database.owner_url, database.service_url, **settings))
            for _ in range(2):
                channel = grpc.aio.insecure_channel(banter.address, options=OPTIONS)
                made.append(Client(await stack.enter_async_context(channel), banter.service_token()))
        yield made


async def work(client: Client, seen: Seen, choose: Choose, events: list[Event]) -> None:
    """One call after another."""
    for _ in range(CALLS):
        call = another(choose, seen)
        if call is not None:
            await ask(client, seen, call, events)


def another(choose: Choose, seen: Seen) -> Call | None:
    """A new call, one of any worker again, or one with another payload."""
    operation = OPERATIONS[choose(list(OPERATIONS))]
    way = choose(["new", "new", "again", "otherwise"]) if seen.sent else "new"
    call = choose(seen.sent[-12:]) if way != "new" else operation.draw(choose, seen)
    return OPERATIONS[call.rpc].alter(choose, seen, call) if way == "otherwise" else call


async def ask(client: Client, seen: Seen, call: Call, events: list[Event]) -> None:
    """Sends a call until it is answered, and notes what came of it."""
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


async def test_who_is_erased_while_fifty_use_his_wallets_is_erased_before_or_after_each(
    new_database: NewDatabase,
) -> None:
    """A customer, a host and an admin; five times at once it is asked that one of them be erased."""
    database, seed = new_database(), new_seed()
    async with await psycopg.AsyncConnection.connect(database.owner_url, autocommit=True) as owner:
        async with clients(database) as servers:
            for number in range(ROUNDS * STORMS):
                books, seen = await new_world(servers[0], owner, customers=1, hosts=1, admins=1)
                choose, events = by_seed(seed, number), list[Event]()
                async with asyncio.timeout(60):
                    await work(servers[0], seen, choose, events)
                    await asyncio.gather(
                        *(
                            ask(server, seen, call, events)
                            for server, call in zip(itertools.cycle(servers), storm(choose, seen))
                        )
                    )
                explain(books, events, await places(owner, seen.people))
                await assert_like(owner, books)
        assert await deadlocks(owner) == 0


def storm(choose: Choose, seen: Seen) -> Iterator[Call]:
    """Fifty calls, of which every tenth is to erase the same one, whatever he has."""
    user = choose(seen.people[:3])
    request = user_pb2.DeleteUserRequest(user_id=user, forfeit_balance=True)
    for number in range(50):
        call = another(choose, seen) if number % 10 else Call.of("DeleteUser", choose(["", user]), request)
        if call is not None:
            yield call


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
