"""WalletService: subscriptions, and who is premium."""

from __future__ import annotations

from typing import Any, Final

from banter.v1 import wallet_pb2

from banter_grpc import ids, money, values
from banter_grpc.database.database import Database
from banter_grpc.database.queries import caller as caller_queries
from banter_grpc.database.queries import wallet as wallet_queries
from banter_grpc.database.queries import wallet_subscriptions as queries
from banter_grpc.encoding import encode_transaction
from banter_grpc.errors import user as user_errors
from banter_grpc.errors import wallet_subscriptions as errors
from banter_grpc.rpc.caller import Caller

_STATUS: Final = values.TextEnum(wallet_pb2.SubscriptionStatus)


class SubscriptionHandler:
    """Starts subscriptions and lets them end. What renews them is `banter_grpc.jobs.subscriptions`.

    Whatever changes one locks the coins wallet of its user first.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def Subscribe(  # noqa: N802
        self, request: wallet_pb2.SubscribeRequest, caller: Caller
    ) -> wallet_pb2.SubscribeResponse:
        """What the request came to when it was first sent."""
        asked = money.fingerprint(request)
        _, row = await self._database.run(
            wallet_queries.lock_wallet(user_id=caller.user, kind="coins"),
            queries.subscribe(
                user_id=caller.user,
                request_id=request.request_id,
                fingerprint=asked,
                transaction_id=money.transaction_id(caller.user, request.request_id.lower()),
                subscription_id=ids.new_id(),
                plan_id=request.plan_id,
            ),
            key=caller.user,
        )
        if row is None:
            raise user_errors.caller_inactive()
        return _response(caller.user, money.outcome_of(row, asked))

    async def CancelSubscription(  # noqa: N802
        self, _request: wallet_pb2.CancelSubscriptionRequest, caller: Caller
    ) -> wallet_pb2.CancelSubscriptionResponse:
        """One statement lets it end; the next one reads it as it now is."""
        _, found, row = await self._database.run(
            wallet_queries.lock_wallet(user_id=caller.user, kind="coins"),
            queries.cancel_subscription(user_id=caller.user),
            queries.get_subscription(user_id=caller.user),
            key=caller.user,
        )
        if not found or row is None:
            raise errors.subscription_not_found()
        return wallet_pb2.CancelSubscriptionResponse(subscription=_subscription(row))

    async def GetSubscription(  # noqa: N802
        self, request: wallet_pb2.GetSubscriptionRequest, _caller: Caller
    ) -> wallet_pb2.GetSubscriptionResponse:
        """The user, who may never have subscribed, and his last subscription at this moment."""
        user, row = await self._database.run(
            caller_queries.find_caller_by_user_id(user_id=request.user_id),
            queries.get_subscription(user_id=request.user_id),
        )
        if user is None:
            raise user_errors.user_not_found(request.user_id)
        if row is None:
            return wallet_pb2.GetSubscriptionResponse()
        return wallet_pb2.GetSubscriptionResponse(is_premium=row.is_premium, subscription=_subscription(row))


def _response(user_id: str, outcome: dict[str, Any]) -> wallet_pb2.SubscribeResponse:
    response = wallet_pb2.SubscribeResponse(
        subscription_id=outcome["subscription_id"],
        period=_period(outcome["number"], outcome["start_time"], outcome["end_time"]),
    )
    if "transaction_id" in outcome:
        response.transaction.MergeFrom(
            encode_transaction(
                transaction_id=outcome["transaction_id"],
                user_id=user_id,
                wallet="coins",
                kind="subscription",
                amount=-outcome["coins"],
                balance_after=outcome["balance_after"],
                subject_id=outcome["subscription_id"],
                create_time=outcome["create_time"],
            )
        )
    return response


def _subscription(row: queries.GetSubscriptionRow) -> wallet_pb2.Subscription:
    subscription = wallet_pb2.Subscription(
        user_id=row.user_id,
        subscription_id=row.subscription_id,
        plan_id=row.plan_id,
        status=_STATUS.number(row.status),
        period=_period(row.number, row.start_time, row.end_time),
        auto_renew=row.auto_renew,
        renewal_coins=row.renewal_coins or 0,
    )
    values.set_timestamp(subscription.paid_until_time, row.paid_until)
    values.set_timestamp(subscription.create_time, row.create_time)
    if row.renewal_time is not None:
        values.set_timestamp(subscription.renewal_time, row.renewal_time)
    if row.cancel_time is not None:
        values.set_timestamp(subscription.cancel_time, row.cancel_time)
    return subscription


def _period(number: int, start_time: int, end_time: int) -> wallet_pb2.SubscriptionPeriod:
    period = wallet_pb2.SubscriptionPeriod(number=number)
    values.set_timestamp(period.start_time, start_time)
    values.set_timestamp(period.end_time, end_time)
    return period
