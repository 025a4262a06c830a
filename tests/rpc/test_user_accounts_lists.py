"""UserService: the lists and counts that staff see."""

from __future__ import annotations

import datetime
import itertools
import os

import grpc
import pytest
from banter.v1 import user_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from tests.rpc.test_user_accounts import TOMBSTONE
from tests.support.harness import Running, refused
from tests.support.subscriptions import rich_user, subscribe

_WINDOWS = itertools.count(int.from_bytes(os.urandom(2)) * 1000)
ROLES = {"user": user_pb2.USER_ROLE_USER, "moderator": user_pb2.USER_ROLE_MODERATOR, "admin": user_pb2.USER_ROLE_ADMIN}


class Window:
    """An hour of long ago with users whom no other test sees, and their list."""

    def __init__(self, banter: Running) -> None:
        self.banter = banter
        hours = next(_WINDOWS) % 10**5 * 2
        self.start = datetime.datetime(1950, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(hours=hours)
        self.made: list[tuple[datetime.datetime, str]] = []

    async def add(self, second: int, **columns: object) -> str:
        """A user made at that second of the window."""
        time = self.start + datetime.timedelta(seconds=second)
        user = await self.banter.new_user(**columns, create_time=time)
        self.made.append((time, user.user_id))
        return user.user_id

    def request(self, **fields: object) -> user_pb2.ListUsersRequest:
        start, end = Timestamp(), Timestamp()
        start.FromDatetime(self.start)
        end.FromDatetime(self.start + datetime.timedelta(hours=1))
        return user_pb2.ListUsersRequest(create_time_from=start, create_time_until=end, **fields)  # type: ignore[arg-type]

    async def page(self, **fields: object) -> tuple[list[str], str]:
        answer = await self.banter.users.ListUsers(self.request(**fields), metadata=self.banter.as_service)
        return [user.user_id for user in answer.users], answer.next_page_token

    @property
    def newest_first(self) -> list[str]:
        return [user_id for _, user_id in sorted(self.made, reverse=True)]


@pytest.fixture
def window(banter: Running) -> Window:
    return Window(banter)


class TestListUsers:
    @pytest.mark.parametrize("size", [1, 3, 7, 100])
    async def test_all_pages_together_are_the_list_while_users_are_made(self, window: Window, size: int) -> None:
        for number in range(7):
            await window.add(number // 2 * 10)  # two of each time
        expected = window.newest_first
        seen: list[str] = []
        token = ""
        for number in range(8):
            shown, token = await window.page(page_size=size, page_token=token)
            assert len(shown) <= size
            seen += shown
            if not token:
                break
            await window.add(100 + number)  # newer than what was seen
        assert seen == expected
        assert (await window.page())[0] == window.newest_first

    async def test_skip_counts_from_the_place_of_the_token(self, window: Window) -> None:
        for number in range(8):
            await window.add(number)
        expected = window.newest_first
        assert (await window.page(skip=3, page_size=2))[0] == expected[3:5]
        _, token = await window.page(page_size=2)
        shown, token = await window.page(page_size=2, page_token=token, skip=1)
        assert shown == expected[3:5]
        assert (await window.page(page_token=token))[0] == expected[5:]
        assert await window.page(skip=8) == ([], "")
        assert await window.page(skip=10_000) == ([], "")

    async def test_filters_are_alternatives_within_a_field_and_all_hold_together(self, window: Window) -> None:
        people: dict[str, tuple[str, str, str]] = {}
        states = {"active": {}, "deactivated": {"is_active": False}, "deleted": TOMBSTONE}
        for number, kind in enumerate(itertools.product(ROLES, ("none", "pending", "approved"), states)):
            role, host_status, state = kind
            user_id = await window.add(number, role=role, host_status=host_status, **states[state])
            people[user_id] = kind
        for roles, host_statuses, chosen in (
            (["admin"], [], []),
            ([], ["pending"], []),
            ([], [], ["deleted", "deactivated"]),
            (["moderator", "admin"], ["approved", "none"], ["active"]),
            ([], ["rejected"], []),
            ([], [], []),
        ):
            shown, _ = await window.page(
                roles=[ROLES[role] for role in roles],
                host_statuses=[f"HOST_STATUS_{text.upper()}" for text in host_statuses],
                states=[f"USER_STATE_{text.upper()}" for text in chosen],
            )
            assert shown == [
                user_id
                for user_id in window.newest_first
                for role, host_status, state in [people[user_id]]
                if (not roles or role in roles)
                and (not host_statuses or host_status in host_statuses)
                and (not chosen or state in chosen)
            ]

    async def test_times_are_from_the_first_one_to_before_the_second(self, window: Window) -> None:
        before, first, last, after = [await window.add(second) for second in (-1, 0, 3599, 3600)]
        assert (await window.page())[0] == [last, first]
        request = window.request()
        request.create_time_until.nanos = 1
        request.create_time_from.nanos = 1
        shown = (await window.banter.users.ListUsers(request, metadata=window.banter.as_service)).users
        assert [user.user_id for user in shown] == [after, last]
        assert before not in {user.user_id for user in shown}

    async def test_staff_see_what_is_personal(self, banter: Running, window: Window) -> None:
        user_id = await window.add(0)
        moderator = banter.as_user((await banter.new_user(role="moderator")).user_id)
        (user,) = (await banter.users.ListUsers(window.request(), metadata=moderator)).users
        assert (
            user
            == (await banter.users.GetUser(user_pb2.GetUserRequest(user_id=user_id), metadata=banter.as_service)).user
        )
        assert user.phone_number

    async def test_a_token_is_good_for_the_same_list_only(self, window: Window) -> None:
        for number in range(2):
            await window.add(number)
        _, token = await window.page(page_size=1)
        for fields in ({"page_token": token, "roles": ["USER_ROLE_USER"]}, {"page_token": "x"}):
            failure = await refused(window.page(**fields))
            assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")

    @pytest.mark.parametrize(
        "fields",
        [
            {"skip": -1},
            {"skip": 10_001},
            {"page_size": -1},
            {"roles": [0]},
            {"roles": [17]},
            {"roles": [1, 1]},
            {"states": [9]},
            {"create_time_from": Timestamp(seconds=2**62)},
            {"create_time_until": Timestamp(seconds=-(2**62), nanos=-1)},
        ],
        ids=str,
    )
    async def test_what_makes_no_sense_is_refused_by_its_field(
        self, banter: Running, fields: dict[str, object]
    ) -> None:
        request = user_pb2.ListUsersRequest(**fields)  # type: ignore[arg-type]
        failure = await refused(banter.users.ListUsers(request, metadata=banter.as_service))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")
        assert failure.message.startswith(next(iter(fields)))

    async def test_users_list_nobody(self, banter: Running, window: Window) -> None:
        metadata = banter.as_user((await banter.new_user()).user_id)
        failure = await refused(banter.users.ListUsers(window.request(), metadata=metadata))
        assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ADMITTED")


class TestGetUserStats:
    async def counts(self, banter: Running) -> tuple[int, dict[str, int]]:
        answer = await banter.users.GetUserStats(user_pb2.GetUserStatsRequest(), metadata=banter.as_service)
        return answer.total_count, {
            **{user_pb2.UserState.Name(entry.state): entry.count for entry in answer.state_counts},
            **{user_pb2.UserRole.Name(entry.role): entry.count for entry in answer.role_counts},
            **{user_pb2.HostStatus.Name(entry.host_status): entry.count for entry in answer.host_status_counts},
        }

    async def test_everybody_is_counted_once_in_each_way(self, banter: Running) -> None:
        """Other tests of this worker made users before; this one counts what it adds."""
        total, before = await self.counts(banter)
        await banter.new_user()
        await banter.new_user(role="admin", host_status="approved")
        await banter.new_user(host_status="approved", is_active=False)
        await banter.new_user(role="moderator", **TOMBSTONE)
        now_total, now = await self.counts(banter)
        assert now_total - total == 4
        assert {name: now[name] - before[name] for name in now} == {
            "USER_STATE_ACTIVE": 2,
            "USER_STATE_DEACTIVATED": 1,
            "USER_STATE_DELETED": 1,
            "USER_ROLE_USER": 2,
            "USER_ROLE_MODERATOR": 0,
            "USER_ROLE_ADMIN": 1,
            "HOST_STATUS_NONE": 1,
            "HOST_STATUS_PENDING": 0,
            "HOST_STATUS_APPROVED": 2,
            "HOST_STATUS_REJECTED": 0,
        }

    async def test_premium_is_who_has_a_period_that_runs(self, banter: Running) -> None:
        async def premium() -> int:
            answer = await banter.users.GetUserStats(user_pb2.GetUserStatsRequest(), metadata=banter.as_service)
            return answer.premium_count

        before = await premium()
        await subscribe(banter, await rich_user(banter, 1000))
        await banter.new_user()
        assert await premium() == before + 1

    async def test_users_count_nobody(self, banter: Running) -> None:
        metadata = banter.as_user((await banter.new_user()).user_id)
        failure = await refused(banter.users.GetUserStats(user_pb2.GetUserStatsRequest(), metadata=metadata))
        assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ADMITTED")
