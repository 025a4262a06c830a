"""What WalletService refuses about withdrawals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from banter_grpc.errors import Refusal


def withdrawal_too_small(minimum: int) -> Refusal:
    """Fewer coins than are paid out at once."""
    return Refusal(
        "WITHDRAWAL_TOO_SMALL",
        f"is less than is paid out at once; withdraw at least {minimum} coins",
        field="amount",
        minimum=str(minimum),
    )


def earnings_insufficient() -> Refusal:
    """More coins than are available."""
    return Refusal(
        "EARNINGS_INSUFFICIENT",
        "is more than can be withdrawn now; see earnings in GetWallet, and ask with a new request_id",
        field="amount",
    )


def withdrawal_not_found(withdrawal_id: str) -> Refusal:
    """The user has no withdrawal of this id."""
    return Refusal(
        "WITHDRAWAL_NOT_FOUND",
        f"there is no withdrawal {withdrawal_id} here; list the withdrawals for their ids",
        withdrawal_id=withdrawal_id,
    )


def withdrawal_not_pending(status: str) -> Refusal:
    """It can be neither cancelled nor reviewed any more."""
    return Refusal(
        "WITHDRAWAL_NOT_PENDING",
        f"the withdrawal is {status}, no longer pending; nothing was changed, list the withdrawals to see it",
        status=status,
    )


def withdrawal_own() -> Refusal:
    """Nobody decides on his own."""
    return Refusal("WITHDRAWAL_OWN", "is your own id; another admin has to decide on your withdrawals", field="user_id")


def withdrawal_not_approved(status: str) -> Refusal:
    """Nothing can come of it, as it is not approved."""
    advice = "review it first" if status == "pending" else "have its user ask for a new one"
    return Refusal(
        "WITHDRAWAL_NOT_APPROVED",
        f"the withdrawal is {status}, not approved; nothing was changed, {advice}",
        status=status,
    )


def withdrawal_completed_otherwise(status: str) -> Refusal:
    """It was completed with another status or reference."""
    return Refusal(
        "WITHDRAWAL_COMPLETED_OTHERWISE",
        "was completed with another status or reference; check what the bank says of it",
        field="withdrawal_id",
        status=status,
    )


REMEMBERED: Final[Mapping[str, Callable[..., Refusal]]] = {
    "WITHDRAWAL_TOO_SMALL": withdrawal_too_small,
    "EARNINGS_INSUFFICIENT": earnings_insufficient,
}
"""The refusals that are remembered with a request_id."""
