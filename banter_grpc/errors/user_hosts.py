"""What is refused to hosts, to those who want to be, and to those who decide."""

from __future__ import annotations

from banter_grpc.errors import Refusal


def host_already_approved() -> Refusal:
    """The caller is a host, and needs no verification any more."""
    return Refusal("HOST_ALREADY_APPROVED", "you are a host already; there is nothing more to ask for")


def host_verification_own() -> Refusal:
    """The reviewer reviews his own verification."""
    return Refusal("HOST_VERIFICATION_OWN", "nobody reviews his own host verification; ask another moderator")


def host_verification_not_pending(user_id: str) -> Refusal:
    """There is nothing to decide, or it was decided otherwise."""
    return Refusal(
        "HOST_VERIFICATION_NOT_PENDING",
        f"user {user_id} has no host verification that waits for this decision; look at his host_status",
        user_id=user_id,
    )


def host_not_approved(user_id: str) -> Refusal:
    """Only hosts have rates."""
    return Refusal(
        "HOST_NOT_APPROVED",
        f"user {user_id} is no host; have his host verification approved first",
        user_id=user_id,
    )


def host_rate_out_of_range(field: str, minimum: int, maximum: int) -> Refusal:
    """The rate is neither 0 nor within the bounds of the settings."""
    return Refusal(
        "HOST_RATE_OUT_OF_RANGE",
        f"must be 0, for calls that are free, or {minimum} to {maximum} coins a minute",
        field=field,
        minimum=str(minimum),
        maximum=str(maximum),
    )
