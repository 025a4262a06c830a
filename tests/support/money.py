"""Money in tests: how it comes in, and what is there."""

from __future__ import annotations

import uuid

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
