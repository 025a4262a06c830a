"""Subscriptions: what is paid once, and who is premium.

While a test's clock stands still the books know every time. While it runs no program lasts until a period's end, and
when a refund ended one is what the next answer tells.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from banter.v1 import wallet_pb2
from google.protobuf.message import Message

from banter_grpc import money
from tests.model.books import Books, Leg
from tests.model.calls import Call, Operation, Outcome, Seen, moved, once
from tests.model.choices import Choose
from tests.model.requests import NOBODY, no_other, promised, reused
from tests.model.times import DAY, later, now, stamp, timestamp

PLANS: Final = {"monthly": (299, 1), "quarterly": (799, 3), "yearly": (2499, 12)}
"""Coins and months."""


class _Period(NamedTuple):
    """What was paid at once: period `number` of those that are counted from the anchor."""

    charge: str
    anchor: int
    months: int
    number: int
    end: int | None
    """None if a refund ended it at a time that nobody has told."""
    refunded: bool = False

    @classmethod
    def of(cls, charge: str, anchor: int, months: int, number: int) -> _Period:
        return cls(charge, anchor, months, number, later(anchor, months * (number + 1)))

    @property
    def start(self) -> int:
        return later(self.anchor, self.months * self.number)

    @property
    def shown(self) -> wallet_pb2.SubscriptionPeriod:
        period = wallet_pb2.SubscriptionPeriod(number=self.number, start_time=timestamp(self.start))
        period.end_time.CopyFrom(timestamp(self.end or 0))
        return period


class _Known(NamedTuple):
    """A user's last subscription; the last of his periods is one of it."""

    id: str
    plan: str
    create: int
    renews: bool = True
    tried: bool = False
    """Whether a renewal found that it can't be charged."""
    cancelled: int | None = None


class _State(NamedTuple):
    """All that the books know of somebody who ever subscribed: there is a period for each subscription."""

    known: _Known
    periods: tuple[_Period, ...]

    @property
    def last(self) -> _Period:
        return self.periods[-1]

    def runs(self, at: int | None) -> bool:
        return not _is_over(self.last, at)

    def renews(self, at: int | None) -> bool:
        """Renewal that was tried in vain ends with what is paid."""
        return self.known.renews and (self.runs(at) or not self.known.tried)


def _is_over(period: _Period, at: int | None) -> bool:
    return period.refunded if at is None else at >= (period.end or 0)


def _state(books: Books, user: str) -> _State | None:
    return books.get("subscription", user)


def _put(books: Books, user: str, state: _State, **changes: object) -> None:
    books.put(state._replace(known=state.known._replace(**changes)), "subscription", user)


def _draw_subscribe(choose: Choose, seen: Seen) -> Call | None:
    plan = choose([*["monthly"] * 6, *PLANS, "eternal", "retired_by_tests"])
    request = wallet_pb2.SubscribeRequest(plan_id=plan, request_id=seen.new_id())
    return Call.of("Subscribe", _somebody(choose, seen), request)


def _somebody(choose: Choose, seen: Seen) -> str:
    """Often one who has subscribed, or who has bought coins."""
    subscribers = dict.fromkeys(each.user_id for each in seen.named.get("Subscription", []))
    return choose([*list(subscribers) * 3, *seen.customers[:2], *seen.people])


def _subscribe(books: Books, call: Call, named: Message) -> Outcome:
    return once(books, call, lambda: _decide(books, call.actor, call.request.plan_id, named), _is_same)


def _is_same(request: Message, made: Outcome) -> bool:
    """A charge tells its plan by its price."""
    charged = wallet_pb2.SubscribeResponse.FromString(made.data).transaction
    return PLANS.get(request.plan_id, (0, 0))[0] == -charged.amount


def _decide(books: Books, user: str, plan: str, named: Message) -> Outcome:
    state = _state(books, user)
    if not books.lives(user):
        return Outcome.refused("CALLER_INACTIVE")
    if plan not in PLANS:
        return Outcome.refused("PLAN_INACTIVE" if plan == "retired_by_tests" else "PLAN_NOT_FOUND")
    if state is not None and state.runs(now(books)):
        if state.known.renews or state.known.plan != plan:
            return Outcome.refused("SUBSCRIPTION_RUNNING")
        _put(books, user, state, renews=True, tried=False, cancelled=None)
        return Outcome.of(wallet_pb2.SubscribeResponse(subscription_id=state.known.id, period=state.last.shown))
    if books.wallet(user, "coins").available < PLANS[plan][0]:
        return Outcome.refused("COINS_INSUFFICIENT")
    name, subject = named.transaction, named.subscription_id
    start = stamp(books, name.create_time).ToMicroseconds()
    new = _State(_Known(subject, plan, start), state.periods if state else ())
    movement = _charge(books, user, new, name, anchor=start, number=0)
    period = _periods(books, user)[-1].shown
    return Outcome.of(wallet_pb2.SubscribeResponse(subscription_id=subject, period=period, transaction=movement))


def _periods(books: Books, user: str) -> tuple[_Period, ...]:
    state = _state(books, user)
    return state.periods if state else ()


def _charge(
    books: Books, user: str, state: _State, name: wallet_pb2.Transaction, *, anchor: int, number: int
) -> wallet_pb2.Transaction:
    """Another period at the end of the chain, and how its charge is shown."""
    coins, months = PLANS[state.known.plan]
    legs = [Leg(user, "coins", -coins), Leg(user, "platform_revenue", coins)]
    books.post(name.transaction_id, "subscription", user, *legs, subject=state.known.id)
    period = _Period.of(name.transaction_id, anchor, months, number)
    _put(books, user, _State(state.known, (*state.periods, period)), tried=False)
    return moved(books, name, "subscription", user, "coins", -coins, state.known.id)


def renewal_of(user: str, place: int) -> str:
    """The transaction that renews: its id follows from whom it is about, and the place of its period in the chain."""
    return money.transaction_id("subscription", user, str(place))


def renew(books: Books, user: str) -> wallet_pb2.Transaction | None:
    """What a run of the job does to one user, at a time that the books know: how its charge is shown, if it charges."""
    state, at = _state(books, user), now(books)
    assert at is not None, "the books know only what is due while the clock stands still"
    if state is None or not state.known.renews or (end := state.last.end) is None or end > at + DAY:
        return None
    enough = books.lives(user) and books.wallet(user, "coins").available >= PLANS[state.known.plan][0]
    if not enough or not state.renews(at):
        _put(books, user, state, renews=end > at, tried=True)
        return None
    goes_on = end > at and not state.last.refunded
    anchor, number = (state.last.anchor, state.last.number + 1) if goes_on else (max(end, at), 0)
    name = wallet_pb2.Transaction(transaction_id=renewal_of(user, len(state.periods) + 1))
    return _charge(books, user, state, name, anchor=anchor, number=number)


def moments(seen: Seen) -> list[int]:
    """Times to come at which something may change, and those just before them."""
    ends = {period.end_time.ToMicroseconds() for period in seen.named.get("SubscriptionPeriod", [])}
    near = sorted(end for end in ends if end > seen.now)[:2]
    return [
        at
        for end in near
        for at in (end - DAY - 1, end - DAY, end - DAY // 2, end - 1, end, end + DAY, end + 40 * DAY)
        if at > seen.now
    ]


def end_period(books: Books, user: str, charge: str) -> None:
    """All that a transaction charged is refunded: its period ends at once, or never begins, and nothing renews.

    What comes after it and was refunded before ends no later.
    """
    state, at = _state(books, user), now(books)
    place = next((i for i, period in enumerate(state.periods) if period.charge == charge), None) if state else None
    if state is None or place is None or state.periods[place].refunded or _is_over(state.periods[place], at):
        return
    periods = list(state.periods)
    for i, period in enumerate(periods):
        if i == place or (i > place and period.refunded):
            before = periods[i - 1].end if i else period.anchor
            periods[i] = period._replace(end=None if at is None else max(at, before or 0), refunded=True)
    _put(books, user, _State(state.known, tuple(periods)), renews=False, cancelled=state.known.cancelled or at)


def _draw_cancel(choose: Choose, seen: Seen) -> Call | None:
    return Call.of("CancelSubscription", _somebody(choose, seen), wallet_pb2.CancelSubscriptionRequest())


def _cancel_subscription(books: Books, call: Call, named: Message) -> Outcome:
    """One that runs, or that is to be renewed although it is over."""
    state = _state(books, call.actor)
    if state is None or not (state.runs(now(books)) or state.renews(now(books))):
        return Outcome.refused("SUBSCRIPTION_NOT_FOUND")
    cancelled = state.known.cancelled or stamp(books, named.subscription.cancel_time).ToMicroseconds()
    _put(books, call.actor, state, renews=False, cancelled=cancelled)
    return Outcome.of(wallet_pb2.CancelSubscriptionResponse(subscription=_shown(books, call.actor).subscription))


def _shown(books: Books, user: str) -> wallet_pb2.GetSubscriptionResponse:
    """The last subscription as it is now, with the period that runs, or else the last one."""
    state, at = books.get("subscription", user), now(books)
    known, last = state.known, state.last
    running = [each for each in state.periods if not _is_over(each, at) and (at is None or each.start <= at)]
    shown = wallet_pb2.Subscription(
        user_id=user,
        subscription_id=known.id,
        plan_id=known.plan,
        status=f"SUBSCRIPTION_STATUS_{_status(state, at)}",
        period=(running or [last])[-1].shown,
        paid_until_time=timestamp(last.end or 0),
        auto_renew=state.renews(at),
        create_time=timestamp(known.create),
    )
    if shown.auto_renew:
        shown.renewal_coins = PLANS[known.plan][0]
        shown.renewal_time.CopyFrom(timestamp(last.end - DAY))
    if known.cancelled is not None:
        shown.cancel_time.CopyFrom(timestamp(known.cancelled))
    return wallet_pb2.GetSubscriptionResponse(is_premium=bool(running), subscription=shown)


def _status(state: _State, at: int | None) -> str:
    if state.runs(at):
        return "ACTIVE" if state.renews(at) else "CANCELLED"
    return "OVERDUE" if state.renews(at) else "ENDED"


def _draw_get(choose: Choose, seen: Seen) -> Call | None:
    request = wallet_pb2.GetSubscriptionRequest(user_id=choose([*seen.people, NOBODY]))
    return Call.of("GetSubscription", "", request)


def _get_subscription(books: Books, call: Call, named: Message) -> Outcome:
    """When a refund ended it is not told by the refund: the first who looks says it, for all who look later."""
    user = call.request.user_id
    if not books.lives(user):
        return Outcome.refused("USER_NOT_FOUND")
    state, told = _state(books, user), named.subscription
    if state is None:
        return Outcome.of(wallet_pb2.GetSubscriptionResponse())
    if state.last.end is None:
        last = state.last._replace(end=told.paid_until_time.ToMicroseconds())
        ended = _State(state.known, (*state.periods[:-1], last))
        _put(books, user, ended, cancelled=state.known.cancelled or told.cancel_time.ToMicroseconds())
    return Outcome.of(_shown(books, user))


class Renewal(Call):
    """What the job charges a user, in the histories: as if he had asked for it, and was told nothing but its id."""

    @classmethod
    def of_user(cls, user: str) -> Renewal:
        return cls("Subscribe", user, b"")

    @staticmethod
    def told(charge: str) -> Outcome:
        return Outcome.of(wallet_pb2.SubscribeResponse(transaction=wallet_pb2.Transaction(transaction_id=charge)))

    def __repr__(self) -> str:
        return f"the renewal of {self.actor}'s subscription"


def _act_renewal(books: Books, call: Call, _named: Message) -> Outcome:
    charge = renew(books, call.actor)
    return Renewal.told(charge.transaction_id) if charge else Outcome.refused("NOT_DUE")


RENEWAL: Final = Operation("renew_subscriptions", lambda _choose, _seen: None, _act_renewal, no_other, frozenset())
"""No operation that anybody can ask for."""

OPERATIONS: Final = (
    Operation("Subscribe", _draw_subscribe, _subscribe, reused(_draw_subscribe), promised("Subscribe")),
    Operation("CancelSubscription", _draw_cancel, _cancel_subscription, no_other, promised("CancelSubscription")),
    Operation("GetSubscription", _draw_get, _get_subscription, no_other, promised("GetSubscription")),
)
