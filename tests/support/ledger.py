"""A ledger of every kind of row, and what becomes of it in bad hands."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from banter_grpc import ledger
from banter_grpc.database.statement import Step

CALLER = "00000000-0000-7000-8000-0000000000a1"
HOST = "00000000-0000-7000-8000-0000000000b1"
IDLE = "00000000-0000-7000-8000-0000000000c1"
PURCHASE = "00000000-0000-5000-8000-000000000001"
CALL = "00000000-0000-5000-8000-000000000002"
GIFT = "00000000-0000-5000-8000-000000000003"
MEMBER = "00000000-0000-7000-8000-0000000000d1"
BONUS = "00000000-0000-5000-8000-000000000004"
WITHDRAWAL = "00000000-0000-5000-8000-000000000005"
PAYOUT = "00000000-0000-5000-8000-000000000006"
BOUGHT = "00000000-0000-5000-8000-000000000007"
REFUND = "00000000-0000-5000-8000-000000000008"
SUBSCRIPTION = "00000000-0000-5000-8000-000000000009"
CHARGE = "00000000-0000-5000-8000-00000000000a"

USERS = f"""
INSERT INTO users (id, phone_number, country_code, full_name, timezone, create_time, update_time)
SELECT id::uuid, phone, '+91', 'Asha', 'UTC', clock(), clock()
FROM (VALUES ('{CALLER}', '+919876500001'), ('{HOST}', '+919876500002'), ('{IDLE}', '+919876500003')) AS u (id, phone);
"""
MOVES = f"""
SELECT post('{PURCHASE}', 'purchase', '{CALLER}', NULL, '{CALLER}', ARRAY[
    ('{CALLER}', 'coins', 1000, 0)::leg, ('{CALLER}', 'payment_provider', -1000, 0)::leg]);
INSERT INTO payments (provider, payment_id, user_id, coins, transaction_id)
VALUES ('tests', 'payment-1', '{CALLER}', 1000, '{PURCHASE}');
SELECT post('{CALL}', 'call_charge', '{CALLER}', '{PURCHASE}', '{CALLER}', ARRAY[
    ('{CALLER}', 'coins', -100, 0)::leg, ('{HOST}', 'earnings', 60, 0)::leg,
    ('{HOST}', 'platform_revenue', 40, 0)::leg]);
SELECT post('{GIFT}', 'gift', '{CALLER}', NULL, '{CALLER}', ARRAY[
    ('{CALLER}', 'coins', -10, 0)::leg, ('{HOST}', 'earnings', 6, 0)::leg, ('{HOST}', 'platform_revenue', 4, 0)::leg]);
"""
"""A purchase, a call and a gift: three entries of the caller's coins, two of the host's earnings, five others."""

BUSINESS = f"""
INSERT INTO users (id, phone_number, country_code, full_name, timezone, create_time, update_time)
VALUES ('{MEMBER}', '+919876500004', '+91', 'Asha', 'UTC', clock(), clock());

SELECT post('{BONUS}', 'bonus', '{MEMBER}', NULL, '{IDLE}', ARRAY[
    ('{MEMBER}', 'earnings', 5000, 0)::leg, ('{MEMBER}', 'promotions', -5000, 0)::leg]);
INSERT INTO host_bonuses (user_id, rule, period, coins, transaction_id, create_time)
VALUES ('{MEMBER}', 'tests', '2026-W47', 5000, '{BONUS}', clock());

SELECT post('{PAYOUT}', 'withdrawal', '{MEMBER}', '{WITHDRAWAL}', '{IDLE}', ARRAY[
    ('{MEMBER}', 'earnings', -1000, 0)::leg, ('{MEMBER}', 'payouts', 1000, 0)::leg]);
INSERT INTO withdrawals (
    user_id, id, amount, status, create_time, reviewer_id, review_time, completer_id, end_time, transaction_id)
VALUES ('{MEMBER}', '{WITHDRAWAL}', 1000, 'paid', clock(), '{IDLE}', clock(), '{IDLE}', clock(), '{PAYOUT}');
INSERT INTO withdrawal_details (user_id, withdrawal_id, method, upi_id)
VALUES ('{MEMBER}', '{WITHDRAWAL}', 'upi', 'asha@okbank');

SELECT post('{BOUGHT}', 'purchase', '{MEMBER}', NULL, '{MEMBER}', ARRAY[
    ('{MEMBER}', 'coins', 1000, 0)::leg, ('{MEMBER}', 'payment_provider', -1000, 0)::leg]);
INSERT INTO payments (provider, payment_id, user_id, coins, transaction_id)
VALUES ('tests', 'payment-9', '{MEMBER}', 1000, '{BOUGHT}');
SELECT post('{REFUND}', 'refund', '{MEMBER}', '{BOUGHT}', '{IDLE}', ARRAY[
    ('{MEMBER}', 'coins', -50, 0)::leg, ('{MEMBER}', 'payment_provider', 50, 0)::leg]);
INSERT INTO refunds (original_id, before, after, user_id, taken_back, transaction_id)
VALUES ('{BOUGHT}', 0, 50, '{MEMBER}', 0, '{REFUND}');
INSERT INTO transaction_notes (user_id, transaction_id, note) VALUES ('{MEMBER}', '{REFUND}', 'not what was meant');

SELECT post('{CHARGE}', 'subscription', '{MEMBER}', '{SUBSCRIPTION}', '{MEMBER}', ARRAY[
    ('{MEMBER}', 'coins', -299, 0)::leg, ('{MEMBER}', 'platform_revenue', 299, 0)::leg]);
WITH charged AS (
    INSERT INTO subscription_periods (
        user_id, place, subscription_id, plan_id, coins, transaction_id, anchor, months, number, end_time)
    VALUES (
        '{MEMBER}', 1, '{SUBSCRIPTION}', 'monthly', 299, '{CHARGE}', '2031-01-31 10:00Z', 1, 0, '2031-02-28 10:00Z')
    RETURNING user_id, subscription_id, plan_id, place, end_time
)
INSERT INTO subscriptions (user_id, id, plan_id, auto_renew, place, end_time, create_time, update_time)
SELECT user_id, subscription_id, plan_id, TRUE, place, end_time, clock(), clock() FROM charged;
"""
"""Another user: his bonus, a withdrawal that was paid, a purchase of which a part was refunded, a subscription."""


class OneConnection:
    """A database of one connection, in whose transaction a test changes what is looked at."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._cursor = psycopg.RawCursor(connection)

    async def run(self, step: Step[Any]) -> Any:
        rows = self._cursor.execute(step.statement.sql.encode(), step.parameters).fetchall()
        return step.statement.answer([step.statement.row(row) for row in rows], len(rows))


def discrepancies(
    connection: psycopg.Connection, user_id: str | None = None, *, piece: int = 3
) -> list[ledger.Discrepancy]:
    """What a verification finds, in pieces so small that every walk has some."""

    async def verify() -> list[ledger.Progress | ledger.Discrepancy]:
        database: Any = OneConnection(connection)
        return [event async for event in ledger.verify(database, user_id, piece=piece)]

    events = asyncio.run(verify())
    checks = {event.check for event in events if isinstance(event, ledger.Progress)}
    assert checks == {check.name for check in ledger.CHECKS}
    return [event for event in events if isinstance(event, ledger.Discrepancy)]


def fake(connection: psycopg.Connection, statement: str) -> None:
    """Do as a superuser who has switched off every trigger and foreign key; checks and unique keys stay."""
    connection.execute("SET session_replication_role = replica")
    connection.execute(statement.encode())
    connection.execute("SET session_replication_role = origin")


def rewrite_history(url: str, user_id: str, transaction_id: str, coins: int) -> None:
    """Make a purchase larger, and compute everything that follows from it anew, hashes and all."""
    given = {"user": user_id, "transaction": transaction_id, "coins": coins}
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in (
            "UPDATE transactions SET total = total + %(coins)s WHERE id = %(transaction)s",
            "UPDATE payments SET coins = coins + %(coins)s WHERE transaction_id = %(transaction)s",
            """UPDATE entries SET
                amount = amount + CASE WHEN transaction_id = %(transaction)s THEN sign(amount) * %(coins)s ELSE 0 END,
                balance_after = balance_after + %(coins)s
            WHERE user_id = %(user)s AND (account = 'coins' OR transaction_id = %(transaction)s)""",
            "UPDATE wallets SET available = available + %(coins)s WHERE user_id = %(user)s AND kind = 'coins'",
        ):
            connection.execute(statement, given)
        _rehash(connection)


def _rehash(connection: psycopg.Connection[dict[str, Any]]) -> None:
    """Compute every wallet's chain anew."""
    legs = (
        "SELECT string_agg(leg_bytes(l.user_id, l.account, l.amount, l.version, l.balance_after), ''"
        " ORDER BY l.user_id, l.account) FROM entries AS l WHERE l.transaction_id = e.transaction_id"
    )
    chains = connection.execute(
        "SELECT user_id, account, max(version) AS last FROM entries WHERE version > 0 GROUP BY user_id, account"
    ).fetchall()
    for chain in chains:
        for version in range(1, chain["last"] + 1):
            connection.execute(
                sql.SQL(
                    "UPDATE entries AS e SET hash = entry_hash("
                    "coalesce((SELECT p.hash FROM entries AS p WHERE (p.user_id, p.account, p.version)"
                    " = (e.user_id, e.account, e.version - 1)), ''),"
                    " transaction_digest(t, ({})), e.user_id, e.account)"
                    " FROM transactions AS t WHERE t.id = e.transaction_id"
                    " AND (e.user_id, e.account, e.version) = (%(user_id)s, %(account)s, %(version)s)"
                ).format(sql.SQL(legs)),
                {**chain, "version": version},
            )
    connection.execute(
        "UPDATE wallets SET head_hash = entries.hash FROM entries"
        " WHERE (entries.user_id, entries.account, entries.version) = (wallets.user_id, wallets.kind, wallets.version)"
    )
