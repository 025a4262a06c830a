"""What WalletService refuses to staff about others' coins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from banter_grpc.errors import Refusal
from banter_grpc.errors.user import user_not_found


def transaction_not_found(transaction_id: str) -> Refusal:
    """The user has no transaction of this id."""
    return Refusal(
        "TRANSACTION_NOT_FOUND",
        f"the user has no transaction {transaction_id}; list his transactions for their ids",
        transaction_id=transaction_id,
    )


def transaction_not_refundable(kind: str) -> Refusal:
    """What is of this kind stays."""
    return Refusal(
        "TRANSACTION_NOT_REFUNDABLE",
        f"is of a {kind.replace('_', ' ')}, which can't be refunded; refund a purchase, call, gift or subscription, "
        "or adjust the balance",
        field="transaction_id",
        kind=kind,
    )


def transaction_refunded() -> Refusal:
    """Nothing of it is left."""
    return Refusal(
        "TRANSACTION_REFUNDED", "was refunded before, whole; there is nothing left to do", field="transaction_id"
    )


def refund_too_large(left: int) -> Refusal:
    """More coins than are left of the transaction."""
    return Refusal(
        "REFUND_TOO_LARGE",
        f"is more than what is left to refund of the transaction; refund at most {left}, with a new request_id",
        field="coins",
        left=str(left),
    )


def purchase_spent(available: int) -> Refusal:
    """The purchase's coins are not there any more."""
    return Refusal(
        "PURCHASE_SPENT",
        f"is more than the user has available; refund at most {available}, with a new request_id",
        field="coins",
        available=str(available),
    )


def balance_insufficient(available: int) -> Refusal:
    """Fewer coins are available than are to be taken."""
    return Refusal(
        "BALANCE_INSUFFICIENT",
        f"is more than the user has available; take at most {available}, with a new request_id",
        field="amount",
        available=str(available),
    )


def wallet_own() -> Refusal:
    """Staff leave their own coins to others."""
    return Refusal("WALLET_OWN", "is your own id; another admin has to do this for you", field="user_id")


REMEMBERED: Final[Mapping[str, Callable[..., Refusal]]] = {
    "USER_NOT_FOUND": user_not_found,
    "TRANSACTION_NOT_FOUND": transaction_not_found,
    "TRANSACTION_NOT_REFUNDABLE": transaction_not_refundable,
    "TRANSACTION_REFUNDED": transaction_refunded,
    "REFUND_TOO_LARGE": refund_too_large,
    "PURCHASE_SPENT": purchase_spent,
    "BALANCE_INSUFFICIENT": balance_insufficient,
}
"""The refusals that are remembered with a request_id."""
