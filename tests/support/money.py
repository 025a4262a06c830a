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


def award(banter: Running, user_id: str, coins: int, *, rule: str = "tests", period: str = "2026-W47"):
    """A bonus of so many coins."""
    request = wallet_pb2.AwardBonusRequest(user_id=user_id, rule=rule, period=period, coins=coins)
    return banter.wallets.AwardBonus(request, metadata=banter.as_service)


async def new_host(banter: Running, earnings: int = 0) -> str:
    """The id of a new host who has so many coins in his earnings."""
    user_id = (await banter.new_user(host_status="approved")).user_id
    if earnings:
        await award(banter, user_id, earnings)
    return user_id


UPI = wallet_pb2.PayoutDetails(upi_id="asha@okbank")


def request_withdrawal(
    banter: Running,
    user_id: str,
    amount: int,
    request_id: str | None = None,
    payout_details: wallet_pb2.PayoutDetails = UPI,
):
    """A user asks for so many coins to be paid out."""
    request = wallet_pb2.RequestWithdrawalRequest(
        request_id=request_id or str(uuid.uuid4()), amount=amount, payout_details=payout_details
    )
    return banter.wallets.RequestWithdrawal(request, metadata=banter.as_user(user_id))


async def new_withdrawal(banter: Running, user_id: str, amount: int = 1000) -> str:
    """The id of a new withdrawal of a user, pending."""
    return (await request_withdrawal(banter, user_id, amount)).withdrawal.withdrawal_id


def cancel_withdrawal(banter: Running, user_id: str, withdrawal_id: str):
    """A user takes a withdrawal back."""
    request = wallet_pb2.CancelWithdrawalRequest(withdrawal_id=withdrawal_id)
    return banter.wallets.CancelWithdrawal(request, metadata=banter.as_user(user_id))


def review_withdrawal(
    banter: Running, admin_id: str, user_id: str, withdrawal_id: str, status: str = "APPROVED", note: str = ""
):
    """An admin decides on a user's withdrawal."""
    request = wallet_pb2.ReviewWithdrawalRequest(
        user_id=user_id, withdrawal_id=withdrawal_id, status=f"WITHDRAWAL_STATUS_{status}", note=note
    )
    return banter.wallets.ReviewWithdrawal(request, metadata=banter.as_user(admin_id))


def complete_withdrawal(
    banter: Running, user_id: str, withdrawal_id: str, status: str = "PAID", payout_reference: str = "UTR1"
):
    """A service says what came of paying a user's withdrawal."""
    request = wallet_pb2.CompleteWithdrawalRequest(
        user_id=user_id,
        withdrawal_id=withdrawal_id,
        status=f"WITHDRAWAL_STATUS_{status}",
        payout_reference=payout_reference,
    )
    return banter.wallets.CompleteWithdrawal(request, metadata=banter.as_service)


async def earnings_of(banter: Running, user_id: str) -> tuple[int, int]:
    """What of a host's earnings is available and held, once it is checked against his entries and withdrawals."""
    async with await psycopg.AsyncConnection.connect(banter.owner_url) as connection:
        cursor = await connection.execute(
            """
            SELECT
                available,
                held,
                (SELECT coalesce(sum(amount), 0) FROM entries WHERE user_id = %(id)s AND account = 'earnings'),
                (
                    SELECT coalesce(sum(amount), 0) FROM withdrawals
                    WHERE user_id = %(id)s AND status IN ('pending', 'approved')
                )
            FROM wallets WHERE user_id = %(id)s AND kind = 'earnings'
            """,
            {"id": user_id},
        )
        row = await cursor.fetchone()
    assert row is not None
    available, held, entries, open_ = row
    assert (available + held, held) == (entries, open_), "balance = entries, held = open withdrawals"
    return available, held
