"""Money in tests: how it comes in, and what is there."""

from __future__ import annotations

import uuid

import psycopg
from banter.v1 import wallet_pb2

from tests.support.harness import Running


def credit(banter: Running, user_id: str, coins: int, payment_id: str | None = None):
    """A payment of so many coins."""
    request = wallet_pb2.PurchaseCoinsRequest(
        user_id=user_id, provider="tests", payment_id=payment_id or uuid.uuid4().hex, coins=coins
    )
    return banter.wallets.PurchaseCoins(request, metadata=banter.as_service)


async def wallet_of(banter: Running, user_id: str) -> wallet_pb2.Wallet:
    """What the user has."""
    request = wallet_pb2.GetWalletRequest(user_id=user_id)
    return (await banter.wallets.GetWallet(request, metadata=banter.as_service)).wallet


def earn(banter: Running, user_id: str, coins: int) -> None:
    """Earnings from nowhere but promotions."""
    with psycopg.connect(banter.owner_url, autocommit=True) as connection:
        connection.execute(
            "SELECT post(gen_random_uuid(), 'bonus', %(user)s, NULL, %(user)s, ARRAY["
            "(%(user)s::uuid, 'earnings', %(coins)s, 0)::leg, (%(user)s::uuid, 'promotions', -%(coins)s, 0)::leg])",
            {"user": user_id, "coins": coins},
        )


def hold(banter: Running, user_id: str, kind: str, coins: int) -> None:
    """Hold so many of the coins that are available; a negative number gives them back."""
    with psycopg.connect(banter.owner_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE wallets SET available = available - %(coins)s, held = held + %(coins)s"
            " WHERE user_id = %(user)s AND kind = %(kind)s",
            {"user": user_id, "kind": kind, "coins": coins},
        )
