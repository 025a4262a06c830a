"""What a refund does to a period: it ends, and what is left of the chain still fits."""

from __future__ import annotations

import psycopg
import pytest
from banter.v1 import wallet_pb2

from tests.support.harness import Running
from tests.support.refunds import refund
from tests.support.subscriptions import (
    StopClock,
    at,
    periods_of,
    renewed,
    subscribe,
    subscriber,
    subscription_of,
    time_of,
)

ACTIVE = wallet_pb2.SUBSCRIPTION_STATUS_ACTIVE
CANCELLED = wallet_pb2.SUBSCRIPTION_STATUS_CANCELLED
ENDED = wallet_pb2.SUBSCRIPTION_STATUS_ENDED


async def end_period(banter: Running, user_id: str, transaction_id: str) -> bool:
    """Ends a period as a refund of its transaction does; whether it had time left."""
    async with await psycopg.AsyncConnection.connect(banter.owner_url) as connection:
        await connection.execute("SELECT FROM wallets WHERE user_id = %s FOR NO KEY UPDATE", [user_id])
        rows = await connection.execute("SELECT end_subscription_period(%s)", [transaction_id])
        row = await rows.fetchone()
    assert row is not None
    return row[0]


class TestEndPeriod:
    async def test_a_whole_refund_ends_it_and_a_part_of_one_does_not(
        self, banter: Running, clock_at: StopClock
    ) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        admin = (await banter.new_user(role="admin")).user_id
        (period,) = periods_of(banter, user)
        clock_at("2031-02-10 09:00")
        await refund(banter, admin, user, period.transaction_id, 100)
        assert (await subscription_of(banter, user)).is_premium
        await refund(banter, admin, user, period.transaction_id)
        answer = await subscription_of(banter, user)
        assert (answer.is_premium, answer.subscription.status) == (False, ENDED)

    async def test_premium_ends_at_that_moment_and_nothing_renews(self, banter: Running, clock_at: StopClock) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        (period,) = periods_of(banter, user)
        clock_at("2031-02-28 09:00")
        assert await end_period(banter, user, period.transaction_id)
        assert not await end_period(banter, user, period.transaction_id)
        answer = await subscription_of(banter, user)
        assert (answer.is_premium, answer.subscription.status) == (False, ENDED)
        (ended,) = await renewed(banter, user)
        assert ended.end == at("2031-02-28 09:00")
        clock_at("2031-02-28 08:59:59.999999")
        assert (await subscription_of(banter, user)).is_premium

    async def test_who_has_his_coins_back_may_subscribe_at_once(self, banter: Running, clock_at: StopClock) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        (period,) = periods_of(banter, user)
        clock_at("2031-02-10 10:00")
        await end_period(banter, user, period.transaction_id)
        answer = await subscribe(banter, user, "yearly")
        assert time_of(answer.period.start_time) == at("2031-02-10 10:00")

    async def test_a_period_that_is_over_stays_and_the_next_one_too(self, banter: Running, clock_at: StopClock) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        clock_at("2031-02-28 00:00")
        before = await renewed(banter, user)
        clock_at("2031-03-01 00:00")
        assert not await end_period(banter, user, before[0].transaction_id)
        assert periods_of(banter, user) == before
        assert (await subscription_of(banter, user)).subscription.status == ACTIVE

    async def test_one_that_has_not_begun_never_does_and_the_one_before_it_runs_out(
        self, banter: Running, clock_at: StopClock
    ) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        clock_at("2031-02-28 00:00")
        _, next_one = await renewed(banter, user)
        assert await end_period(banter, user, next_one.transaction_id)
        assert not await end_period(banter, user, next_one.transaction_id)
        answer = await subscription_of(banter, user)
        assert (answer.is_premium, answer.subscription.status) == (True, CANCELLED)
        assert time_of(answer.subscription.paid_until_time) == at("2031-02-28 10:00")
        clock_at("2031-02-28 10:00")
        assert not (await subscription_of(banter, user)).is_premium

    async def test_one_that_goes_on_after_that_is_charged_for_the_time_after_its_end(
        self, banter: Running, clock_at: StopClock
    ) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        clock_at("2031-02-28 00:00")
        for _ in range(2):
            last = (await renewed(banter, user))[-1]
            await end_period(banter, user, last.transaction_id)
            await subscribe(banter, user)
        last = (await renewed(banter, user))[-1]
        assert (last.place, last.start, last.end) == (4, at("2031-02-28 10:00"), at("2031-03-28 10:00"))

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "the later one first"])
    async def test_with_both_of_them_ended_another_may_begin_at_once(
        self, banter: Running, clock_at: StopClock, order: tuple[int, int]
    ) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        clock_at("2031-02-28 00:00")
        periods = await renewed(banter, user)
        for number in order:
            await end_period(banter, user, periods[number].transaction_id)
        assert not (await subscription_of(banter, user)).is_premium
        answer = await subscribe(banter, user)
        assert time_of(answer.period.start_time) == at("2031-02-28 00:00")

    async def test_whatever_follows_the_one_that_runs_and_was_ended_before_ends_with_it(
        self, banter: Running, clock_at: StopClock
    ) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        clock_at("2031-02-28 00:00")
        for _ in range(3):
            last = (await renewed(banter, user))[-1]
            await end_period(banter, user, last.transaction_id)
            await subscribe(banter, user)
        first, *others = periods_of(banter, user)
        assert len(others) == 3
        assert await end_period(banter, user, first.transaction_id)
        assert {period.end for period in periods_of(banter, user)} == {at("2031-02-28 00:00")}
        answer = await subscription_of(banter, user)
        assert (answer.is_premium, answer.subscription.status) == (False, ENDED)
        assert (await subscribe(banter, user, "yearly")).HasField("transaction")
