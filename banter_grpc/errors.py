"""The domain's refusals: what the service says no to, in words for the caller.

A refusal names its reason (a value of ``banter.v1.ErrorReason`` without its prefix), and says what happened and what to
do. How it reaches the client is none of its business: ``banter_grpc.rpc.errors`` knows status codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple


class Violation(NamedTuple):
    """A field of the request that is to blame."""

    field: str
    """Path of the field, such as ``user.full_name``; empty for the request as a whole."""
    description: str
    """What is wrong with it, in words that follow its name."""
    rule: str = ""
    """Id of the contract's rule that it breaks; empty for one that only the server can check."""


class Refusal(Exception):
    """The call is refused: `reason` for programs, the text for people.

    `field` names the request field to blame, and is put before the text. `retry_after` is in seconds, where the same
    call may succeed later. `metadata` are the variables that the reason's example in the contract shows.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        field: str | None = None,
        violations: Sequence[Violation] = (),
        retry_after: float | None = None,
        **metadata: str,
    ) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.reason = reason
        self.violations = violations or ((Violation(field, message),) if field else ())
        self.retry_after = retry_after
        self.metadata: Mapping[str, str] = {"field": field, **metadata} if field else metadata


def user_not_found(user_id: str) -> Refusal:
    """No user has this id."""
    return Refusal("USER_NOT_FOUND", f"there is no user {user_id}; check user_id", user_id=user_id)


def phone_number_invalid(field: str) -> Refusal:
    """The text is no telephone number."""
    return Refusal(
        "PHONE_NUMBER_INVALID",
        "is no telephone number; write it like +91 98765 43210, or set country_code",
        field=field,
    )


def timezone_unknown(field: str) -> Refusal:
    """The text is no time zone's name."""
    return Refusal("TIMEZONE_UNKNOWN", "is no IANA time zone; write it like Asia/Kolkata", field=field)


def birth_date_invalid(field: str) -> Refusal:
    """Nobody alive was born on this date."""
    return Refusal(
        "BIRTH_DATE_INVALID",
        "is no date between 1900-01-01 and today; write it like 1998-02-28",
        field=field,
    )


def firebase_uid_taken() -> Refusal:
    """Another user is linked to this firebase_uid."""
    return Refusal(
        "FIREBASE_UID_TAKEN",
        "belongs to another user; look that user up, or sign in with the other phone",
        field="firebase_uid",
    )


def user_linked_otherwise() -> Refusal:
    """The user of the phone number is linked to another firebase_uid."""
    return Refusal(
        "USER_LINKED_OTHERWISE",
        "differs from the one that the user of this phone number is linked to; sign in with that one",
        field="firebase_uid",
    )


def username_taken() -> Refusal:
    """Another user has this username."""
    return Refusal("USERNAME_TAKEN", "is taken; choose another", field="username")


def email_taken() -> Refusal:
    """Another user has this e-mail address."""
    return Refusal("EMAIL_TAKEN", "belongs to another account; use another address", field="email")


def phone_number_taken() -> Refusal:
    """Another user has this phone number."""
    return Refusal("PHONE_NUMBER_TAKEN", "belongs to another user; look that user up", field="phone_number")


DEFECT: Final = None
"""A constraint that only a defect of the service can break: no caller can do anything about it."""

CONSTRAINTS: Final = {
    "users_pkey": DEFECT,
    "users_phone_number_key": phone_number_taken,
    "users_firebase_uid_key": firebase_uid_taken,
    "users_email_key": email_taken,
    "users_username_key": username_taken,
    # The contract's own rules are at least as strict as these checks, and come first.
    "users_phone_number_check": DEFECT,
    "users_country_code_check": DEFECT,
    "users_full_name_check": DEFECT,
    "users_email_check": DEFECT,
    "users_username_check": DEFECT,
    "users_avatar_check": DEFECT,
    "users_bio_check": DEFECT,
    "users_gender_check": DEFECT,
    "users_birth_date_check": DEFECT,
    "users_role_check": DEFECT,
    "users_host_status_check": DEFECT,
    "users_audio_rate_check": DEFECT,
    "users_video_rate_check": DEFECT,
    "users_delete_time_check": DEFECT,
}
"""What each constraint of the schema means to a caller who runs into it."""
