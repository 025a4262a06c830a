"""What UserService refuses of activities and their statistics."""

from __future__ import annotations

from banter_grpc.errors import Refusal


def occur_time_invalid(field: str) -> Refusal:
    """It is too long ago, or it has not come yet."""
    return Refusal(
        "OCCUR_TIME_INVALID",
        "is more than 30 days ago, or more than 5 minutes ahead; send activities while they are fresh",
        field=field,
    )


def date_range_invalid(field: str) -> Refusal:
    """No such day, or too many of them."""
    return Refusal(
        "DATE_RANGE_INVALID",
        "is no day, or not 0 to 399 days after start_date; ask for at most 400 days",
        field=field,
    )
