"""UserService, activities: what each RPC promises."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import grpc
import psycopg
import pytest
from banter.v1 import user_pb2
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from banter_grpc.database.queries import user_activity as queries
from tests.conftest import NewDatabase
from tests.support.erasing import ERASE
from tests.support.harness import Metadata, Running, refused, running
from tests.support.turns import blocked

NOW = datetime.now(UTC)
TODAY = NOW.date().isoformat()
DAY = 86_400


def new_type() -> str:
    """A type that no other test uses: the numbers of a type are everybody's."""
    return f"test.t{uuid.uuid4().hex}"


def new(kind: str, ago: float = 0.0, **data: object) -> user_pb2.NewActivity:
    """An activity of so many seconds ago."""
    occur_time = Timestamp()
    occur_time.FromMicroseconds(int((time.time() - ago) * 1e6))
    return user_pb2.NewActivity(type=kind, occur_time=occur_time, data=json_format.ParseDict(data, Struct()))


def record(banter: Running, user_id: str, *activities: user_pb2.NewActivity, by: Metadata | None = None, **fields: str):
    request = user_pb2.RecordActivitiesRequest(user_id=user_id, activities=activities, **fields)
    return banter.users.RecordActivities(request, metadata=by or banter.as_user(user_id))


async def counts(banter: Running, kind: str, start: str = "", end: str = "") -> dict[str, int]:
    """The number of activities of a type by day, around today where nothing else is said."""
    start = start or (NOW - timedelta(days=100)).date().isoformat()
    end = end or (NOW + timedelta(days=2)).date().isoformat()
    request = user_pb2.GetActivityStatsRequest(start_date=start, end_date=end, page_size=200)
    found: dict[str, int] = {}
    while True:
        answer = await banter.users.GetActivityStats(request, metadata=banter.as_service)
        found |= {each.date: each.activity_count for each in answer.counts if each.type == kind}
        request.page_token = answer.next_page_token
        if not request.page_token:
            return found


async def total(banter: Running, kind: str) -> int:
    return sum((await counts(banter, kind)).values())


async def fold(banter: Running, at_most: int = 1000) -> int:
    row = await banter.server.database.run(queries.fold_activity_tallies(at_most=at_most))
    assert row is not None
    return row.folded_count


async def rows(banter: Running, query: str, *parameters: object) -> list[tuple[object, ...]]:
    async with await psycopg.AsyncConnection.connect(banter.owner_url, autocommit=True) as connection:
        cursor = await connection.execute(query.encode(), parameters)
        return await cursor.fetchall() if cursor.description else []


async def recorded(banter: Running, user_id: str) -> list[tuple[object, ...]]:
    query = "SELECT type, data, micros(occur_time) FROM user_activities WHERE user_id = %s ORDER BY occur_time"
    return await rows(banter, query, user_id)


@pytest.fixture
async def user(banter: Running) -> str:
    return (await banter.new_user()).user_id


class TestRecordActivities:
    async def test_what_is_recorded_is_there_and_counted(self, banter: Running, user: str) -> None:
        kind, other = new_type(), new_type()
        activities = [new(kind, 29 * DAY, room="7"), new(other), new(kind), new(kind, -290, deep={"er": [1.5, None]})]
        await record(banter, user, *activities)
        assert await recorded(banter, user) == [
            (each.type, json_format.MessageToDict(each.data), each.occur_time.ToMicroseconds())
            for each in sorted(activities, key=lambda each: each.occur_time.ToMicroseconds())
        ]
        days = [each.occur_time.ToDatetime().date().isoformat() for each in activities if each.type == kind]
        assert await counts(banter, kind) == {day: days.count(day) for day in days}
        assert await total(banter, other) == 1

    async def test_a_replay_records_nothing_more(self, banter: Running, user: str) -> None:
        kind, request_id = new_type(), str(uuid.uuid4())
        activities = [new(kind), new(kind, 5)]
        for sent in (request_id, request_id.upper(), str(uuid.uuid4())):
            await record(banter, user, *activities, request_id=sent)
        assert await total(banter, kind) == 4
        assert len(await recorded(banter, user)) == 4
        await fold(banter)
        await record(banter, user, *activities, request_id=request_id)
        assert await total(banter, kind) == 4

    async def test_a_request_id_is_its_callers_own(self, banter: Running, user: str) -> None:
        kind, request_id = new_type(), str(uuid.uuid4())
        activity = new(kind)
        for by in (banter.as_service, banter.as_user(user), banter.as_service):
            await record(banter, user, activity, by=by, request_id=request_id)
        assert await total(banter, kind) == 2

    async def test_equal_activities_without_a_request_id_are_two(self, banter: Running, user: str) -> None:
        kind = new_type()
        activity = new(kind)
        await record(banter, user, activity, activity)
        await record(banter, user, activity)
        assert await total(banter, kind) == 3

    async def test_fifty_replays_at_once_record_once(self, banter: Running, user: str) -> None:
        kind, request_id = new_type(), str(uuid.uuid4())
        activities = [new(kind, second) for second in range(10)]
        async with asyncio.timeout(30):
            await asyncio.gather(*(record(banter, user, *activities, request_id=request_id) for _ in range(50)))
        assert await total(banter, kind) == 10
        assert len(await recorded(banter, user)) == 10

    async def test_a_thousand_are_one_call(self, banter: Running, user: str) -> None:
        kind = new_type()
        await record(banter, user, *[new(kind, second) for second in range(1000)])
        assert await total(banter, kind) == 1000
        tallies = await rows(banter, "SELECT count(*) FROM activity_tallies WHERE type = %s", kind)
        assert tallies[0][0] in (1, 2), "one a day"

    @pytest.mark.parametrize("seconds", [30 * DAY + 60, 400 * DAY, -360, -40 * DAY, 5e9])
    async def test_what_is_old_or_has_not_come_is_refused(self, banter: Running, user: str, seconds: float) -> None:
        failure = await refused(record(banter, user, new("test.ping"), new("test.ping", seconds)))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "OCCUR_TIME_INVALID")
        assert failure.metadata == {"field": "activities[1].occur_time"}
        assert await recorded(banter, user) == []

    @pytest.mark.parametrize("nanos", [-1, 10**9])
    async def test_a_time_that_is_none_is_refused(self, banter: Running, user: str, nanos: int) -> None:
        bad = user_pb2.NewActivity(type="test.ping", occur_time=Timestamp(seconds=int(time.time()), nanos=nanos))
        failure = await refused(record(banter, user, bad))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "OCCUR_TIME_INVALID")

    @pytest.mark.parametrize("data", [{"a": "\x00"}, {"a": "x" * 4096}, {"a": [1e300] * 100}])
    async def test_data_that_can_not_be_kept_is_refused_with_all(
        self, banter: Running, user: str, data: dict[str, object]
    ) -> None:
        """The last is refused by the database, in the middle of the statement: nothing of it is left, and no tally."""
        kind = new_type()
        failure = await refused(record(banter, user, new(kind), new(kind, **data)))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "DATA_INVALID")
        assert await recorded(banter, user) == []
        assert await total(banter, kind) == 0

    @pytest.mark.parametrize(
        "activities",
        [
            [],
            [new("test.ping")] * 1001,
            [new("Test")],
            [new("")],
            [new("a" * 65)],
            [user_pb2.NewActivity(type="test.ping")],
        ],
        ids=["none", "many", "type", "no type", "long type", "no time"],
    )
    async def test_a_bad_request_is_refused(
        self, banter: Running, user: str, activities: Sequence[user_pb2.NewActivity]
    ) -> None:
        failure = await refused(record(banter, user, *activities))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")

    async def test_users_record_their_own(self, banter: Running, user: str) -> None:
        other = await banter.new_user(role="admin")
        failure = await refused(record(banter, user, new("test.ping"), by=banter.as_user(other.user_id)))
        assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_OWNER")

    async def test_nobody_has_this_id(self, banter: Running, user: str) -> None:
        await rows(banter, ERASE, user)
        kind = new_type()
        for missing in (str(uuid.uuid4()), user):
            failure = await refused(record(banter, missing, new(kind), by=banter.as_service))
            assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")
        assert await total(banter, kind) == 0

    async def test_one_who_is_being_erased_is_gone_and_what_he_did_stays_counted(
        self, banter: Running, user: str
    ) -> None:
        kind = new_type()
        await record(banter, user, new(kind), new(kind, 29 * DAY))
        async with await psycopg.AsyncConnection.connect(banter.owner_url) as erasing:
            await erasing.execute(ERASE.encode(), [user])
            late = asyncio.ensure_future(refused(record(banter, user, new(kind), by=banter.as_service)))
            await blocked(erasing)
            await erasing.commit()
        assert (await late).reason == "USER_NOT_FOUND"
        assert await recorded(banter, user) == []
        assert await total(banter, kind) == 2

    async def test_without_its_months_table_it_is_to_be_tried_again(self, new_database: NewDatabase) -> None:
        """As after months in which nobody ran the service: its first job makes the table."""
        made = new_database()
        async with running(made.owner_url, made.service_url) as banter:
            query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'user_activities'::regclass"
            for (partition,) in await rows(banter, query):
                await rows(banter, f"DROP TABLE {partition}")
            user_id, kind = (await banter.new_user()).user_id, new_type()
            failure = await refused(record(banter, user_id, new(kind)))
            assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
            assert failure.retry_seconds == 1.0
            assert await total(banter, kind) == 0
            await banter.server.database.run(queries.make_activity_partitions())
            await record(banter, user_id, new(kind))
            assert await total(banter, kind) == 1


class TestGetActivityStats:
    async def test_numbers_never_go_back_and_end_exact(self, banter: Running) -> None:
        """Fifty who record, two who fold, and two who read, all at once."""
        kind, users = new_type(), [(await banter.new_user()).user_id for _ in range(50)]
        done = asyncio.Event()

        async def records(user_id: str) -> None:
            for second in range(4):
                await record(banter, user_id, *[new(kind, second), new(kind, 2 * DAY), new(new_type())])

        async def folds() -> None:
            while not done.is_set():
                await fold(banter, 7)

        async def reads() -> list[int]:
            seen = [0]
            while not done.is_set():
                seen.append(await total(banter, kind))
            return seen

        async with asyncio.timeout(60):
            others = [asyncio.ensure_future(each()) for each in (reads, reads, folds, folds)]
            await asyncio.gather(*map(records, users))
            done.set()
            seen, more, *_ = await asyncio.gather(*others)
        assert seen == sorted(seen)
        assert more == sorted(more)
        assert await total(banter, kind) == 400
        while await fold(banter):
            assert await total(banter, kind) == 400
        assert await rows(banter, "SELECT FROM activity_tallies WHERE type = %s", kind) == []
        assert await rows(banter, "SELECT sum(count) FROM activity_totals WHERE type = %s", kind) == [(400,)]

    async def test_all_pages_together_are_the_statistic(self, banter: Running) -> None:
        kind = new_type()
        wanted = [(f"1999-01-{day:02d}", f"{kind}.{letter}") for day in (1, 2, 9) for letter in "abc"]
        for number, (day, name) in enumerate(wanted, 1):
            table, columns = ("activity_totals", "") if number % 2 else ("activity_tallies", ", id")
            query = f"INSERT INTO {table} (day, type, count{columns}) SELECT %s, %s, %s"
            await rows(banter, query + (", gen_random_uuid()" if columns else ""), day, name, number)
        request = user_pb2.GetActivityStatsRequest(start_date="1999-01-01", end_date="1999-01-09", page_size=2)
        found: list[user_pb2.ActivityCount] = []
        while True:
            answer = await banter.users.GetActivityStats(request, metadata=banter.as_service)
            found += answer.counts
            assert len(answer.counts) <= 2
            request.page_token = answer.next_page_token
            if not request.page_token:
                break
        own = [each for each in found if each.type.startswith(kind)]
        assert [(each.date, each.type) for each in own] == wanted
        assert [each.activity_count for each in own] == list(range(1, 10))

    async def test_both_days_are_counted_and_none_beside_them(self, banter: Running, user: str) -> None:
        kind = new_type()
        await record(banter, user, *[new(kind, days * DAY) for days in range(5)])
        first, last = ((NOW - timedelta(days=days)).date().isoformat() for days in (3, 1))
        found = await counts(banter, kind, first, last)
        assert len(found) == 3
        assert (min(found), max(found)) == (first, last)

    @pytest.mark.parametrize(
        ("start", "end", "field"),
        [
            ("2026-02-29", "2026-03-01", "start_date"),
            ("2026-02-01", "2026-02-30", "end_date"),
            ("2026-02-02", "2026-02-01", "end_date"),
            ("2026-01-01", "2027-02-05", "end_date"),
            ("0000-01-01", "2026-01-01", "start_date"),
        ],
    )
    async def test_days_that_are_none_or_too_many_are_refused(
        self, banter: Running, start: str, end: str, field: str
    ) -> None:
        failure = await refused(counts(banter, "test.ping", start, end))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "DATE_RANGE_INVALID")
        assert failure.metadata == {"field": field}
        assert await counts(banter, "test.ping", "2025-01-01", "2026-02-04") is not None

    async def test_what_is_no_date_is_refused(self, banter: Running) -> None:
        failure = await refused(counts(banter, "test.ping", "1.1.2026", "2026-01-01"))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")

    async def test_a_token_that_was_changed_is_refused(self, banter: Running) -> None:
        request = user_pb2.GetActivityStatsRequest(start_date=TODAY, end_date=TODAY, page_token="abc")
        failure = await refused(banter.users.GetActivityStats(request, metadata=banter.as_service))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")

    async def test_it_is_for_staff(self, banter: Running, user: str) -> None:
        request = user_pb2.GetActivityStatsRequest(start_date=TODAY, end_date=TODAY)
        failure = await refused(banter.users.GetActivityStats(request, metadata=banter.as_user(user)))
        assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ADMITTED")
        for role in ("moderator", "admin"):
            staff = await banter.new_user(role=role)
            await banter.users.GetActivityStats(request, metadata=banter.as_user(staff.user_id))
