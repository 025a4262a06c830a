"""What WalletService refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from banter_grpc.errors import Refusal, wallet_refunds, wallet_subscriptions, wallet_withdrawals


def payment_credited_otherwise() -> Refusal:
    """The payment was credited to another user, or as another number of coins."""
    return Refusal(
        "PAYMENT_CREDITED_OTHERWISE",
        "was credited to another user, or for another number of coins; check what the provider says of it",
        field="payment_id",
    )


def request_id_reused() -> Refusal:
    """The request_id belongs to another request of this caller."""
    return Refusal(
        "REQUEST_ID_REUSED",
        "was used by another request of yours; send that one again unchanged, or take a new id",
        field="request_id",
    )


def coins_insufficient(available: int, needed: int) -> Refusal:
    """The user has fewer coins than something costs."""
    return Refusal(
        "COINS_INSUFFICIENT",
        f"this costs {needed} coins, and {available} are available; buy some first",
        available=str(available),
        needed=str(needed),
    )


REMEMBERED: Final[Mapping[str, Callable[..., Refusal]]] = {
    "COINS_INSUFFICIENT": coins_insufficient,
    **wallet_withdrawals.REMEMBERED,
    **wallet_subscriptions.REMEMBERED,
    **wallet_refunds.REMEMBERED,
}
"""The refusals that are remembered with a request_id: by their reason, what makes one of its stored variables."""
