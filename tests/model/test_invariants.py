"""Each invariant finds what breaks it: a superuser does, whom no guard stops, and takes it back."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from banter.v1 import wallet_pb2

from tests.model.calls import Call, Seen
from tests.model.client import Client, new_world
from tests.model.invariants import CHECKS, broken
from tests.model.operations import agree
from tests.support.harness import Running

MINE = "user_id = ANY(%(people)s)"
BREAKS = {
    "transactions sum to zero": f"UPDATE entries SET amount = amount - 1 WHERE account = 'payment_provider' AND {MINE}",
    "wallets hold the sum of their entries": f"UPDATE wallets SET available = 7 WHERE kind = 'coins' AND {MINE}",
    "everybody has both wallets": f"DELETE FROM wallets WHERE kind = 'earnings' AND {MINE}",
    "versions have no gap and no fork": f"UPDATE entries SET version = 9 WHERE version = 2 AND {MINE}",
    "wallets are at their last entry": f"UPDATE wallets SET head_hash = sha256('another') WHERE {MINE}",
    "hashes follow from what they cover": f"UPDATE transactions SET create_time = create_time + '1 s' WHERE {MINE}",
    "holds are those of what is open": f"UPDATE wallets SET available = 0, held = held + available WHERE {MINE}",
    "earnings are what hosts were paid": f"""
        INSERT INTO earnings SELECT user_id, id, 'gift', 2, 1, 1, create_time FROM transactions
        WHERE kind = 'purchase' AND {MINE}
    """,
    "withdrawals are paid once": f"UPDATE transactions SET kind = 'withdrawal' WHERE kind = 'purchase' AND {MINE}",
    "periods are charged once": f"UPDATE transactions SET kind = 'subscription' WHERE kind = 'purchase' AND {MINE}",
    "no two periods overlap": f"UPDATE subscription_periods SET end_time = end_time + '1 h' WHERE place = 1 AND {MINE}",
    "refunds take back no more than there was": f"UPDATE refunds SET before = before + 1 WHERE {MINE}",
    "bonuses are given once": f"UPDATE host_bonuses SET coins = coins + 1 WHERE {MINE}",
    "payments are credited once": f"UPDATE payments SET coins = coins + 1 WHERE {MINE}",
    "nobody had two signup grants": f"UPDATE transactions SET kind = 'signup_grant' WHERE kind = 'purchase' AND {MINE}",
    "who was erased has nothing, and nothing moves": """
        UPDATE users SET delete_time = '2000-01-01', is_active = FALSE, phone_number = NULL, country_code = NULL,
            full_name = NULL, timezone = NULL
        WHERE id = ANY(%(people)s)
    """,
    "coins are neither made nor lost": f"UPDATE entries SET amount = 1 WHERE account = 'promotions' AND {MINE}",
}
"""By the invariant's name."""


@pytest.fixture(scope="module")
async def people(banter: Running) -> list[str]:
    """Those to whom everything has happened that an invariant is about."""
    client = Client(banter.channel, banter.service_token())
    async with await psycopg.AsyncConnection.connect(banter.owner_url, autocommit=True) as owner:
        books, seen = await new_world(client, owner)
    for call in _story(seen):
        agree(books, seen, call, await client.settle(call))
    return seen.people


def _story(seen: Seen) -> Iterator[Call]:
    """A subscription that is refunded, and another one."""
    user = seen.customers[0]
    yield Call.of("Subscribe", user, wallet_pb2.SubscribeRequest(plan_id="monthly", request_id=seen.new_id()))
    refund = wallet_pb2.RefundTransactionRequest(
        request_id=seen.new_id(),
        user_id=user,
        transaction_id=seen.named["Transaction"][-1].transaction_id,
        reason="it did not work",
    )
    yield Call.of("RefundTransaction", seen.admins[0], refund)
    yield Call.of("Subscribe", user, wallet_pb2.SubscribeRequest(plan_id="monthly", request_id=seen.new_id()))


def test_every_invariant_is_broken_here() -> None:
    assert set(BREAKS) == set(CHECKS)


@pytest.mark.parametrize("check", BREAKS)
async def test_an_invariant_finds_what_breaks_it(banter: Running, people: list[str], check: str) -> None:
    async with await psycopg.AsyncConnection.connect(banter.owner_url) as owner:
        assert await broken(owner, people) == []
        await owner.execute("SET LOCAL session_replication_role = replica")
        await owner.execute(BREAKS[check], {"people": people})
        assert check in {name for name, _ in await broken(owner, people)}
        await owner.rollback()
