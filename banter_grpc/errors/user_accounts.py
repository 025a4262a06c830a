"""What UserService refuses where accounts are looked up, taken out of use and brought back."""

from __future__ import annotations

from banter_grpc.errors import Refusal


def lookup_not_admitted(field: str) -> Refusal:
    """The caller may not know who has this."""
    return Refusal(
        "LOOKUP_NOT_ADMITTED",
        "only staff and services look users up by it; look for the username",
        field=field,
    )


def lookup_found_nobody(field: str) -> Refusal:
    """No user has this; what it was is not repeated."""
    return Refusal("LOOKUP_FOUND_NOBODY", "nobody has it; check its spelling", field=field)


def rank_too_low(user_id: str) -> Refusal:
    """The user is no lower in rank than the caller."""
    return Refusal("RANK_TOO_LOW", f"user {user_id} is of your rank or above; ask an admin", user_id=user_id)
