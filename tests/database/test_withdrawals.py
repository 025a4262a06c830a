"""How a withdrawal goes forward in the database itself, whoever writes raw SQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

STATUSES = ("pending", "approved", "paid", "rejected", "failed", "cancelled")
NEXT = {"pending": {"approved", "rejected", "cancelled"}, "approved": {"paid", "failed"}}
REVIEWED = "reviewer_id = coalesce(reviewer_id, %(admin)s), review_time = coalesce(review_time, clock())"
COMPLETED = "completer_id = %(admin)s, end_time = clock()"
COLUMNS = {
    "pending": "status = 'pending'",
    "approved": f"status = 'approved', {REVIEWED}",
    "rejected": f"status = 'rejected', {REVIEWED}, end_time = clock()",
    "cancelled": "status = 'cancelled', end_time = clock()",
    "failed": f"status = 'failed', {COMPLETED}",
    "paid": f"status = 'paid', {COMPLETED}, transaction_id = %(paid)s",
}
WHERE = "WHERE user_id = %(host)s AND id = %(withdrawal)s"


class Ground:
    """A host with earnings and a pending withdrawal, on a connection of the service, all of it undone at the end."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.values = {name: uuid.uuid4() for name in ("host", "admin", "withdrawal", "earned", "paid")}
        for name in ("host", "admin"):
            number = f"+91{uuid.uuid4().int % 10**10:010d}"
            self.do(
                "INSERT INTO users (id, phone_number, country_code, full_name, timezone, create_time, update_time)"
                f" VALUES (%({name})s, '{number}', '+91', 'A', 'UTC', clock(), clock())"
            )
        self.post("earned", "bonus", "('earnings', 5000), ('promotions', -5000)")
        self.post("paid", "withdrawal", "('earnings', -1000), ('payouts', 1000)")
        self.do(
            "INSERT INTO withdrawals (user_id, id, amount, create_time)"
            " VALUES (%(host)s, %(withdrawal)s, 1000, clock())"
        )
        self.do(
            "INSERT INTO withdrawal_details (user_id, withdrawal_id, method, upi_id)"
            " VALUES (%(host)s, %(withdrawal)s, 'upi', 'a@b')"
        )

    def post(self, name: str, kind: str, legs: str) -> None:
        self.do(
            f"SELECT post(%({name})s, '{kind}', %(host)s, NULL, %(admin)s, array_agg((%(host)s, account, amount, 0)"
            f"::leg)) FROM (VALUES {legs}) AS legs (account, amount)"
        )

    def do(self, statement: str) -> None:
        self.connection.execute(statement.encode(), self.values)

    def bring(self, status: str) -> None:
        """Take the withdrawal to a status by what is allowed."""
        if status in {"paid", "failed"}:
            self.bring("approved")
        if status != "pending":
            self.do(f"UPDATE withdrawals SET {COLUMNS[status]} {WHERE}")


@pytest.fixture
def ground(service_url: str) -> Iterator[Ground]:
    with psycopg.connect(service_url) as connection:
        yield Ground(connection)
        connection.rollback()


@pytest.fixture
def as_owner(owner_url: str) -> Iterator[Ground]:
    with psycopg.connect(owner_url) as connection:
        yield Ground(connection)
        connection.rollback()


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("after", STATUSES)
def test_a_withdrawal_goes_forward_and_ends_once(ground: Ground, status: str, after: str) -> None:
    ground.bring(status)
    change = f"UPDATE withdrawals SET {COLUMNS[after]} {WHERE}"
    if after in NEXT.get(status, ()):
        ground.do(change)
        return
    with pytest.raises(errors.CheckViolation) as caught:
        ground.do(change)
    assert caught.value.diag.constraint_name == "withdrawals_forward"


@pytest.mark.parametrize(
    ("status", "change"),
    [
        pytest.param("pending", "status = 'cancelled', end_time = clock(), amount = 1", id="amount"),
        pytest.param("approved", f"{COLUMNS['failed']}, review_time = review_time + '1 s'", id="review"),
    ],
)
def test_what_it_is_about_and_its_review_never_change(as_owner: Ground, status: str, change: str) -> None:
    as_owner.bring(status)
    with pytest.raises(errors.CheckViolation) as caught:
        as_owner.do(f"UPDATE withdrawals SET {change} {WHERE}")
    assert caught.value.diag.constraint_name == "withdrawals_forward"


def test_payout_details_go_with_their_person_and_the_withdrawal_stays(ground: Ground) -> None:
    ground.do(
        "UPDATE users SET phone_number = NULL, country_code = NULL, full_name = NULL, timezone = NULL,"
        " is_active = FALSE, delete_time = clock() WHERE id = %(host)s"
    )
    left = ground.connection.execute(
        "SELECT count(withdrawals.id), count(withdrawal_details.user_id) FROM withdrawals"
        " LEFT JOIN withdrawal_details USING (user_id) WHERE user_id = %(host)s",
        ground.values,
    ).fetchone()
    assert left == (1, 0)
