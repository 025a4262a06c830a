"""UserService: what each RPC promises."""

from __future__ import annotations

import asyncio
import uuid

import grpc
import psycopg
import pytest
from banter.v1 import user_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from tests.support.erasing import ERASE
from tests.support.harness import Running, new_phone_number, refused
from tests.support.turns import blocked


def find_or_create(banter: Running, phone_number: str, **fields: str):
    request = user_pb2.FindOrCreateUserRequest(phone_number=phone_number, **fields)
    return banter.users.FindOrCreateUser(request, metadata=banter.as_service)


def update(banter: Running, user: user_pb2.User, *mask: str, by: str | None = None):
    request = user_pb2.UpdateUserRequest(user=user, update_mask=FieldMask(paths=mask) if mask else None)
    return banter.users.UpdateUser(request, metadata=banter.as_user(by or user.user_id))


class TestFindOrCreateUser:
    async def test_a_new_number_makes_a_user_with_the_defaults(self, banter: Running) -> None:
        phone = new_phone_number()
        answer = await find_or_create(banter, phone)
        user = answer.user
        assert answer.created
        assert uuid.UUID(user.user_id).version == 7
        assert (user.phone_number, user.country_code, user.timezone) == (phone, "+91", "Asia/Kolkata")
        assert user.full_name == f"User {phone[-4:]}"
        assert (user.role, user.host_status) == (user_pb2.USER_ROLE_USER, user_pb2.HOST_STATUS_NONE)
        assert user.is_active
        assert not user.is_verified
        assert user.create_time.seconds > 1_700_000_000
        assert user.create_time == user.update_time
        assert not user.HasField("delete_time")
        assert not user.HasField("gender")

    async def test_an_existing_user_keeps_his_name_and_zone(self, banter: Running) -> None:
        phone = new_phone_number()
        first = await find_or_create(banter, phone, full_name="Asha Rao", timezone="Europe/Berlin")
        again = await find_or_create(banter, phone, full_name="Somebody Else", timezone="Asia/Tokyo")
        assert first.created
        assert not again.created
        assert again.user == first.user

    @pytest.mark.parametrize("is_linked", [False, True])
    async def test_a_number_whose_user_is_erased_meanwhile_gets_a_new_one(
        self, banter: Running, owner_url: str, is_linked: bool
    ) -> None:
        """The call found the number taken, and waits for a lock until its user is gone."""
        linked = {"firebase_uid": f"uid-{uuid.uuid4()}"} if is_linked else {}
        user = await banter.new_user(**linked)
        async with asyncio.timeout(30), await psycopg.AsyncConnection.connect(owner_url) as holder:
            await holder.execute("LOCK TABLE signup_grants")
            call = asyncio.ensure_future(find_or_create(banter, user.phone_number, **linked))
            await blocked(holder)
            async with await psycopg.AsyncConnection.connect(owner_url, autocommit=True) as eraser:
                await eraser.execute(ERASE, [user.user_id])
            await holder.commit()
            answer = await call
        assert answer.created
        assert answer.user.user_id != user.user_id

    async def test_the_country_of_a_foreign_number_is_its_own(self, banter: Running) -> None:
        answer = await find_or_create(banter, f"0176 {new_phone_number()[-8:]}", country_code="+49")
        assert answer.user.country_code == "+49"
        assert answer.user.phone_number.startswith("+49176")

    async def test_a_missing_firebase_uid_is_linked_once(self, banter: Running) -> None:
        phone, uid = new_phone_number(), uuid.uuid4().hex
        await find_or_create(banter, phone)
        linked = await find_or_create(banter, phone, firebase_uid=uid)
        assert (linked.created, linked.user.firebase_uid) == (False, uid)
        assert (await find_or_create(banter, phone)).user.firebase_uid == uid

    async def test_another_users_firebase_uid_is_refused(self, banter: Running) -> None:
        uid, other = uuid.uuid4().hex, new_phone_number()
        await find_or_create(banter, new_phone_number(), firebase_uid=uid)
        failure = await refused(find_or_create(banter, other, firebase_uid=uid))
        assert (failure.code, failure.reason) == (grpc.StatusCode.ALREADY_EXISTS, "FIREBASE_UID_TAKEN")
        assert failure.message.startswith("firebase_uid: ")
        await find_or_create(banter, other)
        failure = await refused(find_or_create(banter, other, firebase_uid=uid))
        assert failure.reason == "FIREBASE_UID_TAKEN"
        assert (await find_or_create(banter, other)).user.firebase_uid == ""

    async def test_a_user_linked_otherwise_is_refused(self, banter: Running) -> None:
        phone = new_phone_number()
        await find_or_create(banter, phone, firebase_uid=uuid.uuid4().hex)
        failure = await refused(find_or_create(banter, phone, firebase_uid=uuid.uuid4().hex))
        assert (failure.code, failure.reason) == (grpc.StatusCode.ALREADY_EXISTS, "USER_LINKED_OTHERWISE")

    @pytest.mark.parametrize(
        "text", ["12", "+99999999999999999", "call me", "+91 98765 43210 ext. 5", "+0 98765 43210"]
    )
    async def test_what_is_no_number_is_refused(self, banter: Running, text: str) -> None:
        failure = await refused(find_or_create(banter, text))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PHONE_NUMBER_INVALID")
        assert [field for field, _ in failure.violations] == ["phone_number"]
        assert text not in failure.message

    async def test_an_unknown_time_zone_is_refused(self, banter: Running) -> None:
        failure = await refused(find_or_create(banter, new_phone_number(), timezone="Mars/Olympus"))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "TIMEZONE_UNKNOWN")

    @pytest.mark.parametrize("firebase", [False, True])
    async def test_a_hundred_at_once_in_five_spellings_make_one_user(self, banter: Running, firebase: bool) -> None:
        digits = new_phone_number()[3:]
        spellings = [
            f"+91{digits}",
            f"0091 {digits}",
            f"0{digits[:5]} {digits[5:]}",
            f"(+91) {digits[:5]}-{digits[5:]}",
            f"tel:+91-{digits}",
        ]
        fields = {"firebase_uid": uuid.uuid4().hex} if firebase else {}
        barrier = asyncio.Barrier(100)

        async def call(number: int) -> user_pb2.FindOrCreateUserResponse:
            await barrier.wait()
            return await find_or_create(banter, spellings[number % 5], full_name=f"Caller {number}", **fields)

        async with asyncio.timeout(30):
            answers = await asyncio.gather(*map(call, range(100)))
        assert sum(answer.created for answer in answers) == 1
        assert len({answer.user.user_id for answer in answers}) == 1
        async with await psycopg.AsyncConnection.connect(banter.owner_url) as connection:
            rows = await connection.execute("SELECT count(*) FROM users WHERE phone_number = %s", [f"+91{digits}"])
            assert await rows.fetchone() == (1,)


class TestGetUser:
    async def test_others_do_not_see_what_is_personal(self, banter: Running) -> None:
        user = await banter.new_user(email=f"{uuid.uuid4().hex}@example.org", birth_date="1990-05-17")
        stranger, moderator = await banter.new_user(), await banter.new_user(role="moderator")
        request = user_pb2.GetUserRequest(user_id=user.user_id)

        seen = (await banter.users.GetUser(request, metadata=banter.as_user(stranger.user_id))).user
        assert (seen.phone_number, seen.email, seen.birth_date, seen.firebase_uid) == ("", "", "", "")
        assert not seen.HasField("email")
        assert seen.full_name == "Asha Rao"
        assert seen.age >= 35

        for metadata in (banter.as_user(user.user_id), banter.as_user(moderator.user_id), banter.as_service):
            seen = (await banter.users.GetUser(request, metadata=metadata)).user
            assert (seen.phone_number, seen.birth_date) == (user.phone_number, "1990-05-17")

    async def test_a_service_acting_for_a_user_sees_what_he_sees(self, banter: Running) -> None:
        user, stranger = await banter.new_user(), await banter.new_user()
        metadata = [*banter.as_service, ("banter-on-behalf-of", stranger.user_id)]
        seen = await banter.users.GetUser(user_pb2.GetUserRequest(user_id=user.user_id), metadata=metadata)
        assert seen.user.phone_number == ""

    async def test_only_what_the_mask_names_is_returned(self, banter: Running) -> None:
        user = await banter.new_user()
        request = user_pb2.GetUserRequest(user_id=user.user_id, read_mask=FieldMask(paths=["full_name", "is_active"]))
        answer = await banter.users.GetUser(request, metadata=banter.as_user(user.user_id))
        assert answer.user == user_pb2.User(full_name="Asha Rao", is_active=True)

    async def test_an_unknown_path_in_the_mask_is_refused(self, banter: Running) -> None:
        user = await banter.new_user()
        request = user_pb2.GetUserRequest(user_id=user.user_id, read_mask=FieldMask(paths=["password"]))
        failure = await refused(banter.users.GetUser(request, metadata=banter.as_user(user.user_id)))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")
        assert failure.message.startswith("read_mask: ")

    async def test_nobody_has_this_id(self, banter: Running) -> None:
        missing = str(uuid.uuid4())
        failure = await refused(
            banter.users.GetUser(user_pb2.GetUserRequest(user_id=missing), metadata=banter.as_service)
        )
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")
        assert failure.metadata == {"user_id": missing}
        assert missing in failure.message

    async def test_an_id_in_capitals_is_the_same_id(self, banter: Running) -> None:
        user = await banter.new_user()
        request = user_pb2.GetUserRequest(user_id=user.user_id.upper())
        answer = await banter.users.GetUser(request, metadata=banter.as_user(user.user_id))
        assert answer.user.phone_number == user.phone_number

    async def test_a_deleted_user_shows_as_such(self, banter: Running) -> None:
        user = await banter.new_user()
        await banter.set_columns(
            user.user_id,
            delete_time="2026-01-01",
            is_active=False,
            **dict.fromkeys(("phone_number", "country_code", "full_name", "timezone")),
        )
        request = user_pb2.GetUserRequest(user_id=user.user_id)
        seen = (await banter.users.GetUser(request, metadata=banter.as_service)).user
        assert (seen.full_name, seen.phone_number, seen.is_active) == ("Deleted user", "", False)
        assert seen.HasField("delete_time")
        change = user_pb2.UpdateUserRequest(user=user_pb2.User(user_id=user.user_id, bio="still here"))
        failure = await refused(banter.users.UpdateUser(change, metadata=banter.as_service))
        assert failure.reason == "USER_NOT_FOUND"


class TestBatchGetUsers:
    async def test_users_come_in_the_order_of_their_ids(self, banter: Running) -> None:
        users = [await banter.new_user() for _ in range(5)]
        ids = [users[place].user_id for place in (3, 1, 4, 1, 0)]
        request = user_pb2.BatchGetUsersRequest(user_ids=[ids[0].upper(), *ids[1:]])
        answer = await banter.users.BatchGetUsers(request, metadata=banter.as_service)
        assert [user.user_id for user in answer.users] == ids
        assert answer.users[0] == users[3]

    async def test_only_his_own_is_personal_to_a_caller(self, banter: Running) -> None:
        user, other = await banter.new_user(), await banter.new_user()
        request = user_pb2.BatchGetUsersRequest(
            user_ids=[user.user_id, other.user_id], read_mask=FieldMask(paths=["phone_number"])
        )
        answer = await banter.users.BatchGetUsers(request, metadata=banter.as_user(user.user_id))
        assert list(answer.users) == [user_pb2.User(phone_number=user.phone_number), user_pb2.User()]

    async def test_an_id_that_nobody_has_fails_all(self, banter: Running) -> None:
        user, missing = await banter.new_user(), str(uuid.uuid4())
        request = user_pb2.BatchGetUsersRequest(user_ids=[user.user_id, missing])
        failure = await refused(banter.users.BatchGetUsers(request, metadata=banter.as_service))
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")
        assert failure.metadata == {"user_id": missing}

    @pytest.mark.parametrize(
        "ids", [[], ["x"], [str(uuid.UUID(int=n)) for n in range(1001)]], ids=["none", "bad", "many"]
    )
    async def test_a_batch_has_one_to_a_thousand_ids(self, banter: Running, ids: list[str]) -> None:
        request = user_pb2.BatchGetUsersRequest(user_ids=ids)
        failure = await refused(banter.users.BatchGetUsers(request, metadata=banter.as_service))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")
        assert failure.message.startswith("user_ids")

    async def test_a_thousand_are_one_call(self, banter: Running) -> None:
        user = await banter.new_user()
        request = user_pb2.BatchGetUsersRequest(user_ids=[user.user_id] * 1000)
        answer = await banter.users.BatchGetUsers(request, metadata=banter.as_service)
        assert len(answer.users) == 1000


class TestUpdateUser:
    async def test_without_a_mask_what_is_set_changes(self, banter: Running) -> None:
        user = await banter.new_user()
        new = user_pb2.User(
            user_id=user.user_id,
            full_name="Asha R.",
            email=f"{uuid.uuid4().hex}@example.org",
            username=f"asha_{uuid.uuid4().hex[:12]}",
            avatar="https://example.org/asha.png",
            bio="Sings.",
            gender=user_pb2.GENDER_FEMALE,
            birth_date="1998-02-28",
            timezone="Europe/Berlin",
        )
        changed = (await update(banter, new)).user
        for name in ("full_name", "email", "username", "avatar", "bio", "gender", "birth_date", "timezone"):
            assert getattr(changed, name) == getattr(new, name), name
        assert changed.phone_number == user.phone_number
        assert changed.update_time.ToNanoseconds() > user.update_time.ToNanoseconds()
        assert changed.create_time == user.create_time

    async def test_only_what_the_mask_names_changes(self, banter: Running) -> None:
        user = await banter.new_user()
        new = user_pb2.User(user_id=user.user_id, full_name="Not This", bio="This")
        changed = (await update(banter, new, "bio")).user
        assert (changed.full_name, changed.bio) == ("Asha Rao", "This")

    async def test_what_is_named_and_not_set_is_cleared(self, banter: Running) -> None:
        user = await banter.new_user(bio="Old", gender="male")
        changed = (await update(banter, user_pb2.User(user_id=user.user_id), "bio", "gender")).user
        assert not changed.HasField("bio")
        assert changed.gender == user_pb2.GENDER_UNSPECIFIED

    async def test_nothing_to_change_changes_nothing(self, banter: Running) -> None:
        user = await banter.new_user()
        assert (await update(banter, user_pb2.User(user_id=user.user_id))).user == user

    async def test_output_only_fields_are_not_changed(self, banter: Running) -> None:
        user = await banter.new_user()
        new = user_pb2.User(user_id=user.user_id, role=user_pb2.USER_ROLE_ADMIN, phone_number="+911", is_verified=True)
        assert (await update(banter, new)).user == user
        failure = await refused(update(banter, new, "role"))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")

    @pytest.mark.parametrize(
        ("field", "value", "reason"),
        [
            ("full_name", " \t", "REQUEST_INVALID"),
            ("full_name", "x" * 101, "REQUEST_INVALID"),
            ("full_name", "a\x00b", "REQUEST_INVALID"),
            ("email", "nobody", "REQUEST_INVALID"),
            ("username", "a b c", "REQUEST_INVALID"),
            ("avatar", "http://example.org/x.png", "REQUEST_INVALID"),
            ("bio", "x" * 501, "REQUEST_INVALID"),
            ("bio", "nul\x00", "REQUEST_INVALID"),
            ("gender", 17, "REQUEST_INVALID"),
            ("birth_date", "17.5.1990", "REQUEST_INVALID"),
            ("birth_date", "1999-02-29", "BIRTH_DATE_INVALID"),
            ("birth_date", "2999-01-01", "BIRTH_DATE_INVALID"),
            ("birth_date", "1899-12-31", "BIRTH_DATE_INVALID"),
            ("timezone", "Mars/Olympus", "TIMEZONE_UNKNOWN"),
        ],
    )
    async def test_a_bad_value_is_refused_by_its_field(
        self, banter: Running, field: str, value: str | int, reason: str
    ) -> None:
        user = await banter.new_user()
        new = user_pb2.User(user_id=user.user_id, **{field: value})
        failure = await refused(update(banter, new))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
        assert [name for name, _ in failure.violations] == [f"user.{field}"]
        assert failure.message.startswith(f"user.{field}: ")

    async def test_name_and_zone_can_not_be_cleared(self, banter: Running) -> None:
        user = await banter.new_user()
        failure = await refused(update(banter, user_pb2.User(user_id=user.user_id), "full_name"))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")
        assert "full_name" in failure.message

    @pytest.mark.parametrize(("field", "reason"), [("username", "USERNAME_TAKEN"), ("email", "EMAIL_TAKEN")])
    async def test_a_name_of_another_is_refused_whatever_its_case(
        self, banter: Running, field: str, reason: str
    ) -> None:
        value = f"u{uuid.uuid4().hex[:12]}" + ("@example.org" if field == "email" else "")
        await banter.new_user(**{field: value})
        user = await banter.new_user()
        failure = await refused(update(banter, user_pb2.User(user_id=user.user_id, **{field: value.upper()})))
        assert (failure.code, failure.reason) == (grpc.StatusCode.ALREADY_EXISTS, reason)

    async def test_fifty_who_want_one_username_leave_one_with_it(self, banter: Running) -> None:
        name = f"u{uuid.uuid4().hex[:12]}"
        users = [await banter.new_user() for _ in range(50)]

        async def take(user: user_pb2.User) -> str:
            try:
                await update(banter, user_pb2.User(user_id=user.user_id, username=name))
            except grpc.aio.AioRpcError as error:
                return error.code().name
            return "OK"

        async with asyncio.timeout(30):
            outcomes = await asyncio.gather(*map(take, users))
        assert sorted(set(outcomes)) == ["ALREADY_EXISTS", "OK"]
        assert outcomes.count("OK") == 1

    async def test_somebody_elses_profile_is_refused(self, banter: Running) -> None:
        user, other = await banter.new_user(), await banter.new_user()
        failure = await refused(update(banter, user_pb2.User(user_id=other.user_id, bio="Mine"), by=user.user_id))
        assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_OWNER")
        assert failure.metadata == {"field": "user.user_id"}

    async def test_admins_and_services_change_anybodys(self, banter: Running) -> None:
        user, admin = await banter.new_user(), await banter.new_user(role="admin")
        changed = await update(banter, user_pb2.User(user_id=user.user_id, bio="By staff"), by=admin.user_id)
        assert changed.user.bio == "By staff"
        request = user_pb2.UpdateUserRequest(user=user_pb2.User(user_id=user.user_id, bio="By service"))
        assert (await banter.users.UpdateUser(request, metadata=banter.as_service)).user.bio == "By service"

    async def test_nobody_has_this_id(self, banter: Running) -> None:
        request = user_pb2.UpdateUserRequest(user=user_pb2.User(user_id=str(uuid.uuid4()), bio="?"))
        failure = await refused(banter.users.UpdateUser(request, metadata=banter.as_service))
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")
