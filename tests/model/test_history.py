"""Workers move coins of a few people at once: what they see could have been seen one after another.

`BANTER_NIGHTLY=1` runs longer histories, and more of them; `BANTER_SEED` draws the same requests again.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc.aio
import psycopg
from banter.v1 import user_pb2, wallet_pb2

from banter_grpc.jobs.subscriptions import renew
from tests.conftest import NewDatabase
from tests.model.calls import Call, Seen
from tests.model.choices import Choose, by_seed, new_seed
from tests.model.client import OPTIONS, Client, new_world
from tests.model.history import Event, explain, renewals
from tests.model.invariants import assert_like, places
from tests.model.operations import OPERATIONS, agree
from tests.model.subscriptions import renew as renew_in_books
from tests.model.times import DAY, later, timestamp
from tests.support.clock import stop_clock
from tests.support.clusters import Database
from tests.support.harness import Running, over_lanes, over_pool, running
from tests.support.nightly import NIGHTLY

START = 1_927_620_000_000_000
"""2031-01-31 10:00: a month later is the last of February."""
STORMS = 5 if NIGHTLY else 2
WORKERS, CALLS, ROUNDS = (16, 150, 20) if NIGHTLY else (16, 25, 1)
PATIENCE = {"lane_lock_timeout": 20.0, "lane_statement_timeout": 25.0, "lock_timeout": 20.0, "statement_timeout": 25.0}


@dataclass(frozen=True)
class Place:
    """Where calls meet: two servers on one database, with two channels to each. They meet at row locks alone, and so do
    the calls to the second one, which has no lanes.
    """

    url: str
    owner: psycopg.AsyncConnection
    servers: list[Running]
    clients: list[Client]

    async def at_once(self, seen: Seen, calls: Iterable[Call], events: list[Event]) -> None:
        """All of the calls, in turn by each of the clients."""
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for client, call in zip(itertools.cycle(self.clients), calls, strict=False):
                group.create_task(ask(client, seen, call, events))

    async def stop_clock(self, now: int) -> None:
        """It is so late, and stays so."""
        await asyncio.to_thread(stop_clock, self.url, str(timestamp(now).ToDatetime()))

    async def renew(self, times: int) -> None:
        """So many runs of the job at once, in turn by each of the servers."""
        databases = [server.server.database for server in self.servers]
        await asyncio.gather(*(renew(databases[number % 2]) for number in range(times)))


@asynccontextmanager
async def place(database: Database) -> AsyncIterator[Place]:
    """A place, in which nobody is to end in a deadlock."""
    async with await psycopg.AsyncConnection.connect(database.owner_url, autocommit=True) as owner:
        async with AsyncExitStack() as stack:
            made = Place(database.owner_url, owner, [], [])
            for way in (over_lanes(4), over_pool(12)):
                settings = {**PATIENCE, **way, "caller_cache": 0}  # who is erased is unknown at once, on both
                server = await stack.enter_async_context(running(database.owner_url, database.service_url, **settings))
                made.servers.append(server)
                for _ in range(2):
                    channel = grpc.aio.insecure_channel(server.address, options=OPTIONS)
                    made.clients.append(Client(await stack.enter_async_context(channel), server.service_token()))
            yield made
        assert await deadlocks(owner) == 0


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
    seed = new_seed()
    async with place(new_database()) as here:
        for number in range(ROUNDS):
            books, seen = await new_world(here.clients[0], here.owner)
            events = list[Event]()
            async with asyncio.timeout(300), asyncio.TaskGroup() as group:
                for worker in range(WORKERS):
                    group.create_task(work(here.clients[worker % 4], seen, by_seed(seed, number, worker), events))
            explain(books, events, await places(here.owner, seen.people))
            await assert_like(here.owner, books)


async def test_who_is_erased_while_fifty_use_his_wallets_is_erased_before_or_after_each(
    new_database: NewDatabase,
) -> None:
    """A customer, a host and an admin; five times at once it is asked that one of them be erased."""
    seed = new_seed()
    async with place(new_database()) as here:
        for number in range(ROUNDS * STORMS):
            books, seen = await new_world(here.clients[0], here.owner, customers=1, hosts=1, admins=1)
            choose, events = by_seed(seed, number), list[Event]()
            await work(here.clients[0], seen, choose, events)
            await here.at_once(seen, storm(choose, seen), events)
            explain(books, events, await places(here.owner, seen.people))
            await assert_like(here.owner, books)


async def test_renewal_meets_fifty_calls_and_charges_once_before_or_after_each(new_database: NewDatabase) -> None:
    """Three people subscribe; in the day before that ends five runs of the job meet what else they ask for."""
    seed = new_seed()
    async with place(new_database()) as here:
        for number in range(ROUNDS * STORMS):
            choose, events = by_seed(seed, number), list[Event]()
            await here.stop_clock(START)
            world = new_world(here.clients[0], here.owner, customers=1, hosts=1, admins=1, now=START)
            books, seen = await world
            for call in _subscriptions(choose, seen):
                agree(books, seen, call, await here.clients[0].settle(call))
            seen.now = later(START, 1) - choose([DAY, DAY // 2, 1])
            await here.stop_clock(seen.now)
            books.put(seen.now, "now")
            begin = time.monotonic()
            await asyncio.gather(here.renew(5), here.at_once(seen, storm(choose, seen), events))
            found = await places(here.owner, seen.people)
            events += renewals(books, found, begin, time.monotonic())
            explain(books, events, found)
            await assert_like(here.owner, books)
            await here.renew(1)
            for user in seen.people:
                renew_in_books(books, user)
            await assert_like(here.owner, books)


def _subscriptions(choose: Choose, seen: Seen) -> Iterator[Call]:
    """Everybody's, for a month; it may be that somebody has just enough for another one."""
    for user in seen.people:
        coins = choose([299, 2 * 299 - 100, 1000])
        purchase = wallet_pb2.PurchaseCoinsRequest(
            user_id=user, provider="tests", payment_id=seen.new_id(), coins=coins
        )
        yield Call.of("PurchaseCoins", "", purchase)
        asked = wallet_pb2.SubscribeRequest(plan_id="monthly", request_id=seen.new_id())
        yield Call.of("Subscribe", user, asked)


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
