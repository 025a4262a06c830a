"""Renewal of subscriptions: the next period is charged in the 24 hours before the last one ends."""

from __future__ import annotations

import asyncio
from typing import Final

from banter_grpc import money
from banter_grpc.database.database import Database
from banter_grpc.database.queries import wallet as wallet_queries
from banter_grpc.database.queries import wallet_subscriptions as queries

ACTOR: Final = "6f1c7d3e-90c5-5d0b-8a3f-2d1f6b1f4a77"
"""The actor of a renewal's transaction: this job. Never to change: what it did before is found by its id."""
BATCH: Final = 1000
_AT_ONCE: Final = 16


async def renew(database: Database) -> int:
    """Deal with up to `BATCH` subscriptions that are due: charge the next period, or note why none comes.

    Returns with how many it dealt. Each is a unit of its own, whole or not at all; one that fails fails alone, and is
    raised with its like in an `ExceptionGroup` when all others are done. Two runs at once charge nothing twice.
    """
    due = await database.run(queries.list_due_subscriptions(most=BATCH))
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(row: queries.ListDueSubscriptionsRow) -> None:
        async with room:
            await _renew(database, row)

    outcomes = await asyncio.gather(*(one(row) for row in due), return_exceptions=True)
    failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {len(due)} subscriptions could not be dealt with", failures)
    return len(due)


async def _renew(database: Database, row: queries.ListDueSubscriptionsRow) -> None:
    """The period's place in the chain of its user's periods is its key: whoever comes second finds it taken."""
    await database.run(
        wallet_queries.lock_wallet(user_id=row.user_id, kind="coins"),
        queries.renew_subscription(
            user_id=row.user_id,
            subscription_id=row.subscription_id,
            place=row.place,
            transaction_id=money.transaction_id("subscription", row.user_id, str(row.place + 1)),
            actor_id=ACTOR,
        ),
        key=row.user_id,
    )
