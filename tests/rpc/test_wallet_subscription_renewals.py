"""Renewal of subscriptions: charged once, in time or not at all, whoever runs it and whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import datetime
import uuid
from functools import partial

import psycopg
import pytest
from banter.v1 import wallet_pb2

from banter_grpc.database.database import Database, PoolSettings
from banter_grpc.database.queries import wallet_subscriptions as queries
from banter_grpc.jobs import subscriptions
from banter_grpc.jobs.subscriptions import renew
from tests.conftest import NewDatabase
from tests.support.clock import stop_clock
from tests.support.harness import Running, refused, running
from tests.support.money import credit, wallet_of
from tests.support.subscriptions import (
    StopClock,
    at,
    cancel,
    periods_of,
    renewed,
    rich_user,
    subscribe,
    subscriber,
    subscription_of,
    time_of,
)

ACTIVE = wallet_pb2.SUBSCRIPTION_STATUS_ACTIVE
CANCELLED = wallet_pb2.SUBSCRIPTION_STATUS_CANCELLED
OVERDUE = wallet_pb2.SUBSCRIPTION_STATUS_OVERDUE
ENDED = wallet_pb2.SUBSCRIPTION_STATUS_ENDED


class TestRenewal:
    async def test_it_is_charged_from_24_hours_before_the_end_once(self, banter: Running, clock_at: StopClock) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        clock_at("2031-02-27 09:59:59.999999")
        assert len(await renewed(banter, user)) == 1
        clock_at("2031-02-27 10:00")
        assert len(await renewed(banter, user)) == 2
        assert len(await renewed(banter, user)) == 2
        assert (await wallet_of(banter, user)).coins.available == 10_000 - 2 * 299

    async def test_periods_are_counted_from_the_anchor_and_follow_each_other(
        self, banter: Running, clock_at: StopClock
    ) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        ends = ["2031-02-28 10:00", "2031-03-31 10:00", "2031-04-30 10:00", "2031-05-31 10:00"]
        for end in ends[:-1]:
            clock_at(str(at(end) - datetime.timedelta(hours=12))[:19])
            await renew(banter.server.database)
        periods = periods_of(banter, user)
        assert [period.end for period in periods] == [at(end) for end in ends]
        assert [period.start for period in periods] == [at("2031-01-31 10:00"), *(at(end) for end in ends[:-1])]
        assert [period.number for period in periods] == [0, 1, 2, 3]

    async def test_premium_and_period_are_right_on_both_sides_of_a_boundary(
        self, banter: Running, clock_at: StopClock
    ) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        clock_at("2031-02-28 00:00")
        await renew(banter.server.database)
        for moment, number in [("2031-02-28 09:59:59.999999", 0), ("2031-02-28 10:00", 1)]:
            clock_at(moment)
            answer = await subscription_of(banter, user)
            assert (answer.is_premium, answer.subscription.period.number) == (True, number)
            assert time_of(answer.subscription.paid_until_time) == at("2031-03-31 10:00")

    async def test_its_price_is_the_plans_at_the_charge(self, banter: Running, clock_at: StopClock) -> None:
        user = await rich_user(banter, 1000)
        with psycopg.connect(banter.owner_url, autocommit=True) as owner:
            owner.execute("INSERT INTO plans (id, coins, months) VALUES ('test_price', 50, 1)")
            clock_at("2031-01-31 10:00")
            await subscribe(banter, user, "test_price")
            owner.execute("UPDATE plans SET coins = 60, is_active = FALSE WHERE id = 'test_price'")
        clock_at("2031-02-28 00:00")
        await renew(banter.server.database)
        assert (await wallet_of(banter, user)).coins.available == 1000 - 50 - 60

    async def test_two_runners_at_once_charge_once(self, banter: Running, clock_at: StopClock) -> None:
        users = [await subscriber(banter, clock_at, "2031-01-31 10:00") for _ in range(10)]
        clock_at("2031-02-28 00:00")
        other = Database(PoolSettings(url=banter.server._settings.database_url.get_secret_value(), size=4, min_size=1))
        await other.open()
        try:
            async with asyncio.timeout(30):
                await asyncio.gather(*(renew(database) for database in (banter.server.database, other) * 3))
        finally:
            await other.close()
        for user in users:
            assert len(periods_of(banter, user)) == 2
            assert (await wallet_of(banter, user)).coins.available == 10_000 - 2 * 299

    @pytest.mark.parametrize("fault", ["too early", "another place", "cancelled"])
    async def test_whoever_asks_has_only_what_is_due_charged(
        self, banter: Running, clock_at: StopClock, fault: str
    ) -> None:
        """What the list of those that are due keeps out, the charge keeps out itself."""
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        clock_at("2031-02-27 09:59:59.999999" if fault == "too early" else "2031-02-28 00:00")
        if fault == "cancelled":
            await cancel(banter, user)
        step = queries.renew_subscription(
            user_id=user,
            subscription_id=(await subscription_of(banter, user)).subscription.subscription_id,
            place=0 if fault == "another place" else 1,
            transaction_id=str(uuid.uuid4()),
            actor_id=subscriptions.ACTOR,
        )
        assert await banter.server.database.run(step) == (0,)
        assert len(periods_of(banter, user)) == 1

    async def test_it_says_with_how_many_it_dealt_and_takes_a_batch_at_a_time(
        self, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        database = new_database()
        async with running(database.owner_url, database.service_url) as banter:
            clock_at = partial(stop_clock, database.owner_url)
            users = [await subscriber(banter, clock_at, "2031-01-31 10:00", 500) for _ in range(2)]
            users += [await subscriber(banter, clock_at, "2031-01-31 10:00", 600) for _ in range(3)]
            clock_at("2031-02-28 00:00")
            monkeypatch.setattr(subscriptions, "BATCH", 3)
            assert [await renew(banter.server.database) for _ in range(3)] == [3, 2, 0]
            assert [len(periods_of(banter, user)) for user in users] == [1, 1, 2, 2, 2]

    async def test_one_that_was_cancelled_is_not_charged(self, banter: Running, clock_at: StopClock) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        await cancel(banter, user)
        for moment in ("2031-02-28 00:00", "2031-03-05 00:00"):
            clock_at(moment)
            assert len(await renewed(banter, user)) == 1

    async def test_one_that_is_cancelled_after_the_charge_runs_to_the_end_of_it(
        self, banter: Running, clock_at: StopClock
    ) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        clock_at("2031-02-28 00:00")
        await renew(banter.server.database)
        assert (await cancel(banter, user)).subscription.status == CANCELLED
        clock_at("2031-03-31 09:59:59.999999")
        assert (await subscription_of(banter, user)).is_premium
        assert len(await renewed(banter, user)) == 2

    async def test_cancelled_while_it_is_charged_it_ends_with_what_was_charged(
        self, banter: Running, clock_at: StopClock
    ) -> None:
        users = [await subscriber(banter, clock_at, "2031-01-31 10:00") for _ in range(10)]
        clock_at("2031-02-28 00:00")
        async with asyncio.timeout(30):
            await asyncio.gather(*(cancel(banter, user) for user in users), renew(banter.server.database))
        for user in users:
            periods, subscription = periods_of(banter, user), (await subscription_of(banter, user)).subscription
            assert (subscription.status, time_of(subscription.paid_until_time)) == (CANCELLED, periods[-1].end)
            assert (await wallet_of(banter, user)).coins.available == 10_000 - len(periods) * 299
            assert await renewed(banter, user) == periods


class TestRefusedRenewal:
    async def test_it_is_tried_again_until_the_coins_are_there(self, banter: Running, clock_at: StopClock) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00", 500)
        for moment in ("2031-02-27 10:00", "2031-02-28 09:00"):
            clock_at(moment)
            assert len(await renewed(banter, user)) == 1
        await credit(banter, user, 98)
        clock_at("2031-02-28 09:59:59.999999")
        _, second = await renewed(banter, user)
        assert (second.number, second.start) == (1, at("2031-02-28 10:00"))
        assert (await wallet_of(banter, user)).coins.available == 0

    async def test_at_the_end_it_lapses_whether_or_not_a_job_says_so(
        self, banter: Running, clock_at: StopClock
    ) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00", 500)
        clock_at("2031-02-28 00:00")
        await renew(banter.server.database)
        assert (await subscription_of(banter, user)).subscription.status == ACTIVE
        await credit(banter, user, 1000)
        clock_at("2031-02-28 10:00")
        derived = await subscription_of(banter, user)
        assert (derived.is_premium, derived.subscription.status, derived.subscription.auto_renew) == (
            False,
            ENDED,
            False,
        )
        assert (await refused(cancel(banter, user))).reason == "SUBSCRIPTION_NOT_FOUND"
        assert len(await renewed(banter, user)) == 1
        assert await subscription_of(banter, user) == derived

    async def test_who_subscribes_again_after_that_is_charged_once_a_month(
        self, banter: Running, clock_at: StopClock
    ) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00", 500)
        clock_at("2031-02-28 00:00")
        await renew(banter.server.database)
        await credit(banter, user, 1000)
        clock_at("2031-02-28 10:00")
        await subscribe(banter, user)
        assert len(await renewed(banter, user)) == 2
        clock_at("2031-03-28 00:00")
        assert [period.number for period in await renewed(banter, user)] == [0, 0, 1]

    async def test_who_is_deactivated_is_not_charged_until_he_is_back(
        self, banter: Running, clock_at: StopClock
    ) -> None:
        back, gone = [await subscriber(banter, clock_at, "2031-01-31 10:00") for _ in range(2)]
        for user in (back, gone):
            await banter.set_columns(user, is_active=False)
        clock_at("2031-02-28 00:00")
        assert [len(await renewed(banter, user)) for user in (back, gone)] == [1, 1]
        await banter.set_columns(back, is_active=True)
        assert [len(await renewed(banter, user)) for user in (back, gone)] == [2, 1]
        await banter.set_columns(gone, is_active=True)
        clock_at("2031-02-28 10:00")
        assert len(await renewed(banter, gone)) == 1
        assert (await subscription_of(banter, gone)).subscription.status == ENDED

    async def test_who_is_erased_is_not_charged_and_not_looked_at_for_ever(
        self, banter: Running, clock_at: StopClock
    ) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        await banter.set_columns(
            user,
            is_active=False,
            delete_time=datetime.datetime.now(datetime.UTC),
            **dict.fromkeys(("phone_number", "country_code", "full_name", "timezone")),
        )
        for moment in ("2031-02-28 00:00", "2031-02-28 10:00"):
            clock_at(moment)
            assert len(await renewed(banter, user)) == 1
        due = await banter.server.database.run(queries.list_due_subscriptions(most=10_000))
        assert user not in {row.user_id for row in due}


class TestDowntime:
    async def test_a_new_anchor_starts_at_the_charge(self, banter: Running, clock_at: StopClock) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        clock_at("2031-03-03 12:00")
        waiting = await subscription_of(banter, user)
        assert (waiting.is_premium, waiting.subscription.status) == (False, OVERDUE)
        _, second = await renewed(banter, user)
        assert (second.number, second.start, second.end) == (0, at("2031-03-03 12:00"), at("2031-04-03 12:00"))
        assert (await subscription_of(banter, user)).subscription.status == ACTIVE
        clock_at("2031-04-03 00:00")
        third = (await renewed(banter, user))[-1]
        assert (third.number, third.start) == (1, second.end)

    async def test_it_is_tried_once_and_where_coins_are_missing_that_was_it(
        self, banter: Running, clock_at: StopClock
    ) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00", 500)
        clock_at("2031-03-03 12:00")
        await renew(banter.server.database)
        assert (await subscription_of(banter, user)).subscription.status == ENDED
        await credit(banter, user, 1000)
        assert len(await renewed(banter, user)) == 1

    async def test_it_can_be_cancelled_meanwhile(self, banter: Running, clock_at: StopClock) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        clock_at("2031-03-03 12:00")
        assert (await cancel(banter, user)).subscription.status == ENDED
        assert len(await renewed(banter, user)) == 1

    async def test_who_subscribes_meanwhile_is_charged_once(self, banter: Running, clock_at: StopClock) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        clock_at("2031-03-03 12:00")
        await asyncio.gather(
            subscribe(banter, user), *(renew(banter.server.database) for _ in range(3)), return_exceptions=True
        )
        assert len(await renewed(banter, user)) == 2
        assert (await wallet_of(banter, user)).coins.available == 10_000 - 2 * 299

    async def test_a_subscription_takes_the_place_of_the_one_that_was_to_be_renewed(
        self, banter: Running, clock_at: StopClock
    ) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        clock_at("2031-03-03 12:00")
        answer = await subscribe(banter, user, "yearly")
        assert len(await renewed(banter, user)) == 2
        assert (await subscription_of(banter, user)).subscription.subscription_id == answer.subscription_id


class TestFailingRenewal:
    async def test_one_that_fails_fails_alone(self, banter: Running, clock_at: StopClock) -> None:
        """Somebody else holds one wallet for longer than the lanes wait for a lock."""
        users = [await subscriber(banter, clock_at, "2031-01-31 10:00") for _ in range(4)]
        clock_at("2031-02-28 00:00")
        async with await psycopg.AsyncConnection.connect(banter.owner_url) as holder:
            await holder.execute("SELECT FROM wallets WHERE user_id = %s FOR UPDATE", [users[1]])
            with pytest.raises(ExceptionGroup, match="1 of"):
                async with asyncio.timeout(30):
                    await renew(banter.server.database)
        assert [len(periods_of(banter, user)) for user in users] == [2, 1, 2, 2]
        assert len(await renewed(banter, users[1])) == 2

    async def test_a_unit_that_is_killed_in_the_middle_is_whole_or_not_at_all(
        self, banter: Running, clock_at: StopClock
    ) -> None:
        """Its server process dies when the transaction is written and the entries are not."""
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        clock_at("2031-02-28 00:00")
        blocked = (
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%subscription_periods%'"
            " AND datname = current_database()"
        )
        async with (
            asyncio.timeout(30),
            asyncio.TaskGroup() as group,
            await psycopg.AsyncConnection.connect(banter.owner_url) as holder,
            await psycopg.AsyncConnection.connect(banter.owner_url, autocommit=True) as killer,
        ):
            await holder.execute("LOCK TABLE entries IN SHARE MODE")
            task = group.create_task(_renew_whatever_happens(banter))
            while (row := await (await killer.execute(blocked)).fetchone()) is None:
                if task.done():  # it waited for the lock as long as it may
                    task = group.create_task(_renew_whatever_happens(banter))
                await asyncio.sleep(0.005)
            await killer.execute("SELECT pg_terminate_backend(%s, 5000)", [row[0]])
            assert len(periods_of(banter, user)) == 1
        assert len(await renewed(banter, user)) == 2
        assert (await wallet_of(banter, user)).coins.available == 10_000 - 2 * 299

    async def test_a_runner_that_is_killed_leaves_nothing_half_done(self, banter: Running, clock_at: StopClock) -> None:
        users = [await subscriber(banter, clock_at, "2031-01-31 10:00") for _ in range(10)]
        clock_at("2031-02-28 00:00")
        for turns in range(0, 40, 4):
            task = asyncio.create_task(renew(banter.server.database))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        await renew(banter.server.database)
        for user in users:
            assert len(await renewed(banter, user)) == 2
            assert (await wallet_of(banter, user)).coins.available == 10_000 - 2 * 299


async def _renew_whatever_happens(banter: Running) -> None:
    try:
        await renew(banter.server.database)
    except ExceptionGroup:
        return
