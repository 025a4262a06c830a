"""UserService: looking accounts up, taking them out of use and bringing them back."""

from __future__ import annotations

import asyncio
import uuid

import grpc
import pytest
from banter.v1 import user_pb2

from tests.support.harness import Failure, Metadata, Running, new_phone_number, refused

TOMBSTONE = {
    "delete_time": "2026-01-01",
    "is_active": False,
    **dict.fromkeys(("phone_number", "country_code", "full_name", "timezone", "username", "firebase_uid")),
}


async def refusal(call: object) -> tuple[grpc.StatusCode, str]:
    failure = await refused(call)
    return failure.code, failure.reason


class TestLookupUser:
    @pytest.fixture
    async def user(self, banter: Running) -> user_pb2.User:
        return await banter.new_user(username=f"Asha.{uuid.uuid4().hex[:12]}", firebase_uid=uuid.uuid4().hex)

    async def lookup(self, banter: Running, by: Metadata, **key: str) -> user_pb2.User:
        return (await banter.users.LookupUser(user_pb2.LookupUserRequest(**key), metadata=by)).user

    async def test_a_service_finds_him_by_each_key(self, banter: Running, user: user_pb2.User) -> None:
        digits = user.phone_number[3:]
        for key in (
            {"phone_number": user.phone_number},
            {"phone_number": f"0{digits[:5]} {digits[5:]}"},
            {"phone_number": digits, "country_code": "+91"},
            {"username": user.username},
            {"username": user.username.upper()},
            {"firebase_uid": user.firebase_uid},
        ):
            assert await self.lookup(banter, banter.as_service, **key) == user, key

    async def test_a_country_code_reads_a_national_number(self, banter: Running) -> None:
        national = f"0176 {new_phone_number()[-8:]}"
        made = await banter.users.FindOrCreateUser(
            user_pb2.FindOrCreateUserRequest(phone_number=national, country_code="+49"), metadata=banter.as_service
        )
        found = await self.lookup(banter, banter.as_service, phone_number=national, country_code="+49")
        assert found == made.user

    async def test_staff_find_him_too(self, banter: Running, user: user_pb2.User) -> None:
        for role in ("moderator", "admin"):
            staff = banter.as_user((await banter.new_user(role=role)).user_id)
            assert await self.lookup(banter, staff, phone_number=user.phone_number) == user

    async def test_a_user_finds_a_username_and_nothing_personal(self, banter: Running, user: user_pb2.User) -> None:
        stranger = banter.as_user((await banter.new_user()).user_id)
        seen = await self.lookup(banter, stranger, username=user.username.lower())
        assert (seen.user_id, seen.username) == (user.user_id, user.username)
        assert (seen.phone_number, seen.firebase_uid) == ("", "")

    async def test_nobody_learns_who_is_registered(self, banter: Running, user: user_pb2.User) -> None:
        """A user gets the same answer for a number that somebody has, for one that nobody has, and for nonsense."""
        stranger = await banter.new_user()
        acting = [*banter.as_service, ("banter-on-behalf-of", stranger.user_id)]
        for by in (banter.as_user(stranger.user_id), acting):
            seen: list[tuple[grpc.StatusCode, str, str]] = []
            for number in (user.phone_number, stranger.phone_number, new_phone_number(), "nonsense"):
                failure = await refused(self.lookup(banter, by, phone_number=number))
                seen.append((failure.code, failure.reason, failure.message))
            assert len(set(seen)) == 1
            assert seen[0][:2] == (grpc.StatusCode.PERMISSION_DENIED, "LOOKUP_NOT_ADMITTED")
            for uid in (user.firebase_uid, uuid.uuid4().hex):
                failure = await refused(self.lookup(banter, by, firebase_uid=uid))
                assert failure.reason == "LOOKUP_NOT_ADMITTED"

    async def test_what_nobody_has_is_not_found_and_not_repeated(self, banter: Running) -> None:
        for field, value in (
            ("phone_number", new_phone_number()),
            ("username", uuid.uuid4().hex[:20]),
            ("firebase_uid", uuid.uuid4().hex),
        ):
            failure = await refused(self.lookup(banter, banter.as_service, **{field: value}))
            assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "LOOKUP_FOUND_NOBODY")
            assert failure.metadata == {"field": field}
            assert value not in failure.message

    async def test_a_deleted_user_is_not_found(self, banter: Running, user: user_pb2.User) -> None:
        await banter.set_columns(user.user_id, **TOMBSTONE)
        for key in (
            {"phone_number": user.phone_number},
            {"username": user.username},
            {"firebase_uid": user.firebase_uid},
        ):
            assert (await refusal(self.lookup(banter, banter.as_service, **key)))[1] == "LOOKUP_FOUND_NOBODY"

    async def test_a_bad_key_is_refused_by_its_field(self, banter: Running) -> None:
        for key, field, reason in (
            ({"phone_number": "12"}, "phone_number", "PHONE_NUMBER_INVALID"),
            ({"username": "a b"}, "username", "REQUEST_INVALID"),
            ({"firebase_uid": ""}, "firebase_uid", "REQUEST_INVALID"),
            ({}, "key", "REQUEST_INVALID"),
        ):
            failure: Failure = await refused(self.lookup(banter, banter.as_service, **key))
            assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
            assert [name for name, _ in failure.violations] == [field]


class Accounts:
    """Calls that take accounts out of use and bring them back."""

    def __init__(self, banter: Running) -> None:
        self._banter = banter

    async def deactivate(self, user_id: str, by: Metadata) -> user_pb2.User:
        request = user_pb2.DeactivateUserRequest(user_id=user_id)
        return (await self._banter.users.DeactivateUser(request, metadata=by)).user

    async def reactivate(self, user_id: str, by: Metadata) -> user_pb2.User:
        request = user_pb2.ReactivateUserRequest(user_id=user_id)
        return (await self._banter.users.ReactivateUser(request, metadata=by)).user


@pytest.fixture
def accounts(banter: Running) -> Accounts:
    return Accounts(banter)


RANKS = [
    ("moderator", "user", True),
    ("moderator", "moderator", False),
    ("moderator", "admin", False),
    ("admin", "moderator", True),
    ("admin", "admin", True),
]


class TestDeactivateUser:
    async def test_who_deactivates_himself_can_call_no_more(self, banter: Running, accounts: Accounts) -> None:
        user = await banter.new_user()
        own = banter.as_user(user.user_id)
        await banter.users.GetUser(user_pb2.GetUserRequest(user_id=user.user_id), metadata=own)  # he is remembered
        left = await accounts.deactivate(user.user_id, own)
        assert not left.is_active
        assert left.update_time.ToNanoseconds() > user.update_time.ToNanoseconds()
        assert (left.phone_number, left.full_name) == (user.phone_number, user.full_name)
        async with asyncio.timeout(4):  # the hint comes long before the 5 s of the cache end
            while True:
                try:
                    await banter.users.GetUser(user_pb2.GetUserRequest(user_id=user.user_id), metadata=own)
                except grpc.aio.AioRpcError:
                    break
        assert await refusal(accounts.deactivate(user.user_id, own)) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "CALLER_INACTIVE",
        )

    async def test_a_second_time_changes_nothing(self, banter: Running, accounts: Accounts) -> None:
        user = await banter.new_user()
        first = await accounts.deactivate(user.user_id, banter.as_service)
        assert await accounts.deactivate(user.user_id, banter.as_service) == first

    @pytest.mark.parametrize(("actor", "target", "allowed"), RANKS)
    async def test_a_moderator_deactivates_no_staff(
        self, banter: Running, accounts: Accounts, actor: str, target: str, allowed: bool
    ) -> None:
        staff, user = await banter.new_user(role=actor), await banter.new_user(role=target)
        call = accounts.deactivate(user.user_id, banter.as_user(staff.user_id))
        if allowed:
            assert not (await call).is_active
        else:
            assert await refusal(call) == (grpc.StatusCode.PERMISSION_DENIED, "RANK_TOO_LOW")
            seen = await banter.users.GetUser(user_pb2.GetUserRequest(user_id=user.user_id), metadata=banter.as_service)
            assert seen.user == user

    async def test_staff_deactivate_themselves(self, banter: Running, accounts: Accounts) -> None:
        moderator = await banter.new_user(role="moderator")
        assert not (await accounts.deactivate(moderator.user_id, banter.as_user(moderator.user_id))).is_active

    async def test_a_user_deactivates_nobody_else(self, banter: Running, accounts: Accounts) -> None:
        user, other = await banter.new_user(), await banter.new_user()
        failure = await refused(accounts.deactivate(other.user_id, banter.as_user(user.user_id)))
        assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_OWNER")

    async def test_nobody_has_this_id_any_more_or_never_had(self, banter: Running, accounts: Accounts) -> None:
        gone = await banter.new_user()
        await banter.set_columns(gone.user_id, **TOMBSTONE)
        for user_id in (gone.user_id, str(uuid.uuid4())):
            answer = await refusal(accounts.deactivate(user_id, banter.as_service))
            assert answer == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")

    async def test_who_is_promoted_at_that_moment_is_deactivated_before_it_or_not_at_all(
        self, banter: Running, accounts: Accounts
    ) -> None:
        """The rank is decided by the row as it changes: no moderator's deactivation comes after the promotion."""
        moderator = banter.as_user((await banter.new_user(role="moderator")).user_id)
        users = [await banter.new_user() for _ in range(25)]

        async def race(user: user_pb2.User) -> tuple[bool, bool]:
            async def attempt() -> bool:
                try:
                    await accounts.deactivate(user.user_id, moderator)
                except grpc.aio.AioRpcError:
                    return False
                return True

            _, allowed = await asyncio.gather(banter.set_columns(user.user_id, role="admin"), attempt())
            request = user_pb2.GetUserRequest(user_id=user.user_id)
            seen = (await banter.users.GetUser(request, metadata=banter.as_service)).user
            return allowed, seen.is_active

        async with asyncio.timeout(30):
            outcomes = await asyncio.gather(*map(race, users))
        assert all(active is not allowed for allowed, active in outcomes)
        assert [await refusal(accounts.deactivate(user.user_id, moderator)) for user in users] == [
            (grpc.StatusCode.PERMISSION_DENIED, "RANK_TOO_LOW")
        ] * 25


class TestReactivateUser:
    async def test_who_is_reactivated_calls_again(self, banter: Running, accounts: Accounts) -> None:
        user, moderator = await banter.new_user(is_active=False), await banter.new_user(role="moderator")
        back = await accounts.reactivate(user.user_id, banter.as_user(moderator.user_id))
        assert back.is_active
        assert back.update_time.ToNanoseconds() > user.update_time.ToNanoseconds()
        request = user_pb2.GetUserRequest(user_id=user.user_id)
        seen = await banter.users.GetUser(request, metadata=banter.as_user(user.user_id))
        assert seen.user == back

    async def test_an_account_in_use_stays_as_it_is(self, banter: Running, accounts: Accounts) -> None:
        user = await banter.new_user()
        assert await accounts.reactivate(user.user_id, banter.as_service) == user

    @pytest.mark.parametrize(("actor", "target", "allowed"), RANKS)
    async def test_a_moderator_reactivates_no_staff(
        self, banter: Running, accounts: Accounts, actor: str, target: str, allowed: bool
    ) -> None:
        staff, user = await banter.new_user(role=actor), await banter.new_user(role=target, is_active=False)
        call = accounts.reactivate(user.user_id, banter.as_user(staff.user_id))
        if allowed:
            assert (await call).is_active
        else:
            assert await refusal(call) == (grpc.StatusCode.PERMISSION_DENIED, "RANK_TOO_LOW")

    async def test_nobody_reactivates_a_deleted_user(self, banter: Running, accounts: Accounts) -> None:
        gone, admin = await banter.new_user(), await banter.new_user(role="admin")
        await banter.set_columns(gone.user_id, **TOMBSTONE)
        for user_id in (gone.user_id, str(uuid.uuid4())):
            answer = await refusal(accounts.reactivate(user_id, banter.as_user(admin.user_id)))
            assert answer == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")

    async def test_users_do_not_reactivate(self, banter: Running, accounts: Accounts) -> None:
        user = await banter.new_user()
        answer = await refusal(accounts.reactivate(user.user_id, banter.as_user(user.user_id)))
        assert answer == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ADMITTED")

    async def test_fifty_in_both_directions_leave_one_of_the_two_states(
        self, banter: Running, accounts: Accounts
    ) -> None:
        user = await banter.new_user()
        acts = [accounts.deactivate, accounts.reactivate] * 25
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(act(user.user_id, banter.as_service) for act in acts))
        assert [answer.is_active for answer in answers] == [False, True] * 25
