"""A refund is what its transactions say, against raw SQL of the service."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import errors

MAKE = """
INSERT INTO users (id, phone_number, country_code, full_name, timezone, create_time, update_time)
SELECT %s, '+91' || (random() * 1e10)::bigint, '+91', 'A', 'UTC', clock(), clock()
"""
POST = "SELECT post(%s, %s, %s, %s, gen_random_uuid(), %s::leg[])"
INSERT = """
INSERT INTO refunds (original_id, before, after, user_id, host_id, taken_back, transaction_id)
VALUES (%(original_id)s, %(before)s, %(after)s, %(user_id)s, %(host_id)s, %(taken_back)s, %(transaction_id)s)
"""


@dataclass
class Books:
    """A gift of 100 coins, 60 of them the host's; 10 of it are refunded."""

    connection: psycopg.Connection
    payer: uuid.UUID
    host: uuid.UUID
    purchase: uuid.UUID
    gift: uuid.UUID

    def post(
        self, kind: str, subject: uuid.UUID | None, *legs: tuple[uuid.UUID, str, int], about: uuid.UUID | None = None
    ) -> uuid.UUID:
        """A movement, of the payer's unless it is about somebody else."""
        made = uuid.uuid4()
        written = [f"({user},{account},{amount},0)" for user, account, amount in legs]
        self.connection.execute(POST, [made, kind, about or self.payer, subject, written])
        return made

    def give_back(self, coins: int, part: int, about: uuid.UUID | None = None) -> uuid.UUID:
        """A movement like that of a refund of the gift, without its mark."""
        return self.post(
            "refund",
            self.gift,
            (self.payer, "coins", coins),
            (self.host, "earnings", -part),
            (self.payer, "platform_revenue", part - coins),
            about=about,
        )

    def mark(self, **columns: Any) -> None:
        """The row of a refund of 10 coins from 10 to 20, but for what `columns` say."""
        made = {"original_id": self.gift, "before": 10, "after": 20, "user_id": self.payer, "host_id": self.host}
        coins = columns.get("after", 20) - columns.get("before", 10)
        part = columns.get("taken_back", 6)
        if "transaction_id" not in columns:
            made["transaction_id"] = self.give_back(coins, 6)
        self.connection.execute(INSERT, {**made, "taken_back": part, **columns})


@pytest.fixture
def books(service_url: str) -> Iterator[Books]:
    with psycopg.connect(service_url) as connection:
        payer, host = uuid.uuid4(), uuid.uuid4()
        for user in (payer, host):
            connection.execute(MAKE, [user])
        books = Books(connection, payer, host, uuid.uuid4(), uuid.uuid4())
        books.purchase = books.post("purchase", None, (payer, "coins", 500), (payer, "payment_provider", -500))
        books.gift = books.post(
            "gift", None, (payer, "coins", -100), (host, "earnings", 60), (payer, "platform_revenue", 40)
        )
        books.mark(before=0, after=10)
        yield books
        connection.rollback()


def test_a_refund_goes_on_where_the_last_one_ended(books: Books) -> None:
    books.mark()
    books.mark(before=20, after=100, transaction_id=books.give_back(80, 6))


def test_no_refund_overshoots(books: Books) -> None:
    with pytest.raises(errors.CheckViolation, match="what is left") as caught:
        books.mark(after=101)
    assert caught.value.diag.constraint_name == "refunds_transactions"


@pytest.mark.parametrize(
    "fault",
    ["moved less", "taken more", "no host", "of another user", "for another user", "no refund", "of another"],
)
def test_a_refund_says_what_its_transactions_say(books: Books, fault: str) -> None:
    columns: dict[str, object] = {}
    match fault:
        case "moved less":
            columns["transaction_id"] = books.give_back(9, 6)
        case "taken more":
            columns["taken_back"] = 7
        case "no host":
            columns.update(host_id=None, taken_back=0, transaction_id=books.give_back(10, 0))
        case "of another user":
            columns.update(user_id=books.host, transaction_id=books.give_back(10, 6, about=books.host))
        case "for another user":
            columns["transaction_id"] = books.give_back(10, 6, about=books.host)
        case "no refund":
            legs = ((books.payer, "coins", 10), (books.host, "earnings", -6), (books.payer, "promotions", -4))
            columns["transaction_id"] = books.post("adjustment", books.gift, *legs)
        case _:
            legs = ((books.payer, "coins", 10), (books.host, "earnings", -6), (books.payer, "platform_revenue", -4))
            columns["transaction_id"] = books.post("refund", books.purchase, *legs)
    with pytest.raises(errors.CheckViolation) as caught:
        books.mark(**columns)
    assert caught.value.diag.constraint_name == "refunds_transactions"


def test_only_what_can_be_refunded_is(books: Books) -> None:
    legs = ((books.payer, "coins", 10), (books.payer, "promotions", -10))
    given = books.post("adjustment", None, *legs)
    back = books.post("refund", given, (books.payer, "coins", -10), (books.payer, "promotions", 10))
    with pytest.raises(errors.CheckViolation, match="what is left"):
        books.mark(original_id=given, before=0, after=10, host_id=None, taken_back=0, transaction_id=back)
