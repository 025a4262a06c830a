"""Refunds and corrections in tests, and what they are of: gifts, calls, subscriptions, written by the ledger."""

from __future__ import annotations

import uuid

import psycopg
from banter.v1 import wallet_pb2

from tests.support.harness import Running

_LOCK = """
SELECT FROM wallets WHERE user_id = ANY(%s::uuid[]) ORDER BY user_id, kind FOR NO KEY UPDATE
"""
_POST = """
SELECT post(
    %(id)s, %(kind)s, %(payer)s, NULL, %(payer)s,
    ARRAY[
        (%(payer)s, 'coins', -%(coins)s::bigint, 0)::leg,
        (%(host)s, 'earnings', %(part)s::bigint, 0)::leg,
        (%(payer)s, 'platform_revenue', %(coins)s::bigint - %(part)s::bigint, 0)::leg
    ]
)
"""


def refund(
    banter: Running,
    admin_id: str,
    user_id: str,
    transaction_id: str,
    coins: int | None = None,
    request_id: str | None = None,
):
    """An admin refunds so many coins of a user's transaction, or all that are left."""
    request = wallet_pb2.RefundTransactionRequest(
        request_id=request_id or str(uuid.uuid4()),
        user_id=user_id,
        transaction_id=transaction_id,
        coins=coins,
        reason="not what was meant",
    )
    return banter.wallets.RefundTransaction(request, metadata=banter.as_user(admin_id))


def adjust(
    banter: Running,
    admin_id: str,
    user_id: str,
    amount: int,
    wallet: wallet_pb2.WalletKind.ValueType = wallet_pb2.WALLET_KIND_COINS,
    request_id: str | None = None,
):
    """An admin gives a user so many coins, or takes them."""
    request = wallet_pb2.AdjustBalanceRequest(
        request_id=request_id or str(uuid.uuid4()), user_id=user_id, wallet=wallet, amount=amount, reason="a prize"
    )
    return banter.wallets.AdjustBalance(request, metadata=banter.as_user(admin_id))


async def pay(
    service_url: str, payer_id: str, coins: int, host_id: str | None = None, part: int = 0, kind: str = "gift"
) -> str:
    """The id of a new transaction by which a user pays so many coins, a host's part of them to the host."""
    made = {"id": uuid.uuid4(), "kind": kind, "payer": payer_id, "host": host_id, "coins": coins, "part": part}
    async with await psycopg.AsyncConnection.connect(service_url) as connection:
        await connection.execute(_LOCK, [[payer_id, *([host_id] if host_id else [])]])
        await connection.execute(_POST, made)
    return str(made["id"])


async def legs(service_url: str, transaction_id: str) -> dict[tuple[str, str], int]:
    """What a transaction moved: by user and account."""
    async with await psycopg.AsyncConnection.connect(service_url) as connection:
        cursor = await connection.execute(
            "SELECT user_id::text, account, amount FROM entries WHERE transaction_id = %s", [transaction_id]
        )
        return {(user_id, account): amount for user_id, account, amount in await cursor.fetchall()}


async def deadlocks(service_url: str) -> int:
    """How many there were in the database."""
    async with await psycopg.AsyncConnection.connect(service_url) as connection:
        cursor = await connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        row = await cursor.fetchone()
    assert row is not None
    return row[0]
