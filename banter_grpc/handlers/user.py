"""UserService: accounts and profiles."""

from __future__ import annotations

import hmac
from typing import NamedTuple

from banter.v1 import user_pb2

from banter_grpc import ids, money, values
from banter_grpc.database.database import Database
from banter_grpc.database.queries import user as queries
from banter_grpc.database.queries import wallet as wallet_queries
from banter_grpc.encoding import GENDER, encode_user, masked
from banter_grpc.errors import user as errors
from banter_grpc.rpc.caller import Caller

_DEFAULT_TIMEZONE = "Asia/Kolkata"
_UPDATABLE = ("full_name", "email", "username", "avatar", "bio", "gender", "birth_date", "timezone")


class SignupGrant(NamedTuple):
    """Coins for a new user, once per phone number ever: `key` is what numbers are remembered under, as hashes."""

    coins: int
    key: bytes

    def phone_hash(self, number: str) -> str:
        """The number's keyed hash (HMAC-SHA256), in hex."""
        return hmac.new(self.key, number.encode(), "sha256").hexdigest()


class UserHandler:
    """Answers the calls of UserService."""

    def __init__(self, database: Database, grant: SignupGrant) -> None:
        self._database = database
        self._grant = grant

    async def FindOrCreateUser(  # noqa: N802
        self, request: user_pb2.FindOrCreateUserRequest, caller: Caller
    ) -> user_pb2.FindOrCreateUserResponse:
        """One user for one number: who comes first inserts and gets the grant, and everybody reads what is there."""
        country_code = request.country_code or values.DEFAULT_COUNTRY_CODE
        phone = values.parse_phone_number(request.phone_number, country_code, field="phone_number")
        timezone = values.check_timezone(request.timezone or _DEFAULT_TIMEZONE, field="timezone")
        firebase_uid = request.firebase_uid or None
        user_id = ids.new_id()
        steps = (
            queries.insert_user(
                user_id=user_id,
                phone_number=phone.e164,
                country_code=phone.country_code,
                full_name=request.full_name or f"User {phone.e164[-4:]}",
                firebase_uid=firebase_uid,
                timezone=timezone,
            ),
            queries.link_firebase_uid(phone_number=phone.e164, firebase_uid=firebase_uid),
            wallet_queries.grant_signup(
                user_id=user_id,
                phone_hash=self._grant.phone_hash(phone.e164),
                coins=self._grant.coins,
                transaction_id=money.transaction_id("signup", user_id),
                actor_id=caller.actor_id or user_id,
            ),
            queries.get_user_by_phone_number(phone_number=phone.e164),
        )
        *_, user = await self._database.run(*steps, key=phone.e164)
        if user is None:  # whom the insert met by the number was erased before he was read, or it met the firebase_uid
            *_, user = await self._database.run(*steps, key=phone.e164)
        if user is None:
            raise errors.firebase_uid_taken()
        if firebase_uid is not None and user.firebase_uid != firebase_uid:
            raise errors.user_linked_otherwise()
        return user_pb2.FindOrCreateUserResponse(user=encode_user(user, caller), created=user.user_id == user_id)

    async def GetUser(  # noqa: N802
        self, request: user_pb2.GetUserRequest, caller: Caller
    ) -> user_pb2.GetUserResponse:
        """One row, and of it what the caller may see and wants to."""
        user = await self._database.run(queries.get_user(user_id=request.user_id))
        if user is None:
            raise errors.user_not_found(request.user_id)
        return user_pb2.GetUserResponse(user=masked(encode_user(user, caller), request.read_mask))

    async def BatchGetUsers(  # noqa: N802
        self, request: user_pb2.BatchGetUsersRequest, caller: Caller
    ) -> user_pb2.BatchGetUsersResponse:
        """One row for each id, in one statement; a missing one fails all (AIP-231)."""
        users = await self._database.run(queries.batch_get_users(user_ids=request.user_ids))
        if len(users) < len(request.user_ids):
            found = {user.user_id for user in users}
            raise errors.user_not_found(next(id_ for id_ in request.user_ids if id_.lower() not in found))
        return user_pb2.BatchGetUsersResponse(
            users=[masked(encode_user(user, caller), request.read_mask) for user in users]
        )

    async def UpdateUser(  # noqa: N802
        self, request: user_pb2.UpdateUserRequest, caller: Caller
    ) -> user_pb2.UpdateUserResponse:
        """The named columns change in one statement; the next one reads the user as he now is."""
        new = request.user
        mask = list(request.update_mask.paths) or [
            name
            for name in _UPDATABLE
            if new.HasField(name)  # pyright: ignore[reportArgumentType] - a field's name
        ]
        if "timezone" in mask:
            values.check_timezone(new.timezone, field="user.timezone")
        if "birth_date" in mask and new.HasField("birth_date"):
            values.check_birth_date(new.birth_date, field="user.birth_date")
        _, user = await self._database.run(
            queries.update_user(
                user_id=new.user_id,
                mask=mask,
                full_name=new.full_name or None,
                email=new.email or None,
                username=new.username or None,
                avatar=new.avatar or None,
                bio=new.bio or None,
                gender=GENDER.text(new.gender),
                birth_date=new.birth_date or None,
                timezone=new.timezone or None,
            ),
            queries.get_user(user_id=new.user_id),
            key=new.user_id,
        )
        if user is None or user.delete_time is not None:
            raise errors.user_not_found(new.user_id)
        return user_pb2.UpdateUserResponse(user=encode_user(user, caller))
