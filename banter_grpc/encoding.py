"""Messages of the contract from rows, where several handlers show the same thing."""

from __future__ import annotations

from typing import Final, Protocol

from banter.v1 import user_pb2, wallet_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from banter_grpc import values
from banter_grpc.rpc.caller import Caller

GENDER: Final = values.TextEnum(user_pb2.Gender)
ROLE: Final = values.TextEnum(user_pb2.UserRole)
HOST_STATUS: Final = values.TextEnum(user_pb2.HostStatus)
STATE: Final = values.TextEnum(user_pb2.UserState)
TRANSACTION_KIND: Final = values.TextEnum(wallet_pb2.TransactionKind)
WALLET_KIND: Final = values.TextEnum(wallet_pb2.WalletKind)
_FIELDS: Final = tuple(user_pb2.User.DESCRIPTOR.fields_by_name)


class Profile(Protocol):
    """The columns of the view `profiles`, in a row that may have more of them."""

    @property
    def user_id(self) -> str: ...

    @property
    def phone_number(self) -> str | None: ...

    @property
    def country_code(self) -> str | None: ...

    @property
    def full_name(self) -> str: ...

    @property
    def email(self) -> str | None: ...

    @property
    def username(self) -> str | None: ...

    @property
    def avatar(self) -> str | None: ...

    @property
    def bio(self) -> str | None: ...

    @property
    def gender(self) -> str | None: ...

    @property
    def birth_date(self) -> str | None: ...

    @property
    def age(self) -> int | None: ...

    @property
    def role(self) -> str: ...

    @property
    def firebase_uid(self) -> str | None: ...

    @property
    def timezone(self) -> str | None: ...

    @property
    def is_verified(self) -> bool: ...

    @property
    def is_active(self) -> bool: ...

    @property
    def host_status(self) -> str: ...

    @property
    def audio_rate(self) -> int: ...

    @property
    def video_rate(self) -> int: ...

    @property
    def create_time(self) -> int: ...

    @property
    def update_time(self) -> int: ...

    @property
    def delete_time(self) -> int | None: ...

    @property
    def is_online(self) -> bool: ...

    @property
    def last_seen_time(self) -> int | None: ...

    @property
    def rating_count(self) -> int: ...

    @property
    def rating(self) -> float: ...


def masked(user: user_pb2.User, mask: FieldMask) -> user_pb2.User:
    """Only the fields that the mask names; all of them if it names none."""
    if mask.paths:
        for name in set(_FIELDS).difference(mask.paths):
            user.ClearField(name)  # pyright: ignore[reportArgumentType] - a field's name
    return user


def encode_user(row: Profile, caller: Caller) -> user_pb2.User:
    """The row as the caller may see it. Field by field, and only what is there: a page has a thousand of them."""
    user = user_pb2.User(
        user_id=row.user_id,
        full_name=row.full_name,
        role=ROLE.number(row.role),
        is_verified=row.is_verified,
        is_active=row.is_active,
        host_status=HOST_STATUS.number(row.host_status),
    )
    values.set_timestamp(user.create_time, row.create_time)
    values.set_timestamp(user.update_time, row.update_time)
    if row.delete_time is not None:
        values.set_timestamp(user.delete_time, row.delete_time)
    if row.audio_rate or row.video_rate:
        user.audio_rate, user.video_rate = row.audio_rate, row.video_rate
    if row.country_code is not None:
        user.country_code = row.country_code
    if row.username is not None:
        user.username = row.username
    if row.avatar is not None:
        user.avatar = row.avatar
    if row.bio is not None:
        user.bio = row.bio
    if row.gender is not None:
        user.gender = GENDER.number(row.gender)
    if row.age is not None:
        user.age = row.age
    if row.timezone is not None:
        user.timezone = row.timezone
    if row.last_seen_time is not None or row.rating_count:
        _encode_beside(user, row)
    if caller.user_id == row.user_id or caller.is_staff or caller.is_service:
        _encode_personal(user, row)
    return user


def _encode_beside(user: user_pb2.User, row: Profile) -> None:
    """What stands beside a user in tables of its own, and many don't have."""
    if row.last_seen_time is not None:
        user.is_online = row.is_online
        values.set_timestamp(user.last_seen_time, row.last_seen_time)
    user.rating_count, user.rating = row.rating_count, row.rating


def _encode_personal(user: user_pb2.User, row: Profile) -> None:
    if row.phone_number is not None:
        user.phone_number = row.phone_number
    if row.email is not None:
        user.email = row.email
    if row.birth_date is not None:
        user.birth_date = row.birth_date
    if row.firebase_uid is not None:
        user.firebase_uid = row.firebase_uid


def encode_transaction(
    *,
    transaction_id: str,
    user_id: str,
    wallet: str,
    kind: str,
    amount: int,
    balance_after: int,
    create_time: int,
    subject_id: str = "",
    note: str = "",
) -> wallet_pb2.Transaction:
    """A movement of one wallet, by the texts and numbers of its columns; `create_time` in microseconds since 1970."""
    transaction = wallet_pb2.Transaction(
        transaction_id=transaction_id,
        user_id=user_id,
        wallet=WALLET_KIND.number(wallet),
        kind=TRANSACTION_KIND.number(kind),
        amount=amount,
        balance_after=balance_after,
        subject_id=subject_id,
        note=note,
    )
    values.set_timestamp(transaction.create_time, create_time)
    return transaction
