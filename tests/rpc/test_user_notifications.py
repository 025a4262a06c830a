"""UserService, notifications: what each RPC promises."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

import grpc
import psycopg
import pytest
from banter.v1 import user_pb2
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct, Value

from tests.support.erasing import ERASE
from tests.support.harness import Metadata, Running, refused
from tests.support.turns import blocked


def struct(**fields: object) -> Struct:
    return json_format.ParseDict(fields, Struct())


def to(recipient: str, title: str = "Hello", **fields: object) -> user_pb2.NewNotification:
    return user_pb2.NewNotification(**{"user_id": recipient, "type": "test.ping", "title": title, **fields})  # type: ignore[arg-type]


def send(banter: Running, *new: user_pb2.NewNotification, by: Metadata | None = None, **fields: str):
    request = user_pb2.SendNotificationsRequest(notifications=new, **fields)
    return banter.users.SendNotifications(request, metadata=by or banter.as_service)


async def listed(banter: Running, user_id: str, **fields: object) -> list[user_pb2.Notification]:
    request = user_pb2.ListNotificationsRequest(**fields)  # type: ignore[arg-type]
    answer = await banter.users.ListNotifications(request, metadata=banter.as_user(user_id))
    return list(answer.notifications)


async def titles(banter: Running, user_id: str, **fields: object) -> list[str]:
    return [notification.title for notification in await listed(banter, user_id, **fields)]


async def unread(banter: Running, user_id: str) -> int:
    request = user_pb2.CountUnreadNotificationsRequest()
    return (await banter.users.CountUnreadNotifications(request, metadata=banter.as_user(user_id))).unread_count


def chosen(ids: Sequence[str] | None) -> dict[str, object]:
    """The choice of a request: these ids, or all."""
    return {"all": True} if ids is None else {"ids": user_pb2.NotificationIds(notification_ids=ids)}


async def mark(banter: Running, user_id: str, ids: Sequence[str] | None = None) -> int:
    request = user_pb2.MarkNotificationsReadRequest(**chosen(ids))  # type: ignore[arg-type]
    return (await banter.users.MarkNotificationsRead(request, metadata=banter.as_user(user_id))).marked_count


async def delete(banter: Running, user_id: str, ids: Sequence[str] | None = None) -> int:
    request = user_pb2.DeleteNotificationsRequest(**chosen(ids))  # type: ignore[arg-type]
    return (await banter.users.DeleteNotifications(request, metadata=banter.as_user(user_id))).deleted_count


async def execute(banter: Running, query: str, parameters: Sequence[object]) -> None:
    async with await psycopg.AsyncConnection.connect(banter.owner_url, autocommit=True) as connection:
        await connection.execute(query.encode(), parameters)


@pytest.fixture
async def user(banter: Running) -> str:
    return (await banter.new_user()).user_id


@pytest.fixture
async def other(banter: Running) -> str:
    return (await banter.new_user()).user_id


class TestSendNotifications:
    async def test_each_recipient_gets_his_own(self, banter: Running, user: str, other: str) -> None:
        data = struct(call_id="7", urgent=True, tries=[1, 2.5, None, {"deep": "er"}], none=None)
        answer = await send(
            banter, to(user.upper(), "One", body="Text \U0001f600", data=data), to(other), to(user, "Two")
        )
        assert answer == user_pb2.SendNotificationsResponse(sent_count=3)
        two, one = await listed(banter, user)
        assert (two.title, one.title, one.type, one.body) == ("Two", "One", "test.ping", "Text \U0001f600")
        assert one.data == data
        assert not two.HasField("data")
        assert uuid.UUID(one.notification_id).version == 7
        assert one.create_time.seconds > 1_700_000_000
        assert not one.HasField("read_time")
        assert await titles(banter, other) == ["Hello"]

    async def test_who_is_gone_is_named_and_the_others_get_theirs(self, banter: Running, user: str, other: str) -> None:
        nobody = str(uuid.uuid4())
        await execute(banter, ERASE, [other])
        answer = await send(banter, to(nobody), to(user), to(other), to(nobody))
        assert (answer.sent_count, list(answer.missed_user_ids)) == (1, sorted([nobody, other]))
        assert await titles(banter, user) == ["Hello"]
        assert (await send(banter, to(nobody))).sent_count == 0

    async def test_a_replay_sends_nothing_and_answers_the_same(self, banter: Running, user: str, other: str) -> None:
        """Even when what the first one sent is deleted, and a recipient erased."""
        request_id = str(uuid.uuid4())
        new = [to(user), to(str(uuid.uuid4())), to(other)]
        first = await send(banter, *new, request_id=request_id)
        assert (first.sent_count, len(first.missed_user_ids)) == (2, 1)
        await execute(banter, ERASE, [other])
        assert await delete(banter, user) == 1
        assert await send(banter, *new, request_id=request_id.upper()) == first
        assert await listed(banter, user) == []

    async def test_a_request_id_is_its_callers_own(self, banter: Running, user: str) -> None:
        request_id = str(uuid.uuid4())
        admin = await banter.new_user(role="admin")
        for by in (banter.as_service, banter.as_user(admin.user_id), banter.as_service):
            assert (await send(banter, to(user), by=by, request_id=request_id)).sent_count == 1
        assert len(await listed(banter, user)) == 2

    async def test_fifty_replays_at_once_send_once(self, banter: Running, user: str) -> None:
        request_id = str(uuid.uuid4())
        new = [to(user, "One"), to(str(uuid.uuid4())), to(user, "Two")]
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(send(banter, *new, request_id=request_id) for _ in range(50)))
        assert all(answer == answers[0] for answer in answers)
        assert (answers[0].sent_count, len(answers[0].missed_user_ids)) == (2, 1)
        assert await titles(banter, user) == ["Two", "One"]

    async def test_one_who_is_being_erased_is_waited_for_and_left_out(
        self, banter: Running, user: str, other: str
    ) -> None:
        async with await psycopg.AsyncConnection.connect(banter.owner_url) as erasing:
            await erasing.execute(ERASE.encode(), [other])
            sent = asyncio.ensure_future(send(banter, to(other), to(user)))
            await blocked(erasing)
            await erasing.commit()
        assert await sent == user_pb2.SendNotificationsResponse(sent_count=1, missed_user_ids=[other])
        assert await unread(banter, user) == 1

    async def test_users_who_are_erased_meanwhile_fail_nobody(self, banter: Running, user: str) -> None:
        """Each erasure of twenty meets sends to all of them; what was sent to the erased is gone with them."""
        leaving = [(await banter.new_user()).user_id for _ in range(20)]

        async def once() -> user_pb2.SendNotificationsResponse:
            return await send(banter, to(user), *map(to, leaving))

        async with asyncio.timeout(30):
            answers, *_ = await asyncio.gather(
                asyncio.gather(*(once() for _ in range(20))),
                *(execute(banter, ERASE, [user_id]) for user_id in leaving),
            )
        assert all(answer.sent_count + len(answer.missed_user_ids) == 21 for answer in answers)
        assert await unread(banter, user) == 20
        async with await psycopg.AsyncConnection.connect(banter.owner_url) as connection:
            left = await connection.execute("SELECT FROM notifications WHERE user_id = ANY(%s::uuid[])", [leaving])
            assert left.rowcount == 0

    async def test_a_thousand_are_one_call(self, banter: Running, user: str) -> None:
        answer = await send(banter, *[to(user, f"Number {n}") for n in range(1000)])
        assert answer.sent_count == 1000
        assert await unread(banter, user) == 1000
        assert await titles(banter, user, page_size=3) == ["Number 999", "Number 998", "Number 997"]

    @pytest.mark.parametrize(
        "data",
        [
            struct(text="a\x00b"),
            struct(**{"a\x00b": 1}),
            struct(deep=[{"er": "\x00"}]),
            Struct(fields={"number": Value(number_value=float("nan"))}),
            Struct(fields={"number": Value(number_value=float("-inf"))}),
            struct(long="x" * 4090),
        ],
        ids=["nul", "nul in a key", "deep nul", "nan", "infinity", "long"],
    )
    async def test_data_that_can_not_be_kept_is_refused(self, banter: Running, user: str, data: Struct) -> None:
        failure = await refused(send(banter, to(user), to(user, data=data)))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "DATA_INVALID")
        assert failure.metadata == {"field": "notifications[1].data"}
        assert failure.message.startswith("notifications[1].data: ")
        assert await listed(banter, user) == []

    async def test_numbers_that_the_database_writes_out_are_refused(self, banter: Running, user: str) -> None:
        failure = await refused(send(banter, to(user, data=struct(numbers=[1e300] * 100))))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "DATA_INVALID")
        few = struct(numbers=[1e300, -1e-300, 0.1, 2**53, -0.5], text='"\\u0000')
        await send(banter, to(user, data=few))
        assert [each.data for each in await listed(banter, user)] == [few]

    async def test_the_longest_data_is_kept(self, banter: Running, user: str) -> None:
        longest = struct(long="x" * 4085)
        await send(banter, to(user, data=longest))
        assert [each.data for each in await listed(banter, user)] == [longest]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("user_id", "x"),
            ("type", ""),
            ("type", "Call.Missed"),
            ("type", "call..missed"),
            ("type", "a" * 65),
            ("title", ""),
            ("title", "x" * 201),
            ("title", "a\x00"),
            ("body", "x" * 2001),
            ("body", "a\x00"),
        ],
    )
    async def test_a_bad_value_is_refused_by_its_field(
        self, banter: Running, user: str, field: str, value: str
    ) -> None:
        failure = await refused(send(banter, to(user), to(user, **{field: value})))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")
        assert [name for name, _ in failure.violations] == [f"notifications[1].{field}"]

    @pytest.mark.parametrize("count", [0, 1001])
    async def test_a_batch_has_one_to_a_thousand(self, banter: Running, user: str, count: int) -> None:
        failure = await refused(send(banter, *[to(user)] * count))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")

    async def test_users_send_none(self, banter: Running, user: str) -> None:
        failure = await refused(send(banter, to(user), by=banter.as_user(user)))
        assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ADMITTED")


class TestListNotifications:
    async def test_all_pages_together_are_the_list_under_inserts(self, banter: Running, user: str) -> None:
        await send(banter, *[to(user, f"{n}") for n in range(25)])
        found: list[str] = []
        request = user_pb2.ListNotificationsRequest(page_size=10)
        sizes: list[int] = []
        while True:
            answer = await banter.users.ListNotifications(request, metadata=banter.as_user(user))
            found += [each.title for each in answer.notifications]
            sizes.append(len(answer.notifications))
            request.page_token = answer.next_page_token
            if not request.page_token:
                break
            await send(banter, to(user, "late"))
        assert found == [f"{n}" for n in reversed(range(25))]
        assert sizes == [10, 10, 5]

    async def test_the_unread_alone(self, banter: Running, user: str) -> None:
        await send(banter, *[to(user, f"{n}") for n in range(5)])
        ids = [each.notification_id for each in await listed(banter, user)]
        await mark(banter, user, ids[1:3])
        assert await titles(banter, user, unread_only=True) == ["4", "1", "0"]
        read = [each for each in await listed(banter, user) if each.HasField("read_time")]
        assert [each.title for each in read] == ["3", "2"]
        assert all(each.read_time.ToNanoseconds() >= each.create_time.ToNanoseconds() for each in read)

    async def test_others_see_nothing_of_it(self, banter: Running, user: str, other: str) -> None:
        await send(banter, to(user))
        assert await listed(banter, other) == []

    async def test_a_token_is_good_for_its_own_list(self, banter: Running, user: str, other: str) -> None:
        await send(banter, to(user), to(user), to(other), to(other))
        request = user_pb2.ListNotificationsRequest(page_size=1)
        token = (await banter.users.ListNotifications(request, metadata=banter.as_user(user))).next_page_token
        for by, fields in ((user, {"unread_only": True}), (other, {})):
            request = user_pb2.ListNotificationsRequest(page_token=token, **fields)
            failure = await refused(banter.users.ListNotifications(request, metadata=banter.as_user(by)))
            assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


class TestCountUnreadNotifications:
    async def test_it_follows_what_is_sent_read_and_deleted(self, banter: Running, user: str) -> None:
        assert await unread(banter, user) == 0
        await send(banter, *[to(user)] * 5)
        assert await unread(banter, user) == 5
        ids = [each.notification_id for each in await listed(banter, user)]
        await mark(banter, user, ids[:2])
        assert await unread(banter, user) == 3
        await delete(banter, user, ids[1:3])
        assert await unread(banter, user) == 2
        await mark(banter, user)
        assert await unread(banter, user) == 0


class TestMarkNotificationsRead:
    @pytest.mark.parametrize("by_ids", [True, False])
    async def test_what_is_marked_once_stays_as_it_is(self, banter: Running, user: str, by_ids: bool) -> None:
        await send(banter, *[to(user)] * 3)
        ids = [each.notification_id for each in await listed(banter, user)]
        which = [*ids, ids[0].upper(), str(uuid.uuid4())] if by_ids else None
        assert await mark(banter, user, which) == 3
        marked = await listed(banter, user)
        assert await mark(banter, user, which) == 0
        assert await listed(banter, user) == marked

    async def test_others_are_as_if_nobody_had_them(self, banter: Running, user: str, other: str) -> None:
        await send(banter, to(user))
        ids = [each.notification_id for each in await listed(banter, user)]
        assert await mark(banter, other, ids) == 0
        assert await mark(banter, other) == 0
        assert await unread(banter, user) == 1

    @pytest.mark.parametrize(
        "fields", [{}, {"all": False}, chosen([]), chosen(["x"]), chosen([str(uuid.uuid4())] * 1001)]
    )
    async def test_one_of_ids_and_all_is_given(self, banter: Running, user: str, fields: dict[str, object]) -> None:
        request = user_pb2.MarkNotificationsReadRequest(**fields)  # type: ignore[arg-type]
        failure = await refused(banter.users.MarkNotificationsRead(request, metadata=banter.as_user(user)))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")

    async def test_fifty_at_once_mark_each_once(self, banter: Running, user: str) -> None:
        """Ids in every order, and all: nobody waits for whom he holds up, and the counts add up."""
        await send(banter, *[to(user)] * 100)
        ids = [each.notification_id for each in await listed(banter, user, page_size=100)]
        orders = [ids, ids[::-1], ids[50:] + ids[:50], ids[::3], None]
        async with asyncio.timeout(30):
            counts = await asyncio.gather(*(mark(banter, user, orders[n % 5]) for n in range(50)))
        assert sum(counts) == 100
        assert await unread(banter, user) == 0


class TestDeleteNotifications:
    @pytest.mark.parametrize("by_ids", [True, False])
    async def test_what_is_deleted_is_gone(self, banter: Running, user: str, by_ids: bool) -> None:
        await send(banter, *[to(user)] * 3)
        ids = [each.notification_id for each in await listed(banter, user)]
        await mark(banter, user, ids[:1])
        which = [*ids, str(uuid.uuid4())] if by_ids else None
        assert await delete(banter, user, which) == 3
        assert await listed(banter, user) == []
        assert await delete(banter, user, which) == 0

    async def test_others_are_as_if_nobody_had_them(self, banter: Running, user: str, other: str) -> None:
        await send(banter, to(user))
        ids = [each.notification_id for each in await listed(banter, user)]
        assert await delete(banter, other, ids) == 0
        assert await delete(banter, other) == 0
        assert len(await listed(banter, user)) == 1

    @pytest.mark.parametrize("fields", [{}, {"all": False}, chosen([])])
    async def test_one_of_ids_and_all_is_given(self, banter: Running, user: str, fields: dict[str, object]) -> None:
        request = user_pb2.DeleteNotificationsRequest(**fields)  # type: ignore[arg-type]
        failure = await refused(banter.users.DeleteNotifications(request, metadata=banter.as_user(user)))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")

    async def test_fifty_who_send_mark_and_delete_at_once_lose_nothing(self, banter: Running, user: str) -> None:
        await send(banter, *[to(user)] * 100)
        ids = [each.notification_id for each in await listed(banter, user, page_size=100)]

        async def act(number: int) -> int:
            order = ids[::-1] if number % 2 else ids
            match number % 5:
                case 0:
                    return await delete(banter, user, order[number:])
                case 1:
                    return await delete(banter, user)
                case 2:
                    await mark(banter, user, order)
                case 3:
                    await mark(banter, user)
                case _:
                    return -(await send(banter, to(user), to(user))).sent_count
            return 0

        async with asyncio.timeout(30):
            changes = await asyncio.gather(*map(act, range(50)))
        assert 100 - sum(changes) == len(await listed(banter, user, page_size=200))
