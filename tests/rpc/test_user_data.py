"""UserService, all of a person's data: what its erasure and its export promise."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import aclosing
from types import ModuleType

import grpc
import grpc.aio
import psycopg
import pytest
from banter.v1 import user_pb2
from google.protobuf import json_format

from banter_grpc.database.queries import user_data
from banter_grpc.database.statement import Statement, Step, Way, all_rows
from banter_grpc.handlers.user_data import UserDataHandler, exports_of
from banter_grpc.rpc.caller import PUBLIC
from tests.conftest import NewDatabase
from tests.database.pools import opened, until
from tests.support.harness import Metadata, Running, failure_of, refused, running
from tests.support.money import credit, earn, hold, wallet_of
from tests.support.refunds import adjust


def unique() -> dict[str, str]:
    """Columns of which no two users have the same."""
    word = uuid.uuid4().hex[:16]
    return {"email": f"{word}@example.org", "username": f"u{word}", "firebase_uid": f"uid-{word}"}


def delete(banter: Running, user_id: str, by: str | None = None, *, forfeit_balance: bool = False):
    metadata = banter.as_user(by) if by else banter.as_service
    request = user_pb2.DeleteUserRequest(user_id=user_id, forfeit_balance=forfeit_balance)
    return banter.users.DeleteUser(request, metadata=metadata)


async def export(banter: Running, user_id: str, by: str | None = None) -> list[user_pb2.ExportUserDataResponse]:
    metadata = banter.as_user(by) if by else banter.as_service
    request = user_pb2.ExportUserDataRequest(user_id=user_id)
    return [message async for message in banter.users.ExportUserData(request, metadata=metadata)]


def row_of(banter: Running, user_id: str) -> dict[str, object]:
    """What the table has of a user, without what is NULL."""
    with psycopg.connect(banter.owner_url) as connection:
        (row,) = connection.execute("SELECT to_jsonb(users) FROM users WHERE id = %s", [user_id]).fetchall()
    return {name: value for name, value in row[0].items() if value is not None}


class TestDeleteUser:
    async def test_a_tombstone_says_nothing_but_when(self, banter: Running) -> None:
        """A column that a user gets later is to be erased, too: this fails for one that is not."""
        user = await banter.new_user(
            **unique(), avatar="https://example.org/a", bio="Sings.", gender="other", birth_date="1990-05-17"
        )
        await banter.set_columns(
            user.user_id, role="admin", is_verified=True, host_status="approved", audio_rate=5, video_rate=9
        )
        answer = await delete(banter, user.user_id)
        assert answer.delete_time.ToNanoseconds() > user.create_time.ToNanoseconds()
        row = row_of(banter, user.user_id)
        assert row.pop("delete_time") == row.pop("update_time")
        assert row.pop("create_time")
        assert row == {
            "id": user.user_id,
            "role": "user",
            "is_verified": False,
            "is_active": False,
            "host_status": "none",
            "audio_rate": 0,
            "video_rate": 0,
        }
        request = user_pb2.GetUserRequest(user_id=user.user_id)
        seen = (await banter.users.GetUser(request, metadata=banter.as_service)).user
        assert (seen.full_name, seen.delete_time) == ("Deleted user", answer.delete_time)

    async def test_whoever_comes_next_may_have_number_name_address_and_sign_in(self, banter: Running) -> None:
        columns = unique()
        user = await banter.new_user(**columns)
        await delete(banter, user.user_id, by=user.user_id)
        request = user_pb2.FindOrCreateUserRequest(
            phone_number=user.phone_number, firebase_uid=columns.pop("firebase_uid")
        )
        answer = await banter.users.FindOrCreateUser(request, metadata=banter.as_service)
        assert answer.created
        assert answer.user.user_id != user.user_id
        change = user_pb2.UpdateUserRequest(user=user_pb2.User(user_id=answer.user.user_id, **columns))
        assert (await banter.users.UpdateUser(change, metadata=banter.as_service)).user.email == columns["email"]

    async def test_deleting_again_changes_nothing(self, banter: Running) -> None:
        user = await banter.new_user()
        first = await delete(banter, user.user_id)
        row = row_of(banter, user.user_id)
        assert await delete(banter, user.user_id) == first
        assert row_of(banter, user.user_id) == row

    async def test_fifty_at_once_delete_him_once(self, banter: Running) -> None:
        user = await banter.new_user()
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(delete(banter, user.user_id) for _ in range(50)))
        assert len({answer.delete_time.ToNanoseconds() for answer in answers}) == 1

    async def test_who_was_deleted_is_nobody_at_once(self, new_database: NewDatabase) -> None:
        """Although every server remembers his account, here for a minute."""
        database = new_database()
        async with running(database.owner_url, database.service_url, caller_cache=60) as banter:
            user, admin = await banter.new_user(), await banter.new_user(role="admin")
            request = user_pb2.GetUserRequest(user_id=admin.user_id)
            for one in (user, admin):
                metadata = banter.as_user(one.user_id)
                await banter.users.GetUser(request, metadata=metadata)
                await delete(banter, one.user_id, by=one.user_id)

                async def is_out(metadata: Metadata = metadata) -> bool:
                    try:
                        await banter.users.GetUser(request, metadata=metadata)
                    except grpc.aio.AioRpcError as error:
                        return failure_of(error).reason == "CALLER_UNKNOWN"
                    return False

                await until(is_out, 5)  # the database's hint is on its way
                failure = await refused(delete(banter, one.user_id, by=one.user_id))
                assert (failure.code, failure.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CALLER_UNKNOWN")

    async def test_his_coins_are_forfeited_and_the_history_stays_without_him(self, banter: Running) -> None:
        user = (await banter.new_user()).user_id
        await credit(banter, user, 250)
        await delete(banter, user)
        with psycopg.connect(banter.owner_url) as connection:
            query = "SELECT kind, total FROM transactions WHERE user_id = %s ORDER BY create_time"
            assert connection.execute(query, [user]).fetchall() == [
                ("signup_grant", 100),
                ("purchase", 250),
                ("forfeit", 350),
            ]
            query = "SELECT kind, available, held FROM wallets WHERE user_id = %s ORDER BY kind"
            assert connection.execute(query, [user]).fetchall() == [("coins", 0, 0), ("earnings", 0, 0)]

    async def test_who_has_nothing_forfeits_nothing(self, banter: Running) -> None:
        user, admin = (await banter.new_user()).user_id, (await banter.new_user(role="admin")).user_id
        await adjust(banter, admin, user, -100)
        assert (await delete(banter, user)).HasField("delete_time")
        kinds = await banter.execute("SELECT kind FROM transactions WHERE user_id = %s", user)
        assert sorted(kinds) == [("adjustment",), ("signup_grant",)]

    async def test_earnings_keep_him_unless_he_gives_them_up(self, banter: Running) -> None:
        user = (await banter.new_user()).user_id
        earn(banter, user, 1200)
        failure = await refused(delete(banter, user))
        assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "EARNINGS_LEFT")
        assert failure.metadata["coins"] == "1200"
        request = user_pb2.GetUserRequest(user_id=user)
        assert (await banter.users.GetUser(request, metadata=banter.as_service)).user.is_active
        assert (await wallet_of(banter, user)).coins.available == 100
        assert (await delete(banter, user, forfeit_balance=True)).HasField("delete_time")

    @pytest.mark.parametrize(("kind", "reason"), [("coins", "CALL_LIVE"), ("earnings", "WITHDRAWAL_OPEN")])
    async def test_what_is_held_keeps_him(self, banter: Running, kind: str, reason: str) -> None:
        user = (await banter.new_user()).user_id
        earn(banter, user, 1200)
        hold(banter, user, kind, 40)
        failure = await refused(delete(banter, user, forfeit_balance=True))
        assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, reason)
        hold(banter, user, kind, -40)
        assert (await delete(banter, user, forfeit_balance=True)).HasField("delete_time")

    async def test_a_payment_at_the_same_moment_is_credited_before_or_refused(self, banter: Running) -> None:
        for _ in range(10):
            user = (await banter.new_user()).user_id
            async with asyncio.timeout(30):
                deleted, *paid = await asyncio.gather(
                    delete(banter, user), *(credit(banter, user, 10) for _ in range(8)), return_exceptions=True
                )
            assert not isinstance(deleted, BaseException)
            assert {failure_of(each).reason for each in paid if isinstance(each, grpc.aio.AioRpcError)} <= {
                "USER_NOT_FOUND"
            }
            with psycopg.connect(banter.owner_url) as connection:
                row = connection.execute("SELECT sum(balance) FROM wallets WHERE user_id = %s", [user]).fetchone()
            assert row == (0,)

    async def test_a_deactivated_user_can_be_deleted(self, banter: Running) -> None:
        user = await banter.new_user(is_active=False)
        assert (await delete(banter, user.user_id)).HasField("delete_time")

    async def test_admins_delete_others_and_users_themselves_alone(self, banter: Running) -> None:
        user, admin, moderator = [await banter.new_user(role=role) for role in ("user", "admin", "moderator")]
        for caller, other in ((user, admin), (moderator, user)):
            failure = await refused(delete(banter, other.user_id, by=caller.user_id))
            assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_OWNER")
        assert (await delete(banter, user.user_id, by=admin.user_id)).HasField("delete_time")

    async def test_nobody_has_this_id(self, banter: Running) -> None:
        missing = str(uuid.uuid4())
        failure = await refused(delete(banter, missing))
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")
        assert failure.metadata == {"user_id": missing}


class TestExportUserData:
    async def test_all_columns_of_the_account_are_there(self, banter: Running) -> None:
        user = await banter.new_user(**unique(), birth_date="1990-05-17", audio_rate=12)
        messages = await export(banter, user.user_id, by=user.user_id)
        assert messages[0].table == "users"
        (record,) = messages[0].records
        seen = json_format.MessageToDict(record)
        with psycopg.connect(banter.owner_url) as connection:
            row = connection.execute("SELECT to_jsonb(users) FROM users WHERE id = %s", [user.user_id]).fetchone()
        assert row is not None
        assert seen == row[0]
        assert (seen["id"], seen["phone_number"], seen["audio_rate"]) == (user.user_id, user.phone_number, 12)

    async def test_every_table_that_is_exported_can_be(self, banter: Running) -> None:
        """By the service, with its rights; the account comes first."""
        tables = list(exports_of(user_data))
        assert tables[0] == "users"
        user = await banter.new_user()
        seen = [message.table for message in await export(banter, user.user_id)]
        assert [table for table in tables if table in seen] == list(dict.fromkeys(seen))

    async def test_a_large_table_comes_in_messages_that_any_client_takes(
        self, service_url: str, banter: Running
    ) -> None:
        user = await banter.new_user()
        async with opened(service_url) as database:
            handler = UserDataHandler(database, with_lines(3000))
            request = user_pb2.ExportUserDataRequest(user_id=user.user_id)
            messages = [message async for message in handler.ExportUserData(request, PUBLIC)]
        assert [message.table for message in messages] == ["users", *["lines"] * (len(messages) - 1)]
        assert [record["number"] for message in messages[1:] for record in message.records] == list(range(1, 3001))
        assert max(message.ByteSize() for message in messages) < 2**20
        assert max(len(message.records) for message in messages) <= 200

    async def test_who_goes_away_in_the_middle_holds_nothing(self, service_url: str, banter: Running) -> None:
        user = await banter.new_user()
        request = user_pb2.ExportUserDataRequest(user_id=user.user_id)
        async with opened(service_url) as database, asyncio.timeout(30):
            handler = UserDataHandler(database, with_lines(10**9))
            async with aclosing(handler.ExportUserData(request, PUBLIC)) as answers:
                for _ in range(3):
                    await anext(answers)
                assert database.stats().in_use == 1
            assert database.stats().in_use == 0
            answers = [answer async for answer in UserDataHandler(database).ExportUserData(request, PUBLIC)]
            assert answers[0].table == "users"

    async def test_of_whom_nothing_is_left_nothing_is_exported(self, banter: Running) -> None:
        user = await banter.new_user()
        await delete(banter, user.user_id)
        for user_id in (user.user_id, str(uuid.uuid4())):
            failure = await refused(export(banter, user_id))
            assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")
            assert failure.metadata == {"user_id": user_id}

    async def test_it_is_for_himself_for_admins_and_services(self, banter: Running) -> None:
        user, admin, moderator = [await banter.new_user(role=role) for role in ("user", "admin", "moderator")]
        for caller, other in ((user, admin), (moderator, user)):
            failure = await refused(export(banter, other.user_id, by=caller.user_id))
            assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_OWNER")
        assert await export(banter, user.user_id, by=admin.user_id) == await export(banter, user.user_id)

    async def test_nothing_of_it_is_logged(self, banter: Running) -> None:
        user = await banter.new_user(**unique())
        await export(banter, user.user_id)
        assert user.email not in json.dumps(banter.log)


def with_lines(count: int) -> ModuleType:
    """Exports of `users` and of a table of so many long rows."""
    lines = Statement(
        "export_lines",
        "SELECT jsonb_build_object('number', n, 'user', $1::uuid, 'line', repeat('x', 4000))::text AS record"
        f" FROM (SELECT generate_series(1, {count}) AS n) AS numbers",
        user_data.Record._make,
        all_rows,
        Way.OWN,
        writes=False,
        repeatable=True,
    )
    module = ModuleType("exports")
    module.export_users = user_data.export_users  # type: ignore[attr-defined]
    module.export_lines = lambda *, user_id: Step(lines, (user_id,))  # type: ignore[attr-defined]
    return module
