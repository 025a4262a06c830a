"""Coins are neither lost, doubled nor made: any program of money, against whole numbers.

Hypothesis draws programs and shrinks those that fail. 1,000 of them with `BANTER_NIGHTLY=1`; `BANTER_SEED` draws the
same ones again.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar

import psycopg
import pytest
from banter.v1 import wallet_pb2
from hypothesis import HealthCheck, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from banter_grpc.jobs.job import run_to_end
from banter_grpc.jobs.registry import JOBS
from tests.model.books import Books
from tests.model.calls import Call, Outcome, Seen, forget_requests
from tests.model.choices import Choose, by_hypothesis, new_seed
from tests.model.client import Client, new_world
from tests.model.invariants import assert_like
from tests.model.operations import OPERATIONS, THEMES, agree
from tests.model.subscriptions import moments, renew
from tests.model.times import DAY, timestamp
from tests.support.clock import run_clock, stop_clock
from tests.support.harness import Running
from tests.support.nightly import NIGHTLY

STARTS = [datetime.datetime(2031, month, day, 10, tzinfo=datetime.UTC) for month, day in ((1, 31), (3, 15), (12, 1))]

PROFILE = settings(
    max_examples=1000 if NIGHTLY else 10,
    stateful_step_count=50 if NIGHTLY else 40,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Shop:
    """What a program runs on: the loop that the server runs on is another thread's."""

    market: Running
    client: Client
    owner: psycopg.AsyncConnection
    loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    async def all(self, calls: list[Call]) -> list[Outcome]:
        """What comes of calls that only look, at once."""
        return await asyncio.gather(*(self.client.settle(call) for call in calls))

    def stop_clock(self, now: int) -> None:
        stop_clock(self.market.owner_url, str(timestamp(now).ToDatetime()))

    def run_jobs(self) -> None:
        """Those about money."""
        for job in JOBS:
            if job.name in {"renew_subscriptions", "purge_idempotency_keys"}:
                self.run(run_to_end(job, self.market.server.database, lambda _: None))

    def close(self, books: Books) -> None:
        """What a program leaves is nothing to the next one's job."""
        people = [user for (user,), _ in books.of("user")]
        query = "UPDATE subscriptions SET auto_renew = FALSE WHERE user_id = ANY(%s)"
        self.run(self.owner.execute(query, [people]))


@pytest.fixture
async def shop(market: Running) -> AsyncIterator[Shop]:
    async with await psycopg.AsyncConnection.connect(market.owner_url, autocommit=True) as owner:
        client = Client(market.channel, market.service_token())
        yield Shop(market, client, owner, asyncio.get_running_loop())
    run_clock(market.owner_url)


class Money(RuleBasedStateMachine):
    """One rule for whatever is done: of many, Hypothesis would leave most out of each program."""

    shop: ClassVar[Shop]

    def __init__(self) -> None:
        super().__init__()
        self.books, self.seen = Books(), Seen()
        self.about = list(OPERATIONS)

    def teardown(self) -> None:
        self.shop.close(self.books)

    @initialize(
        start=st.sampled_from(STARTS),
        about=st.sampled_from(THEMES),
        few=st.integers(1, 2),
        coins=st.sampled_from([1000, 200]),
        subscribe=st.booleans(),
    )
    def begin(self, start: datetime.datetime, about: list[str], few: int, coins: int, subscribe: bool) -> None:
        """Few people meet each other more often. In half of the programs the customers subscribe at once, and with
        200 coins beside their grant they have too few to renew.
        """
        self.about = about
        now = int(start.timestamp()) * 10**6
        self.shop.stop_clock(now)
        world = new_world(self.shop.client, self.shop.owner, customers=few, hosts=2, admins=few, coins=coins, now=now)
        self.books, self.seen = self.shop.run(world)
        for user in self.seen.customers if subscribe else ():
            request = wallet_pb2.SubscribeRequest(plan_id="monthly", request_id=self.seen.new_id())
            self.do(Call.of("Subscribe", user, request))

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        """Something new, something that was asked before, the same with another payload, or time passes."""
        choose = by_hypothesis(data)
        way = choose(["new"] * 5 + (["again", "otherwise"] if self.seen.sent else []) + ["time"])
        if way == "time":
            self.let_time_pass(choose)
        elif way == "new":
            self.do(OPERATIONS[choose(self.about)].draw(choose, self.seen))
        else:
            call = choose(self.seen.sent[::-1])
            self.do(call if way == "again" else OPERATIONS[call.rpc].alter(choose, self.seen, call))

    def let_time_pass(self, choose: Choose) -> None:
        """To a moment at which something may change, or near it. The jobs do all that is due, and then no more."""
        now, runs = choose([self.seen.now + 1, self.seen.now + 30 * DAY, *moments(self.seen)]), choose([1, 0, 2])
        note(f"it is {timestamp(now).ToJsonString()}, and the jobs run {runs} times")
        self.shop.stop_clock(now)
        self.books.put(now, "now")
        self.seen.now = now
        self.look_who_is_premium()
        for _ in range(runs):
            self.shop.run_jobs()
            forget_requests(self.books, now - 30 * DAY)
            charges = [renew(self.books, user) for (user,), _ in self.books.of("user")]
            self.seen.remember(charge for charge in charges if charge)
            self.shop.run(assert_like(self.shop.owner, self.books))
        if runs:
            self.look_who_is_premium()

    def look_who_is_premium(self) -> None:
        """At every moment at which the clock stood: it is said by nothing stored."""
        requests = [wallet_pb2.GetSubscriptionRequest(user_id=user) for user in self.seen.people]
        calls = [Call.of("GetSubscription", "", request) for request in requests]
        for call, outcome in zip(calls, self.shop.run(self.shop.all(calls)), strict=True):
            agree(self.books, self.seen, call, outcome)

    def do(self, call: Call | None) -> None:
        """What comes of a call is what the books say, and so is everything afterwards."""
        if call is None:
            return
        note(repr(call))
        agree(self.books, self.seen, call, self.shop.run(self.shop.client.settle(call)))
        self.shop.run(assert_like(self.shop.owner, self.books))


def machine(shop: Shop) -> type[RuleBasedStateMachine]:
    """A machine in this shop."""
    return type("Money", (Money,), {"shop": shop})


async def test_any_program_of_money_does_what_the_books_say_and_keeps_every_invariant(shop: Shop) -> None:
    program = seed(new_seed())(machine(shop))
    await asyncio.to_thread(run_state_machine_as_test, program, settings=PROFILE)
