"""WalletService: subscriptions, and who is premium."""

from __future__ import annotations

import asyncio
import datetime
import uuid
from collections.abc import Callable

import grpc
import psycopg
import pytest
from banter.v1 import wallet_pb2

from banter_grpc.errors import Refusal
from banter_grpc.handlers.wallet_subscriptions import SubscriptionHandler
from banter_grpc.rpc.caller import Caller
from tests.support.harness import Running, refused
from tests.support.money import credit, wallet_of
from tests.support.subscriptions import (
    StopClock,
    at,
    cancel,
    periods_of,
    rich_user,
    subscribe,
    subscription_of,
    time_of,
)
from tests.support.turns import outcome

ACTIVE = wallet_pb2.SUBSCRIPTION_STATUS_ACTIVE
CANCELLED = wallet_pb2.SUBSCRIPTION_STATUS_CANCELLED
ENDED = wallet_pb2.SUBSCRIPTION_STATUS_ENDED


def new_plan(banter: Running, *, is_active: bool = True) -> str:
    """A plan that no other test knows."""
    plan_id = f"test_{uuid.uuid4().hex[:20]}"
    with psycopg.connect(banter.owner_url, autocommit=True) as owner:
        owner.execute("INSERT INTO plans (id, coins, months, is_active) VALUES (%s, 50, 1, %s)", [plan_id, is_active])
    return plan_id


class TestSubscribe:
    async def test_the_first_period_is_charged_and_begins_at_once(self, banter: Running) -> None:
        user = await rich_user(banter, 1000)
        answer = await subscribe(banter, user)
        transaction = answer.transaction
        assert (transaction.amount, transaction.balance_after) == (-299, 701)
        assert (transaction.user_id, transaction.wallet) == (user, wallet_pb2.WALLET_KIND_COINS)
        assert transaction.kind == wallet_pb2.TRANSACTION_KIND_SUBSCRIPTION
        assert transaction.subject_id == answer.subscription_id
        assert answer.period.number == 0
        assert answer.period.start_time == transaction.create_time
        assert (await wallet_of(banter, user)).coins.available == 701
        assert (await subscription_of(banter, user)).is_premium
        assert len(periods_of(banter, user)) == 1

    @pytest.mark.parametrize(
        ("plan", "coins", "end"),
        [
            ("monthly", 299, "2031-02-28 10:00"),
            ("quarterly", 799, "2031-04-30 10:00"),
            ("yearly", 2499, "2032-01-31 10:00"),
        ],
    )
    async def test_a_plan_has_its_price_and_its_months(
        self, banter: Running, clock_at: StopClock, plan: str, coins: int, end: str
    ) -> None:
        user = await rich_user(banter)
        clock_at("2031-01-31 10:00")
        answer = await subscribe(banter, user, plan)
        assert answer.transaction.amount == -coins
        assert time_of(answer.period.end_time) == at(end)

    async def test_who_has_too_few_coins_is_told_and_told_again(self, banter: Running) -> None:
        user, request_id = (await banter.new_user()).user_id, str(uuid.uuid4())
        first = await refused(subscribe(banter, user, request_id=request_id))
        assert (first.code, first.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "COINS_INSUFFICIENT")
        assert first.metadata == {"available": "100", "needed": "299"}
        await credit(banter, user, 1000)
        again = await refused(subscribe(banter, user, request_id=request_id))
        assert (again.message, again.metadata) == (first.message, first.metadata)
        assert (await subscribe(banter, user)).transaction.balance_after == 801

    async def test_coins_that_are_held_are_not_spent(self, banter: Running) -> None:
        user = await rich_user(banter, 400)
        with psycopg.connect(banter.owner_url, autocommit=True) as owner:
            owner.execute(
                "UPDATE wallets SET available = 200, held = 200 WHERE user_id = %s AND kind = 'coins'", [user]
            )
        assert (await refused(subscribe(banter, user))).metadata == {"available": "200", "needed": "299"}

    async def test_a_plan_that_is_not_there_is_refused(self, banter: Running) -> None:
        failure = await refused(subscribe(banter, await rich_user(banter), "weekly"))
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "PLAN_NOT_FOUND")

    async def test_a_plan_that_is_not_active_takes_nobody(self, banter: Running) -> None:
        plan = new_plan(banter, is_active=False)
        failure = await refused(subscribe(banter, await rich_user(banter), plan))
        assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PLAN_INACTIVE")

    @pytest.mark.parametrize("plan", ["monthly", "yearly"])
    async def test_who_is_subscribed_is_told_until_when(self, banter: Running, clock_at: StopClock, plan: str) -> None:
        user = await rich_user(banter)
        clock_at("2031-01-31 10:00")
        await subscribe(banter, user)
        failure = await refused(subscribe(banter, user, plan))
        assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SUBSCRIPTION_RUNNING")
        assert failure.metadata == {"end_time": "2031-02-28T10:00:00+00:00"}
        assert len(periods_of(banter, user)) == 1

    async def test_one_that_was_cancelled_goes_on_and_costs_nothing_before_its_time(self, banter: Running) -> None:
        user, request_id = await rich_user(banter, 1000), str(uuid.uuid4())
        first = await subscribe(banter, user)
        await cancel(banter, user)
        answers = [await subscribe(banter, user, request_id=request_id) for _ in range(2)]
        expected = wallet_pb2.SubscribeResponse(subscription_id=first.subscription_id, period=first.period)
        assert answers == [expected, expected]
        now = await subscription_of(banter, user)
        assert (now.subscription.status, now.subscription.auto_renew) == (ACTIVE, True)
        assert not now.subscription.HasField("cancel_time")
        assert (await wallet_of(banter, user)).coins.available == 701
        assert len(periods_of(banter, user)) == 1

    async def test_one_that_was_cancelled_runs_out_before_another_plan_begins(self, banter: Running) -> None:
        user = await rich_user(banter)
        await subscribe(banter, user)
        await cancel(banter, user)
        failure = await refused(subscribe(banter, user, "yearly"))
        assert failure.reason == "SUBSCRIPTION_RUNNING"
        assert (await subscription_of(banter, user)).subscription.status == CANCELLED

    async def test_after_the_end_of_one_another_begins(self, banter: Running, clock_at: StopClock) -> None:
        user = await rich_user(banter)
        clock_at("2031-01-31 10:00")
        first = await subscribe(banter, user)
        await cancel(banter, user)
        clock_at("2031-02-28 09:59:59.999999")
        assert (await refused(subscribe(banter, user, "yearly"))).reason == "SUBSCRIPTION_RUNNING"
        clock_at("2031-02-28 10:00")
        second = await subscribe(banter, user, "yearly")
        assert second.subscription_id != first.subscription_id
        assert second.period.start_time == first.period.end_time
        assert [period.place for period in periods_of(banter, user)] == [1, 2]

    async def test_a_request_id_belongs_to_one_request(self, banter: Running) -> None:
        user, request_id = await rich_user(banter), str(uuid.uuid4())
        await subscribe(banter, user, request_id=request_id)
        failure = await refused(subscribe(banter, user, "yearly", request_id))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")

    async def test_fifty_identical_at_once_charge_once_and_answer_alike(self, banter: Running) -> None:
        user, request_id = await rich_user(banter, 1000), str(uuid.uuid4())
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(subscribe(banter, user, request_id=request_id) for _ in range(50)))
        assert all(answer == answers[0] for answer in answers)
        assert (await wallet_of(banter, user)).coins.available == 701
        assert len(periods_of(banter, user)) == 1

    async def test_fifty_identical_that_are_refused_answer_alike(self, banter: Running) -> None:
        user, request_id = (await banter.new_user()).user_id, str(uuid.uuid4())
        async with asyncio.timeout(30):
            failures = await asyncio.gather(
                *(refused(subscribe(banter, user, request_id=request_id)) for _ in range(50))
            )
        told = {(failure.reason, failure.message) for failure in failures}
        assert {reason for reason, _ in told} == {"COINS_INSUFFICIENT"} and len(told) == 1

    async def test_fifty_different_at_once_charge_once(self, banter: Running) -> None:
        user = await rich_user(banter, 100_000)
        async with asyncio.timeout(30):
            outcomes = await asyncio.gather(
                *(outcome(subscribe(banter, user, plan)) for plan in ("monthly", "yearly") * 25)
            )
        assert outcomes.count("SUBSCRIPTION_RUNNING") == 49
        (answer,) = (answer for answer in outcomes if answer != "SUBSCRIPTION_RUNNING")
        assert (await wallet_of(banter, user)).coins.available == answer.transaction.balance_after
        assert len(periods_of(banter, user)) == 1

    async def test_a_request_whose_key_has_expired_still_charges_nothing_twice(
        self, banter: Running, move_clock: Callable[[float], None]
    ) -> None:
        user, request_id = await rich_user(banter), str(uuid.uuid4())
        first = await subscribe(banter, user, request_id=request_id)
        move_clock(40 * 86400)
        with psycopg.connect(banter.owner_url, autocommit=True) as owner:
            owner.execute("DELETE FROM idempotency_keys WHERE request_id = %s", [request_id])
        assert await subscribe(banter, user, request_id=request_id) == first
        assert (await refused(subscribe(banter, user, "yearly", request_id))).reason == "REQUEST_ID_REUSED"
        assert len(periods_of(banter, user)) == 1

    async def test_who_was_deactivated_after_he_was_let_in_is_not_charged(self, banter: Running) -> None:
        user = await rich_user(banter)
        await banter.set_columns(user, is_active=False)
        request = wallet_pb2.SubscribeRequest(plan_id="monthly", request_id=str(uuid.uuid4()))
        with pytest.raises(Refusal) as caught:
            await SubscriptionHandler(banter.server.database).Subscribe(
                request, Caller(user, "user", None, frozenset(), user)
            )
        assert caught.value.reason == "CALLER_INACTIVE"
        assert periods_of(banter, user) == []


class TestCancelSubscription:
    async def test_premium_stays_until_the_end_of_what_is_paid(self, banter: Running, clock_at: StopClock) -> None:
        user = await rich_user(banter)
        clock_at("2031-01-31 10:00")
        await subscribe(banter, user)
        clock_at("2031-02-10 00:00")
        cancelled = (await cancel(banter, user)).subscription
        assert (cancelled.status, cancelled.auto_renew, cancelled.renewal_coins) == (CANCELLED, False, 0)
        assert time_of(cancelled.cancel_time) == at("2031-02-10 00:00")
        clock_at("2031-02-28 09:59:59.999999")
        assert (await subscription_of(banter, user)).is_premium
        clock_at("2031-02-28 10:00")
        after = await subscription_of(banter, user)
        assert (after.is_premium, after.subscription.status) == (False, ENDED)

    async def test_fifty_at_once_and_one_more_change_nothing_more(self, banter: Running, clock_at: StopClock) -> None:
        user = await rich_user(banter)
        clock_at("2031-01-31 10:00")
        await subscribe(banter, user)
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(cancel(banter, user) for _ in range(50)))
        clock_at("2031-02-01 10:00")
        assert {answer.SerializeToString() for answer in [*answers, await cancel(banter, user)]} == {
            answers[0].SerializeToString()
        }

    async def test_there_is_nothing_to_cancel_before_and_after(self, banter: Running, clock_at: StopClock) -> None:
        user = await rich_user(banter)
        before = await refused(cancel(banter, user))
        clock_at("2031-01-31 10:00")
        await subscribe(banter, user)
        await cancel(banter, user)
        clock_at("2031-02-28 10:00")
        after = await refused(cancel(banter, user))
        for failure in (before, after):
            assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "SUBSCRIPTION_NOT_FOUND")


class TestGetSubscription:
    async def test_it_says_what_runs_and_when_it_renews(self, banter: Running, clock_at: StopClock) -> None:
        user = await rich_user(banter)
        clock_at("2031-01-31 10:00")
        started = await subscribe(banter, user)
        answer = await banter.wallets.GetSubscription(
            wallet_pb2.GetSubscriptionRequest(user_id=user), metadata=banter.as_user(user)
        )
        subscription = answer.subscription
        assert answer.is_premium
        assert (subscription.user_id, subscription.subscription_id) == (user, started.subscription_id)
        assert (subscription.plan_id, subscription.status, subscription.auto_renew) == ("monthly", ACTIVE, True)
        assert subscription.period == started.period
        assert time_of(subscription.paid_until_time) == at("2031-02-28 10:00")
        assert subscription.renewal_coins == 299
        assert time_of(subscription.renewal_time) == at("2031-02-28 10:00") - datetime.timedelta(hours=24)
        assert not subscription.HasField("cancel_time")
        assert time_of(subscription.create_time) == at("2031-01-31 10:00")

    async def test_a_period_begins_with_its_first_microsecond(self, banter: Running, clock_at: StopClock) -> None:
        user = await rich_user(banter)
        clock_at("2031-01-31 10:00:00.000001")
        await subscribe(banter, user)
        assert (await subscription_of(banter, user)).is_premium
        clock_at("2031-01-31 10:00")
        assert not (await subscription_of(banter, user)).is_premium

    async def test_who_never_subscribed_has_none(self, banter: Running) -> None:
        user = (await banter.new_user()).user_id
        assert await subscription_of(banter, user) == wallet_pb2.GetSubscriptionResponse()

    async def test_who_is_not_there_has_none(self, banter: Running) -> None:
        failure = await refused(subscription_of(banter, str(uuid.uuid4())))
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")
