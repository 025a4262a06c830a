"""What WalletService refuses about bonuses."""

from __future__ import annotations

from banter_grpc.errors import Refusal


def bonus_period_invalid() -> Refusal:
    """There is no such day, month or week."""
    return Refusal(
        "BONUS_PERIOD_INVALID", "is no period; write it like 2026-11-23, 2026-11 or 2026-W47", field="period"
    )


def bonus_awarded_otherwise() -> Refusal:
    """The host had another number of coins for the same."""
    return Refusal(
        "BONUS_AWARDED_OTHERWISE",
        "differs from what the host was given for this rule and period; list the bonuses to see it",
        field="coins",
    )
