"""UserService, hosts: what each RPC promises."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import grpc
import psycopg
import pytest
from banter.v1 import user_pb2
from pydantic import ValidationError

from banter_grpc.config import Settings
from tests.support.harness import Failure, Running, failure_of, refused, running

APPROVED, REJECTED, PENDING = (
    user_pb2.HOST_STATUS_APPROVED,
    user_pb2.HOST_STATUS_REJECTED,
    user_pb2.HOST_STATUS_PENDING,
)


def ask(banter: Running, user_id: str, note: str | None = None):
    request = user_pb2.RequestHostVerificationRequest(note=note)
    return banter.users.RequestHostVerification(request, metadata=banter.as_user(user_id))


def review(banter: Running, by: str, user_id: str, decision: user_pb2.HostStatus, note: str | None = None):
    request = user_pb2.ReviewHostVerificationRequest(user_id=user_id, decision=decision, note=note)
    return banter.users.ReviewHostVerification(request, metadata=banter.as_user(by))


def set_rates(banter: Running, user_id: str, by: str | None = None, **rates: int):
    request = user_pb2.SetHostRatesRequest(user_id=user_id, **rates)
    return banter.users.SetHostRates(request, metadata=banter.as_user(by or user_id))


async def profile(banter: Running, user_id: str) -> user_pb2.User:
    answer = await banter.users.GetUser(user_pb2.GetUserRequest(user_id=user_id), metadata=banter.as_service)
    return answer.user


async def at_once(count: int, call: Callable[[int], Awaitable[user_pb2.HostVerification]]) -> list[object]:
    """What came of so many calls that start together: an answer or a failure for each."""
    barrier = asyncio.Barrier(count)

    async def one(number: int) -> object:
        await barrier.wait()
        try:
            return await call(number)
        except grpc.aio.AioRpcError as error:
            return failure_of(error)

    async with asyncio.timeout(20):
        return await asyncio.gather(*map(one, range(count)))


class TestRequestHostVerification:
    async def test_who_asks_is_pending_however_often_he_asks(self, banter: Running) -> None:
        user = await banter.new_user()
        first = (await ask(banter, user.user_id, "I sing.")).verification
        assert (first.user_id, first.status, first.note) == (user.user_id, PENDING, "I sing.")
        assert uuid.UUID(first.verification_id).version == 7
        assert first.create_time.seconds > 1_700_000_000
        assert not any(first.HasField(name) for name in ("reviewer_id", "review_note", "review_time"))
        assert (await ask(banter, user.user_id, "And dance.")).verification == first
        now = await profile(banter, user.user_id)
        assert now.host_status == PENDING
        assert now.update_time.ToNanoseconds() > user.update_time.ToNanoseconds()

    async def test_who_was_rejected_may_ask_again(self, banter: Running) -> None:
        user, moderator = (await banter.new_user()).user_id, (await banter.new_user(role="moderator")).user_id
        first = (await ask(banter, user)).verification
        await review(banter, moderator, user, REJECTED)
        second = (await ask(banter, user)).verification
        assert second.verification_id != first.verification_id
        assert (second.status, (await profile(banter, user)).host_status) == (PENDING, PENDING)

    async def test_a_host_is_refused(self, banter: Running) -> None:
        user, moderator = (await banter.new_user()).user_id, (await banter.new_user(role="moderator")).user_id
        await ask(banter, user)
        await review(banter, moderator, user, APPROVED)
        failure = await refused(ask(banter, user))
        assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "HOST_ALREADY_APPROVED")
        assert (await profile(banter, user)).host_status == APPROVED

    async def test_who_was_erased_meanwhile_is_not_found(self, banter: Running, service_url: str) -> None:
        user = (await banter.new_user()).user_id
        async with running(banter.owner_url, service_url, caller_cache=60) as other:
            metadata = other.as_user(user)
            await other.users.Heartbeat(user_pb2.HeartbeatRequest(), metadata=metadata)
            await other.execute("ALTER TABLE users DISABLE TRIGGER users_notify")
            try:
                await erase(other, user)
            finally:
                await other.execute("ALTER TABLE users ENABLE TRIGGER users_notify")
            request = user_pb2.RequestHostVerificationRequest()
            failure = await refused(other.users.RequestHostVerification(request, metadata=metadata))
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")

    async def test_one_who_is_being_approved_waits_and_is_refused(self, banter: Running) -> None:
        user, moderator = (await banter.new_user()).user_id, (await banter.new_user(role="moderator")).user_id
        await ask(banter, user)
        async with await psycopg.AsyncConnection.connect(banter.owner_url) as reviewer:
            await reviewer.execute("UPDATE users SET host_status = 'approved' WHERE id = %s", [user])
            await reviewer.execute(
                "UPDATE host_verifications SET status = 'approved', reviewer_id = %s, review_time = clock()"
                " WHERE user_id = %s",
                [moderator, user],
            )
            call = asyncio.ensure_future(refused(ask(banter, user)))
            await someone_waits(banter)
            await reviewer.commit()
        assert (await call).reason == "HOST_ALREADY_APPROVED"
        assert await banter.execute("SELECT status FROM host_verifications WHERE user_id = %s", user) == [("approved",)]

    async def test_fifty_at_once_are_one_request(self, banter: Running) -> None:
        user = (await banter.new_user()).user_id
        answers = await at_once(50, lambda number: ask(banter, user, f"Call {number}"))
        assert all(isinstance(answer, user_pb2.RequestHostVerificationResponse) for answer in answers)
        assert len({str(answer) for answer in answers}) == 1
        assert await banter.execute("SELECT count(*) FROM host_verifications WHERE user_id = %s", user) == [(1,)]

    async def test_a_note_is_text_of_a_thousand_characters(self, banter: Running) -> None:
        user = (await banter.new_user()).user_id
        for note in ("x" * 1001, "a\x00b"):
            failure = await refused(ask(banter, user, note))
            assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")
            assert failure.message.startswith("note: ")
        assert (await ask(banter, user, "ä" * 1000)).verification.note == "ä" * 1000


class TestReviewHostVerification:
    async def test_an_approved_user_is_a_host_at_once(self, banter: Running) -> None:
        user, moderator = (await banter.new_user()).user_id, (await banter.new_user(role="moderator")).user_id
        asked = (await ask(banter, user, "I sing.")).verification
        decided = (await review(banter, moderator, user.upper(), APPROVED, "She does.")).verification
        assert (decided.verification_id, decided.note, decided.status) == (asked.verification_id, "I sing.", APPROVED)
        assert (decided.reviewer_id, decided.review_note) == (moderator, "She does.")
        assert decided.review_time.ToNanoseconds() > decided.create_time.ToNanoseconds()
        host = await profile(banter, user)
        assert (host.host_status, host.audio_rate, host.video_rate) == (APPROVED, 0, 0)
        assert await banter.execute("SELECT rating_count, seen_lately FROM hosts WHERE user_id = %s", user) == [
            (0, True)
        ]

    async def test_a_rejected_user_is_no_host(self, banter: Running) -> None:
        user, admin = (await banter.new_user()).user_id, (await banter.new_user(role="admin")).user_id
        await ask(banter, user)
        assert (await review(banter, admin, user, REJECTED)).verification.status == REJECTED
        assert (await profile(banter, user)).host_status == REJECTED
        assert await banter.execute("SELECT 1 FROM hosts WHERE user_id = %s", user) == []

    @pytest.mark.parametrize(("decision", "opposite"), [(APPROVED, REJECTED), (REJECTED, APPROVED)])
    async def test_a_decision_may_be_repeated_and_not_turned_round(
        self, banter: Running, decision: user_pb2.HostStatus, opposite: user_pb2.HostStatus
    ) -> None:
        user = (await banter.new_user()).user_id
        one, other = [(await banter.new_user(role="moderator")).user_id for _ in range(2)]
        await ask(banter, user)
        first = await review(banter, one, user, decision, "First.")
        assert await review(banter, other, user, decision, "Second.") == first
        failure = await refused(review(banter, other, user, opposite))
        assert (failure.code, failure.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "HOST_VERIFICATION_NOT_PENDING",
        )
        assert (await profile(banter, user)).host_status == decision

    async def test_who_never_asked_is_not_decided_about(self, banter: Running) -> None:
        moderator = (await banter.new_user(role="moderator")).user_id
        for status in ("none", "pending"):  # the second as no request makes it
            user = (await banter.new_user(host_status=status)).user_id
            failure = await refused(review(banter, moderator, user, APPROVED))
            assert failure.reason == "HOST_VERIFICATION_NOT_PENDING"
            assert (await profile(banter, user)).host_status == HOST_STATUS[status]

    async def test_nobody_reviews_his_own(self, banter: Running) -> None:
        admin = (await banter.new_user(role="admin")).user_id
        await ask(banter, admin)
        failure = await refused(review(banter, admin, admin.upper(), APPROVED))
        assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "HOST_VERIFICATION_OWN")
        assert (await profile(banter, admin)).host_status == PENDING

    async def test_nobody_has_this_id(self, banter: Running) -> None:
        moderator, missing = (await banter.new_user(role="moderator")).user_id, str(uuid.uuid4())
        failure = await refused(review(banter, moderator, missing, APPROVED))
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")

    @pytest.mark.parametrize("decision", [0, 1, PENDING, 9])
    async def test_a_decision_is_one_of_two(self, banter: Running, decision: user_pb2.HostStatus) -> None:
        moderator = (await banter.new_user(role="moderator")).user_id
        failure = await refused(review(banter, moderator, str(uuid.uuid4()), decision))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")

    async def test_of_fifty_reviewers_at_once_one_decides(self, banter: Running) -> None:
        user = (await banter.new_user()).user_id
        staff = [(await banter.new_user(role="moderator")).user_id for _ in range(10)]
        await ask(banter, user)
        decisions = (APPROVED, REJECTED)
        answers = await at_once(50, lambda n: review(banter, staff[n % 10], user, decisions[n // 10 % 2]))
        decided = (await profile(banter, user)).host_status
        for number, answer in enumerate(answers):
            if isinstance(answer, Failure):
                assert answer.reason == "HOST_VERIFICATION_NOT_PENDING"
                assert decisions[number // 10 % 2] != decided
            else:
                assert decisions[number // 10 % 2] == decided
        assert len({str(answer) for answer in answers if not isinstance(answer, Failure)}) == 1
        hosts = await banter.execute("SELECT 1 FROM hosts WHERE user_id = %s", user)
        assert len(hosts) == (decided == APPROVED)

    async def test_the_table_itself_refuses_a_second_pending_one_and_a_review_of_ones_own(
        self, banter: Running
    ) -> None:
        user = (await banter.new_user()).user_id
        await ask(banter, user)
        with pytest.raises(psycopg.errors.UniqueViolation):
            await banter.execute(
                "INSERT INTO host_verifications (user_id, id, status, create_time)"
                " SELECT %s, gen_random_uuid(), 'pending', clock()",
                user,
            )
        with pytest.raises(psycopg.errors.CheckViolation):
            await banter.execute(
                "UPDATE host_verifications SET status = 'approved', reviewer_id = user_id, review_time = clock()"
                " WHERE user_id = %s",
                user,
            )


class TestSetHostRates:
    async def test_a_host_sets_the_rates_that_he_names(self, banter: Running) -> None:
        host = await banter.new_user(host_status="approved")
        first = (await set_rates(banter, host.user_id, audio_rate=1, video_rate=1000)).user
        assert (first.audio_rate, first.video_rate) == (1, 1000)
        assert first.update_time.ToNanoseconds() > host.update_time.ToNanoseconds()
        assert (await set_rates(banter, host.user_id, audio_rate=0)).user.video_rate == 1000
        last = await profile(banter, host.user_id)
        assert (last.audio_rate, last.video_rate) == (0, 1000)

    async def test_admins_and_services_set_anybodys_and_moderators_their_own(self, banter: Running) -> None:
        host = (await banter.new_user(host_status="approved")).user_id
        admin, moderator = [(await banter.new_user(role=role)).user_id for role in ("admin", "moderator")]
        assert (await set_rates(banter, host, by=admin, audio_rate=7)).user.audio_rate == 7
        request = user_pb2.SetHostRatesRequest(user_id=host, video_rate=8)
        assert (await banter.users.SetHostRates(request, metadata=banter.as_service)).user.video_rate == 8
        failure = await refused(set_rates(banter, host, by=moderator, audio_rate=9))
        assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_OWNER")

    @pytest.mark.parametrize("status", ["none", "pending", "rejected"])
    async def test_who_is_no_host_has_no_rates(self, banter: Running, status: str) -> None:
        user = (await banter.new_user(host_status=status)).user_id
        failure = await refused(set_rates(banter, user, audio_rate=5))
        assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "HOST_NOT_APPROVED")
        assert (await profile(banter, user)).audio_rate == 0

    @pytest.mark.parametrize("field", ["audio_rate", "video_rate"])
    async def test_a_rate_out_of_bounds_is_refused_with_the_bounds(self, banter: Running, field: str) -> None:
        host = (await banter.new_user(host_status="approved")).user_id
        failure = await refused(set_rates(banter, host, **{field: 1001}))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "HOST_RATE_OUT_OF_RANGE")
        assert failure.metadata == {"field": field, "minimum": "1", "maximum": "1000"}
        assert failure.message == f"{field}: must be 0, for calls that are free, or 1 to 1000 coins a minute"
        failure = await refused(set_rates(banter, host, **{field: -1}))
        assert failure.reason == "REQUEST_INVALID"

    async def test_the_bounds_are_settings(self, banter: Running, service_url: str) -> None:
        host = (await banter.new_user(host_status="approved")).user_id
        async with running(banter.owner_url, service_url, host_rate_min=5, host_rate_max=6) as other:
            for rate in (0, 5, 6):
                assert (await set_rates(other, host, audio_rate=rate)).user.audio_rate == rate
            for rate in (4, 7):
                assert (await refused(set_rates(other, host, audio_rate=rate))).reason == "HOST_RATE_OUT_OF_RANGE"

    def test_bounds_that_leave_nothing_are_refused(self) -> None:
        with pytest.raises(ValidationError, match="is below host_rate_min; raise it"):
            Settings(host_rate_min=5, host_rate_max=4)

    async def test_no_rate_at_all_is_refused(self, banter: Running) -> None:
        host = (await banter.new_user(host_status="approved")).user_id
        failure = await refused(set_rates(banter, host))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")

    async def test_nobody_has_this_id(self, banter: Running) -> None:
        request = user_pb2.SetHostRatesRequest(user_id=str(uuid.uuid4()), audio_rate=1)
        failure = await refused(banter.users.SetHostRates(request, metadata=banter.as_service))
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")

    async def test_a_host_who_was_erased_is_not_found_and_leaves_nothing(self, banter: Running) -> None:
        user, moderator = (await banter.new_user()).user_id, (await banter.new_user(role="moderator")).user_id
        await ask(banter, user, "A secret.")
        await review(banter, moderator, user, APPROVED)
        await erase(banter, user)
        request = user_pb2.SetHostRatesRequest(user_id=user, audio_rate=1)
        failure = await refused(banter.users.SetHostRates(request, metadata=banter.as_service))
        assert failure.reason == "USER_NOT_FOUND"
        for table in ("hosts", "host_verifications"):
            assert await banter.execute(f"SELECT 1 FROM {table} WHERE user_id = %s", user) == []


HOST_STATUS = {"none": user_pb2.HOST_STATUS_NONE, "pending": PENDING}


async def someone_waits(banter: Running) -> None:
    """Until somebody waits for a lock in this database."""
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while not await banter.execute(query):
            await asyncio.sleep(0.005)


async def erase(banter: Running, user_id: str) -> None:
    await banter.execute(
        "UPDATE users SET phone_number = NULL, country_code = NULL, full_name = NULL, timezone = NULL,"
        " is_active = FALSE, delete_time = clock() WHERE id = %s",
        user_id,
    )
