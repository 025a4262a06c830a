"""Subscriptions: what is paid once, and who is premium. No program lasts until a renewal."""

from __future__ import annotations

import calendar
import datetime
from typing import Final, NamedTuple

from banter.v1 import wallet_pb2
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from tests.model.books import Books, Leg
from tests.model.calls import Call, Operation, Outcome, Seen, moved, once
from tests.model.choices import Choose
from tests.model.requests import NOBODY, no_other, promised, reused

PLANS: Final = {"monthly": (299, 1), "quarterly": (799, 3), "yearly": (2499, 12)}
"""Coins and months."""


class _Known(NamedTuple):
    """A user's last subscription; times are serialised, `ended` and `cancelled` empty while nobody has told them."""

    id: str
    plan: str
    charge: str
    start: bytes
    end: bytes
    runs: bool = True
    renews: bool = True
    cancelled: bytes = b""

    @property
    def period(self) -> wallet_pb2.SubscriptionPeriod:
        return wallet_pb2.SubscriptionPeriod(start_time=_time(self.start), end_time=_time(self.end))


def _time(data: bytes) -> Timestamp:
    return Timestamp.FromString(data)


def _later(time: Timestamp, months: int) -> Timestamp:
    """So many months later, in UTC: on the last day of a month that has no such day."""
    at = time.ToDatetime(datetime.UTC)
    year, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    day = min(at.day, calendar.monthrange(year, month + 1)[1])
    later = Timestamp()
    later.FromDatetime(at.replace(year=year, month=month + 1, day=day))
    return later


def _draw_subscribe(choose: Choose, seen: Seen) -> Call | None:
    plan = choose([*["monthly"] * 4, *PLANS, "eternal", "retired_by_tests"])
    request = wallet_pb2.SubscribeRequest(plan_id=plan, request_id=seen.new_id())
    return Call.of("Subscribe", choose(seen.people), request)


def _subscribe(books: Books, call: Call, named: Message) -> Outcome:
    return once(books, call, lambda: _decide(books, call.actor, call.request.plan_id, named))


def _decide(books: Books, user: str, plan: str, named: Message) -> Outcome:
    known: _Known | None = books.get("subscription", user)
    if not books.lives(user):
        return Outcome.refused("CALLER_INACTIVE")
    if plan not in PLANS:
        return Outcome.refused("PLAN_INACTIVE" if plan == "retired_by_tests" else "PLAN_NOT_FOUND")
    if known is not None and known.runs:
        if known.renews or known.plan != plan:
            return Outcome.refused("SUBSCRIPTION_RUNNING")
        books.put(known._replace(renews=True, cancelled=b""), "subscription", user)
        return Outcome.of(wallet_pb2.SubscribeResponse(subscription_id=known.id, period=known.period))
    coins, months = PLANS[plan]
    if books.wallet(user, "coins").available < coins:
        return Outcome.refused("COINS_INSUFFICIENT")
    name, subject = named.transaction, named.subscription_id
    legs = [Leg(user, "coins", -coins), Leg(user, "platform_revenue", coins)]
    books.post(name.transaction_id, "subscription", user, *legs, subject=subject)
    start = name.create_time
    new = _Known(
        subject, plan, name.transaction_id, start.SerializeToString(), _later(start, months).SerializeToString()
    )
    books.put(new, "subscription", user)
    movement = moved(books, name, "subscription", user, "coins", -coins, subject)
    return Outcome.of(wallet_pb2.SubscribeResponse(subscription_id=subject, period=new.period, transaction=movement))


def end_period(books: Books, user: str, charge: str) -> None:
    """The whole of what a transaction charged is refunded: the period ends at once, and nothing renews."""
    known: _Known | None = books.get("subscription", user)
    if known is not None and known.charge == charge:
        books.put(known._replace(runs=False, renews=False, end=b""), "subscription", user)


def _draw_cancel(choose: Choose, seen: Seen) -> Call | None:
    return Call.of("CancelSubscription", choose(seen.people), wallet_pb2.CancelSubscriptionRequest())


def _cancel_subscription(books: Books, call: Call, named: Message) -> Outcome:
    known: _Known | None = books.get("subscription", call.actor)
    if known is None or not known.runs:
        return Outcome.refused("SUBSCRIPTION_NOT_FOUND")
    cancelled = known.cancelled or named.subscription.cancel_time.SerializeToString()
    known = known._replace(renews=False, cancelled=cancelled)
    books.put(known, "subscription", call.actor)
    return Outcome.of(wallet_pb2.CancelSubscriptionResponse(subscription=_shown(call.actor, known)))


def _shown(user: str, known: _Known) -> wallet_pb2.Subscription:
    """One that runs, or has ended, as it is now."""
    shown = wallet_pb2.Subscription(
        user_id=user,
        subscription_id=known.id,
        plan_id=known.plan,
        status=wallet_pb2.SUBSCRIPTION_STATUS_ENDED,
        period=known.period,
        paid_until_time=_time(known.end),
        auto_renew=known.renews,
        create_time=_time(known.start),
    )
    if known.runs:
        shown.status = wallet_pb2.SUBSCRIPTION_STATUS_CANCELLED
    if known.renews:
        shown.status = wallet_pb2.SUBSCRIPTION_STATUS_ACTIVE
        shown.renewal_coins = PLANS[known.plan][0]
        shown.renewal_time.FromMicroseconds(_time(known.end).ToMicroseconds() - 24 * 3600 * 10**6)
    if known.cancelled:
        shown.cancel_time.CopyFrom(_time(known.cancelled))
    return shown


def _draw_get(choose: Choose, seen: Seen) -> Call | None:
    request = wallet_pb2.GetSubscriptionRequest(user_id=choose([*seen.people, NOBODY]))
    return Call.of("GetSubscription", "", request)


def _get_subscription(books: Books, call: Call, named: Message) -> Outcome:
    """When a refund ended it is not told by the refund: the first who looks says it, for all who look later."""
    user = call.request.user_id
    if not books.lives(user):
        return Outcome.refused("USER_NOT_FOUND")
    known: _Known | None = books.get("subscription", user)
    if known is None:
        return Outcome.of(wallet_pb2.GetSubscriptionResponse())
    if not known.end:
        told = named.subscription
        cancelled = known.cancelled or told.cancel_time.SerializeToString()
        known = known._replace(end=told.paid_until_time.SerializeToString(), cancelled=cancelled)
        books.put(known, "subscription", user)
    return Outcome.of(wallet_pb2.GetSubscriptionResponse(is_premium=known.runs, subscription=_shown(user, known)))


OPERATIONS: Final = (
    Operation("Subscribe", _draw_subscribe, _subscribe, reused(_draw_subscribe), promised("Subscribe")),
    Operation("CancelSubscription", _draw_cancel, _cancel_subscription, no_other, promised("CancelSubscription")),
    Operation("GetSubscription", _draw_get, _get_subscription, no_other, promised("GetSubscription")),
)
