"""What WalletService refuses about subscriptions."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Final

from banter_grpc.errors import Refusal

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def plan_not_found(plan_id: str) -> Refusal:
    """No plan has this id."""
    return Refusal(
        "PLAN_NOT_FOUND",
        f"there is no plan {plan_id}; take one that Subscribe names",
        field="plan_id",
        plan_id=plan_id,
    )


def plan_inactive(plan_id: str) -> Refusal:
    """The plan is there for those who have it."""
    return Refusal(
        "PLAN_INACTIVE",
        f"plan {plan_id} takes no new subscriptions; take another one",
        field="plan_id",
        plan_id=plan_id,
    )


def subscription_running(end_time: int) -> Refusal:
    """The user has one that runs until `end_time`, in microseconds since 1970, and that this one can't go on from."""
    end = (_EPOCH + datetime.timedelta(microseconds=end_time)).isoformat()
    return Refusal("SUBSCRIPTION_RUNNING", f"you are subscribed until {end}; let that end first", end_time=end)


def subscription_not_found() -> Refusal:
    """The user has none that could be cancelled."""
    return Refusal("SUBSCRIPTION_NOT_FOUND", "you have no subscription that could be cancelled; there is nothing to do")


REMEMBERED: Final[Mapping[str, Callable[..., Refusal]]] = {
    "PLAN_NOT_FOUND": plan_not_found,
    "PLAN_INACTIVE": plan_inactive,
    "SUBSCRIPTION_RUNNING": subscription_running,
}
"""The refusals that are remembered with a request_id."""
