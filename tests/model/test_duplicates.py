"""What is asked once is done once: fifty identical requests at a time, of every operation, for every way it can end."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from tests.model.books import Books
from tests.model.calls import METHODS, Call, Operation, Outcome, Seen, expected
from tests.model.choices import Choose, by_seed
from tests.model.client import Client, new_world
from tests.model.invariants import assert_like
from tests.model.operations import OPERATIONS, agree
from tests.support.harness import Running

AT_ONCE = 50
STEPS = 5000


@pytest.mark.parametrize("rpc", OPERATIONS)
async def test_fifty_at_once_have_one_effect_and_fifty_equal_answers(market: Running, rpc: str) -> None:
    """A walk over the model's states, until the operation has ended in every way that the model knows."""
    client, choose, left = Client(market.channel, market.service_token()), by_seed(rpc), set(OPERATIONS[rpc].outcomes)
    others = [name for name in OPERATIONS if not name.startswith("Get")]
    mixed = [*others, *[rpc] * (len(others) // 2)]
    async with await psycopg.AsyncConnection.connect(market.owner_url, autocommit=True) as owner:
        books, seen = await new_world(client, owner)
        for _ in range(STEPS):
            call = _next(OPERATIONS[choose(mixed)], choose, seen)
            if call is None:
                continue
            reason = expected(OPERATIONS[call.rpc], books, call)
            if call.rpc == rpc and reason in left:
                left.remove(reason)
                await _fifty(client, books, seen, call)
                await assert_like(owner, books)
            elif not reason and (call.rpc != rpc or choose([True, *[False] * 9])):  # else it undoes what others do
                agree(books, seen, call, await client.settle(call))
            if not left:
                return
    raise AssertionError(f"the walk has not come to {left}")


def _next(operation: Operation, choose: Choose, seen: Seen) -> Call | None:
    """A new request, or what was asked before with another payload."""
    before = [call for call in seen.sent if call.rpc == operation.rpc]
    other = operation.alter(choose, seen, choose(before)) if before and choose([True, False, False]) else None
    return other or operation.draw(choose, seen)


async def _fifty(client: Client, books: Books, seen: Seen, call: Call) -> None:
    async with asyncio.timeout(60):
        outcomes = await asyncio.gather(*(client.settle(call) for _ in range(AT_ONCE)))
    first = [outcome for outcome in outcomes if _is_first(call, outcome)] or outcomes
    rest = [outcome for outcome in outcomes if not _is_first(call, outcome)]
    assert len(first) in {1, AT_ONCE} or _erases_himself(call)
    for alike in filter(None, (first, rest)):
        assert len({(outcome, outcome.words) for outcome in alike}) == 1, "they agree to the last word"
        agree(books, seen, call, alike[0])


def _is_first(call: Call, outcome: Outcome) -> bool:
    """Who comes first creates a user, which is no part of an answer that others share; who erases himself is then
    unknown, unless he was let in before.
    """
    if call.rpc == "FindOrCreateUser":
        return outcome.answer(call).created
    return _erases_himself(call) and not outcome.reason


def _erases_himself(call: Call) -> bool:
    return call.rpc == "DeleteUser" and call.request.user_id == call.actor


def test_every_rpc_that_moves_coins_is_an_operation() -> None:
    """The rest of WalletService only reads."""
    rpcs = {rpc for rpc, method in METHODS.items() if method.containing_service.name == "WalletService"}
    assert {rpc for rpc in rpcs if not rpc.startswith(("Get", "List", "Verify"))} <= set(OPERATIONS)
