"""Coins are neither lost, doubled nor made: any program of money, against whole numbers.

Hypothesis draws programs and shrinks those that fail. 1,000 of them with `BANTER_NIGHTLY=1`; `BANTER_SEED` draws the
same ones again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.model.calls import Call
from tests.model.choices import by_hypothesis, new_seed, nightly
from tests.model.client import Client, new_world
from tests.model.invariants import assert_like
from tests.model.operations import OPERATIONS, agree
from tests.support.harness import Running

PROFILE = settings(
    max_examples=1000 if nightly() else 12,
    stateful_step_count=50 if nightly() else 40,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Shop:
    """What a program runs on: the loop that the server runs on is another thread's."""

    client: Client
    owner: psycopg.AsyncConnection
    loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)


@pytest.fixture
async def shop(market: Running) -> AsyncIterator[Shop]:
    async with await psycopg.AsyncConnection.connect(market.owner_url, autocommit=True) as owner:
        yield Shop(Client(market.channel, market.service_token()), owner, asyncio.get_running_loop())


def machine(shop: Shop) -> type[RuleBasedStateMachine]:
    """A machine with a rule for each operation, and two for what was asked before."""

    class Money(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.books, self.seen = shop.run(new_world(shop.client, shop.owner))

        @precondition(lambda self: self.seen.sent)
        @rule(data=st.data())
        def send_again(self, data: st.DataObject) -> None:
            self.do(by_hypothesis(data)(self.seen.sent[::-1]))

        @precondition(lambda self: self.seen.sent)
        @rule(data=st.data())
        def send_otherwise(self, data: st.DataObject) -> None:
            choose = by_hypothesis(data)
            call = choose(self.seen.sent[::-1])
            self.do(OPERATIONS[call.rpc].alter(choose, self.seen, call))

        def do(self, call: Call | None) -> None:
            """What comes of a call is what the books say, and so is everything afterwards."""
            if call is None:
                return
            note(repr(call))
            agree(self.books, self.seen, call, shop.run(shop.client.settle(call)))
            shop.run(assert_like(shop.owner, self.books))

    def rule_of(rpc: str) -> Callable[[Money, st.DataObject], None]:
        def step(self: Money, data: st.DataObject) -> None:
            self.do(OPERATIONS[rpc].draw(by_hypothesis(data), self.seen))

        step.__name__ = rpc
        return rule(data=st.data())(step)

    return type("Money", (Money,), {rpc: rule_of(rpc) for rpc in OPERATIONS})


async def test_any_program_of_money_does_what_the_books_say_and_keeps_every_invariant(shop: Shop) -> None:
    program = seed(new_seed())(machine(shop))
    await asyncio.to_thread(run_state_machine_as_test, program, settings=PROFILE)
