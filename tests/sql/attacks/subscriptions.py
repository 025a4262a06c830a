"""What the tables of plans, subscriptions and paid periods refuse."""

from __future__ import annotations

from tests.sql.attacks.values import FREE, NEW, insert
from tests.support.ledger import CHARGE, IDLE, MEMBER, SUBSCRIPTION

_HIS = f"WHERE user_id = '{MEMBER}'"
_REFUNDED = f"UPDATE subscription_periods SET refund_time = clock(), end_time = '2031-02-10 10:00Z' {_HIS}"
_FIRST = {"previous_place": "NULL", "previous_end_time": "NULL"}


def _plan(**changes: str) -> str:
    return insert("plans", {"id": "'weekly'", "coins": "5", "months": "1"}, changes)


def _subscription(**changes: str) -> str:
    """A subscription more of the member's, cancelled."""
    row = {
        "user_id": f"'{MEMBER}'",
        "id": NEW,
        "plan_id": "'monthly'",
        "auto_renew": "FALSE",
        "place": "2",
        "end_time": "'2031-02-28 10:00Z'",
        "create_time": "clock()",
        "update_time": "clock()",
    }
    return insert("subscriptions", row, changes)


def period(**changes: str) -> str:
    """The member's second period, as it should be but for the changes."""
    row = {
        "user_id": f"'{MEMBER}'",
        "place": "2",
        "subscription_id": f"'{SUBSCRIPTION}'",
        "plan_id": "'monthly'",
        "coins": "299",
        "transaction_id": f"'{FREE}'",
        "anchor": "'2031-01-31 10:00Z'",
        "months": "1",
        "number": "1",
        "end_time": "'2031-03-31 10:00Z'",
        "previous_place": "1",
        "previous_end_time": "'2031-02-28 10:00Z'",
    }
    return insert("subscription_periods", row, changes)


def _without(table: str, *constraints: str) -> str:
    """What takes out others that would refuse the same."""
    return "".join(f"ALTER TABLE {table} DROP CONSTRAINT {table}_{constraint} CASCADE; " for constraint in constraints)


CHECKS = {
    "plans_id_check": [_plan(id="''"), _plan(id="'A b'")],
    "plans_coins_check": [_plan(coins="0"), _plan(coins="1000000001")],
    "plans_months_check": [_plan(months="0"), _plan(months="121")],
    "subscriptions_cancel_time_check": [f"UPDATE subscriptions SET cancel_time = clock() {_HIS}"],
    "subscription_periods_previous_place_check": [
        period(place="3"),
        period(place="0", **_FIRST),
        period(**_FIRST),
        period(previous_place="NULL"),
        period(previous_end_time="NULL"),
        period(place="1"),
    ],
    "subscription_periods_number_check": [
        period(user_id=f"'{IDLE}'", place="1", number="-1", end_time="'2031-01-31 10:00Z'", **_FIRST)
    ],
    "subscription_periods_start_time_check": [
        period(number="0", end_time="'2031-02-28 10:00Z'"),
        period(anchor="'2031-01-31 09:59:59.999999Z'", end_time="'2031-03-31 09:59:59.999999Z'"),
    ],
    "subscription_periods_end_time_check": [
        period(end_time="'2031-04-30 10:00Z'"),
        period(end_time="'2031-02-28 10:00Z'"),
        period(end_time="'2031-04-30 10:00Z'", refund_time="clock()"),
        period(end_time="'2031-02-28 09:59:59.999999Z'", refund_time="clock()"),
        f"UPDATE subscription_periods SET end_time = end_time - interval '1 day' {_HIS}",
    ],
}

KEYS = {
    "plans_pkey": _plan(id="'monthly'", months="2"),
    "plans_id_months_key": _without("plans", "pkey") + _plan(id="'monthly'"),
    "subscriptions_pkey": _subscription(id=f"'{SUBSCRIPTION}'"),
    "subscriptions_user_id_place_key": _subscription(place="1"),
    "subscriptions_user_id_key": _subscription(auto_renew="TRUE"),
    "subscription_periods_pkey": period(
        place="1", number="0", end_time="'2031-02-10 10:00Z'", refund_time="clock()", **_FIRST
    ),
    "subscription_periods_end_time_key": _without("subscription_periods", "pkey")
    + period(place="1", number="0", end_time="'2031-02-28 10:00Z'", **_FIRST),
    "subscription_periods_transaction_id_key": period(transaction_id=f"'{CHARGE}'"),
}

FOREIGN_KEYS = {
    "subscriptions_user_id_fkey": [_without("subscriptions", "place_fkey") + _subscription(user_id=NEW)],
    "subscriptions_plan_id_fkey": [f"UPDATE subscriptions SET plan_id = 'weekly' {_HIS}"],
    "subscriptions_place_fkey": [
        f"UPDATE subscriptions SET place = 2 {_HIS}",
        f"UPDATE subscriptions SET end_time = end_time + interval '1 day' {_HIS}",
    ],
    "subscription_periods_user_id_fkey": [
        _without("subscription_periods", "subscription_id_fkey") + period(user_id=NEW, place="1", **_FIRST)
    ],
    "subscription_periods_subscription_id_fkey": [period(subscription_id=NEW)],
    "subscription_periods_plan_id_fkey": [
        period(months="2", end_time="'2031-05-31 10:00Z'"),
        "UPDATE plans SET months = 2 WHERE id = 'monthly'",
    ],
    "subscription_periods_transaction_id_fkey": [period(transaction_id=NEW)],
    "subscription_periods_previous_place_fkey": [period(previous_end_time="'2031-01-28 10:00Z'")],
}

FORBIDDEN = {
    "plans": ("INSERT", "UPDATE", "DELETE", "TRUNCATE"),
    "subscriptions": (
        *(f"UPDATE ({column})" for column in ("user_id", "id", "plan_id", "create_time")),
        "DELETE",
        "TRUNCATE",
    ),
    "subscription_periods": ("UPDATE", "DELETE", "TRUNCATE"),
}

APPEND_ONLY = {
    "subscriptions_append_only": ["DELETE FROM subscriptions", "TRUNCATE subscriptions CASCADE"],
    "subscription_periods_append_only": [
        "DELETE FROM subscription_periods",
        "TRUNCATE subscription_periods CASCADE",
        "UPDATE subscription_periods SET coins = coins - 1",
        "UPDATE subscription_periods SET anchor = anchor - interval '1 day', refund_time = clock()",
        "UPDATE subscription_periods SET number = number + 1, end_time = period_start(anchor, months, number + 2)",
        f"{_REFUNDED}; UPDATE subscription_periods SET end_time = end_time + interval '1 day' {_HIS}",
        f"{_REFUNDED}; UPDATE subscription_periods SET refund_time = refund_time - interval '1 day' {_HIS}",
        _without("subscription_periods", "transaction_id_fkey", "previous_place_fkey")
        + "ALTER TABLE subscription_periods DISABLE TRIGGER subscription_periods_charged; "
        + period(number="2", end_time="'2031-04-30 10:00Z'")
        + "; UPDATE subscription_periods SET previous_end_time = previous_end_time + interval '1 day' WHERE place = 2",
    ],
}
