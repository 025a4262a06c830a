"""Paid periods are kept by the database itself: what raw SQL can't do to them, as the service and as the owner."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import NamedTuple

import psycopg
import pytest
from psycopg import errors

INSERT = """
INSERT INTO subscription_periods (
    user_id, place, subscription_id, plan_id, coins, transaction_id, anchor, months, number, end_time,
    previous_place, previous_end_time
)
SELECT
    %(user)s, %(place)s, %(subscription)s, %(plan)s, %(coins)s, %(transaction)s, anchor, %(months)s, %(number)s,
    period_start(anchor, %(months)s, %(number)s + %(more)s), %(previous)s, previous_end_time
FROM (
    SELECT
        %(start)s::timestamptz AS anchor,
        (SELECT end_time + %(shift)s::interval FROM subscription_periods
            WHERE user_id = %(user)s AND place = %(previous)s) AS previous_end_time
) AS given
"""
SUBSCRIBE = """
INSERT INTO subscriptions (user_id, id, plan_id, auto_renew, place, end_time, create_time, update_time)
SELECT user_id, %s, plan_id, TRUE, place, end_time, clock(), clock() FROM subscription_periods
WHERE user_id = %s AND place = %s
"""


class Paid(NamedTuple):
    """A user with one paid period, the month from 31 January 2031, in a transaction that is undone."""

    connection: psycopg.Connection
    user: uuid.UUID
    subscription: uuid.UUID
    transaction: uuid.UUID

    def pay(self, coins: int = 299, subject: uuid.UUID | None = None, kind: str = "subscription") -> uuid.UUID:
        """The transaction of a charge."""
        made = uuid.uuid4()
        self.connection.execute(
            "SELECT post(%s, %s, %s, %s, %s, ARRAY[(%s, 'coins', %s, 0)::leg, (%s, 'platform_revenue', %s, 0)::leg])",
            [made, kind, self.user, subject or self.subscription, self.user, self.user, -coins, self.user, coins],
        )
        return made

    def insert(self, transaction: uuid.UUID, **other: object) -> None:
        """The period after the first, as it should be but for `other`."""
        values = {
            "user": self.user,
            "place": 2,
            "subscription": self.subscription,
            "plan": "monthly",
            "coins": 299,
            "transaction": transaction,
            "months": 1,
            "number": 1,
            "more": 1,
            "previous": 1,
            "start": "2031-01-31 10:00Z",
            "shift": "0",
        }
        self.connection.execute(INSERT, {**values, **other})


@pytest.fixture(params=["service"])
def paid(request: pytest.FixtureRequest, service_url: str, owner_url: str) -> Iterator[Paid]:
    """As the service, or as whom the test's parameter says."""
    with psycopg.connect(service_url if request.param == "service" else owner_url) as connection:
        made = Paid(connection, uuid.uuid4(), uuid.uuid4(), uuid.uuid4())
        connection.execute(
            "INSERT INTO users (id, phone_number, country_code, full_name, timezone, create_time, update_time)"
            " VALUES (%s, %s, '+91', 'A', 'UTC', clock(), clock())",
            [made.user, f"+91{made.user.int % 10**10:010d}"],
        )
        made.pay(-10_000, kind="adjustment")
        charge = made.pay()
        parameters = {
            "user": made.user,
            "place": 1,
            "subscription": made.subscription,
            "plan": "monthly",
            "coins": 299,
            "transaction": charge,
            "months": 1,
            "number": 0,
            "more": 1,
            "previous": None,
            "start": "2031-01-31 10:00Z",
            "shift": "0",
        }
        connection.execute(
            f"WITH charged AS ({INSERT} RETURNING user_id, plan_id, place, end_time)"
            " INSERT INTO subscriptions (user_id, id, plan_id, auto_renew, place, end_time, create_time, update_time)"
            " SELECT user_id, %(subscription)s, plan_id, TRUE, place, end_time, clock(), clock() FROM charged",
            parameters,
        )
        yield made._replace(transaction=charge)
        connection.rollback()


AS_OWNER = pytest.mark.parametrize("paid", ["owner"], indirect=True)


def test_the_next_period_is_taken_where_it_is_as_it_should_be(paid: Paid) -> None:
    paid.insert(paid.pay())
    row = paid.connection.execute(
        "SELECT start_time = previous_end_time FROM subscription_periods WHERE user_id = %s AND place = 2", [paid.user]
    ).fetchone()
    assert row == (True,)


@pytest.mark.parametrize(
    ("other", "constraint"),
    [
        ({"number": 0}, "subscription_periods_start_time_check"),
        ({"start": "2031-01-31 09:59:59.999999Z"}, "subscription_periods_start_time_check"),
        ({"number": 0, "shift": "-1 month"}, "subscription_periods_previous_place_fkey"),
        ({"place": 3, "previous": 2}, "subscription_periods_previous_place_check"),
        ({"place": 3}, "subscription_periods_previous_place_check"),
        ({"previous": None}, "subscription_periods_previous_place_check"),
        ({"place": 1, "previous": None}, "subscription_periods_pkey"),
        ({"place": 0, "previous": None}, "subscription_periods_previous_place_check"),
        ({"more": 2}, "subscription_periods_end_time_check"),
        ({"more": 0}, "subscription_periods_end_time_check"),
        ({"number": -1, "start": "2031-05-01Z"}, "subscription_periods_number_check"),
        ({"months": 2}, "subscription_periods_plan_id_fkey"),
        ({"coins": 298}, "subscription_periods_charged"),
        ({"subscription": uuid.uuid4()}, "subscription_periods_subscription_id_fkey"),
    ],
)
def test_no_period_overlaps_another_or_is_out_of_its_place(
    paid: Paid, other: dict[str, object], constraint: str
) -> None:
    with pytest.raises(errors.IntegrityError) as caught:
        paid.insert(paid.pay(), **other)
    assert caught.value.diag.constraint_name == constraint


@pytest.mark.parametrize("of", ["nothing", "another subscription", "another kind", "another price"])
def test_no_period_is_there_unpaid(paid: Paid, of: str) -> None:
    match of:
        case "nothing":
            transaction = uuid.uuid4()
        case "another subscription":
            transaction = paid.pay(subject=uuid.uuid4())
        case "another kind":
            transaction = paid.pay(kind="adjustment")
        case _:
            transaction = paid.pay(1)
    with pytest.raises(errors.IntegrityError) as caught:
        paid.insert(transaction)
    assert caught.value.diag.constraint_name in {
        "subscription_periods_charged",
        "subscription_periods_transaction_id_fkey",
    }


def test_one_charge_pays_one_period(paid: Paid) -> None:
    with pytest.raises(errors.UniqueViolation) as caught:
        paid.insert(paid.transaction)
    assert caught.value.diag.constraint_name == "subscription_periods_transaction_id_key"


def test_a_user_has_one_subscription_that_renews(paid: Paid) -> None:
    paid.insert(paid.pay())
    with pytest.raises(errors.UniqueViolation) as caught:
        paid.connection.execute(SUBSCRIBE, [uuid.uuid4(), paid.user, 2])
    assert caught.value.diag.constraint_name == "subscriptions_user_id_key"


@pytest.mark.parametrize("change", ["end_time = end_time + interval '1 day'", "place = 2"])
def test_a_subscription_says_what_its_last_period_says(paid: Paid, change: str) -> None:
    with pytest.raises(errors.ForeignKeyViolation) as caught:
        paid.connection.execute(f"UPDATE subscriptions SET {change} WHERE user_id = %s".encode(), [paid.user])
    assert caught.value.diag.constraint_name == "subscriptions_place_fkey"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE subscription_periods SET end_time = end_time",
        "DELETE FROM subscription_periods",
        "TRUNCATE subscription_periods",
        "UPDATE subscriptions SET plan_id = 'yearly'",
        "DELETE FROM subscriptions",
        "TRUNCATE subscriptions",
        "UPDATE plans SET coins = 1",
        "INSERT INTO plans (id, coins, months) VALUES ('mine', 1, 1)",
        "DELETE FROM plans",
    ],
)
def test_the_service_may_not(paid: Paid, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        paid.connection.execute(statement.encode())


@AS_OWNER
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM subscription_periods",
        "TRUNCATE subscription_periods, subscriptions",
        "DELETE FROM subscriptions",
        "UPDATE subscription_periods SET coins = coins - 1",
        "UPDATE subscription_periods SET number = number + 1, end_time = period_start(anchor, months, number + 2)",
        "UPDATE subscription_periods SET anchor = anchor - interval '1 day', refund_time = clock()",
        "UPDATE subscription_periods SET end_time = end_time + interval '1 day', refund_time = clock()",
    ],
)
def test_nor_does_the_owner_by_mistake(paid: Paid, statement: str) -> None:
    with pytest.raises(errors.RestrictViolation):
        paid.connection.execute(statement.encode())


@AS_OWNER
def test_a_period_that_was_not_refunded_does_not_end_sooner(paid: Paid) -> None:
    with pytest.raises(errors.CheckViolation) as caught:
        paid.connection.execute(
            "UPDATE subscription_periods SET end_time = end_time - interval '1 day' WHERE user_id = %s", [paid.user]
        )
    assert caught.value.diag.constraint_name == "subscription_periods_end_time_check"


@AS_OWNER
def test_a_plan_that_was_sold_keeps_its_months(paid: Paid) -> None:
    with pytest.raises(errors.ForeignKeyViolation) as caught:
        paid.connection.execute("UPDATE plans SET months = 2 WHERE id = 'monthly'")
    assert caught.value.diag.constraint_name == "subscription_periods_plan_id_fkey"
