"""Subscriptions in tests: time that stands still, and what is there."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import NamedTuple

import psycopg
from banter.v1 import wallet_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from banter_grpc.jobs.subscriptions import renew
from tests.support.clock import Moment
from tests.support.harness import Running
from tests.support.money import credit

StopClock = Callable[[Moment], None]


class Period(NamedTuple):
    """A row of `subscription_periods`."""

    place: int
    number: int
    start: datetime.datetime
    end: datetime.datetime
    transaction_id: str


def at(moment: Moment) -> datetime.datetime:
    """The time that a moment names."""
    return datetime.datetime.fromisoformat(moment).replace(tzinfo=datetime.UTC)


def time_of(field: Timestamp) -> datetime.datetime:
    """The time that a field of the contract holds."""
    return field.ToDatetime(tzinfo=datetime.UTC)


def subscribe(banter: Running, user_id: str, plan_id: str = "monthly", request_id: str | None = None):
    """The user subscribes to the plan."""
    request = wallet_pb2.SubscribeRequest(plan_id=plan_id, request_id=request_id or str(uuid.uuid4()))
    return banter.wallets.Subscribe(request, metadata=banter.as_user(user_id))


def cancel(banter: Running, user_id: str):
    """The user cancels."""
    return banter.wallets.CancelSubscription(wallet_pb2.CancelSubscriptionRequest(), metadata=banter.as_user(user_id))


async def subscription_of(banter: Running, user_id: str) -> wallet_pb2.GetSubscriptionResponse:
    """What the user has subscribed to."""
    request = wallet_pb2.GetSubscriptionRequest(user_id=user_id)
    return await banter.wallets.GetSubscription(request, metadata=banter.as_service)


async def rich_user(banter: Running, coins: int = 10_000) -> str:
    """A new user with so many coins."""
    user_id = (await banter.new_user()).user_id
    await credit(banter, user_id, coins - 100)
    return user_id


def periods_of(banter: Running, user_id: str) -> list[Period]:
    """The user's periods, and that each was charged: by one transaction, of its price."""
    with psycopg.connect(banter.owner_url, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        charges = connection.execute(
            "SELECT id FROM transactions WHERE kind = 'subscription' AND user_id = %s ORDER BY id", [user_id]
        ).fetchall()
        rows = connection.execute(
            "SELECT place, number, start_time, end_time, transaction_id::text FROM subscription_periods"
            " WHERE user_id = %s ORDER BY place",
            [user_id],
        ).fetchall()
    periods = [Period(*row) for row in rows]
    assert sorted(period.transaction_id for period in periods) == [str(id_) for (id_,) in charges]
    return periods


async def renewed(banter: Running, user_id: str) -> list[Period]:
    """The user's periods after a run of the job."""
    await renew(banter.server.database)
    return periods_of(banter, user_id)


async def subscriber(banter: Running, clock_at: StopClock, moment: Moment, coins: int = 10_000) -> str:
    """A user with so many coins, who subscribes for a month at that moment."""
    user = await rich_user(banter, coins)
    clock_at(moment)
    await subscribe(banter, user)
    return user
