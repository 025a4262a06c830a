"""Each invariant finds what breaks it: a superuser does, whom no guard stops, and takes it back."""

from __future__ import annotations

import psycopg
import pytest

from tests.model.client import Client, new_world
from tests.model.invariants import CHECKS, broken
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
    "payments are credited once": f"UPDATE payments SET coins = coins + 1 WHERE {MINE}",
    "nobody had two signup grants": f"UPDATE transactions SET kind = 'signup_grant' WHERE kind = 'purchase' AND {MINE}",
    "coins are neither made nor lost": f"UPDATE entries SET amount = 1 WHERE account = 'promotions' AND {MINE}",
}
"""By the invariant's name."""


@pytest.fixture(scope="module")
async def people(banter: Running) -> list[str]:
    """Those to whom everything has happened that an invariant is about."""
    client = Client(banter.channel, banter.service_token())
    async with await psycopg.AsyncConnection.connect(banter.owner_url, autocommit=True) as owner:
        _, seen = await new_world(client, owner)
    return seen.people


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
