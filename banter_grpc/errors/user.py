"""What UserService refuses."""

from __future__ import annotations

from banter_grpc.errors import Refusal


def user_not_found(user_id: str) -> Refusal:
    """No user has this id."""
    return Refusal("USER_NOT_FOUND", f"there is no user {user_id}; check user_id", user_id=user_id)


def caller_unknown() -> Refusal:
    """The calling account is not there, or no more."""
    return Refusal("CALLER_UNKNOWN", "the account of this token does not exist; sign in again")


def caller_inactive() -> Refusal:
    """The calling account is deactivated, perhaps since the call was let in."""
    return Refusal("CALLER_INACTIVE", "this account is deactivated; only support can reactivate it")


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


def call_live() -> Refusal:
    """The user is in a call that holds his coins."""
    return Refusal("CALL_LIVE", "the user is in a paid call; end it first")


def withdrawal_open() -> Refusal:
    """A withdrawal of the user has not come to its end."""
    return Refusal("WITHDRAWAL_OPEN", "a withdrawal of the user is open; cancel it, or wait until it is paid")


def earnings_left(coins: int) -> Refusal:
    """The user has earnings, and did not agree to lose them."""
    return Refusal(
        "EARNINGS_LEFT",
        f"the user has {coins} coins of earnings left; withdraw them, or set forfeit_balance to give them up",
        field="forfeit_balance",
        coins=str(coins),
    )
