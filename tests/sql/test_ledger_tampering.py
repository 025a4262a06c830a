"""What anybody changes behind the ledger's back is found, and its row is named."""

from __future__ import annotations

import psycopg
import pytest

from tests.support.ledger import (
    BONUS,
    CALL,
    CALLER,
    CHARGE,
    GIFT,
    HOST,
    IDLE,
    MEMBER,
    PAYOUT,
    PURCHASE,
    REFUND,
    discrepancies,
    fake,
)

TABLES = ("entries", "transactions", "wallets", "earnings", "payments")
_COINS = f"entries WHERE user_id = '{CALLER}' AND account = 'coins' AND version = 2"
_FIRST = f"entries WHERE user_id = '{CALLER}' AND account = 'coins' AND version = 1"
_REVENUE = f"entries WHERE user_id = '{HOST}' AND account = 'platform_revenue' AND transaction_id = '{CALL}'"
_EARNED = f"earnings WHERE transaction_id = '{CALL}'"
_PAID = "payments WHERE payment_id = 'payment-1'"
_WALLET = f"wallets WHERE user_id = '{CALLER}' AND kind = 'coins'"
_HELD = f"user_id = '{MEMBER}' AND kind = 'earnings'"
_CALL = f"transactions WHERE id = '{CALL}'"

EDITS = {
    "entries.user_id": [(_COINS, f"'{IDLE}'"), (_REVENUE, f"'{CALLER}'")],
    "entries.account": [(_COINS, "'earnings'"), (_REVENUE, "'payouts'")],
    "entries.transaction_id": [(_REVENUE, f"'{PURCHASE}'"), (_COINS, "gen_random_uuid()")],
    "entries.amount": [(_COINS, "amount - 1"), (_REVENUE, "amount + 1")],
    "entries.version": [(_COINS, "9")],
    "entries.balance_after": [(_COINS, "balance_after + 1")],
    "entries.hash": [(_COINS, "sha256('other')")],
    "transactions.id": [(_CALL, "gen_random_uuid()")],
    "transactions.kind": [(_CALL, "'gift'"), (_CALL, "'refund'")],
    "transactions.user_id": [(_CALL, f"'{HOST}'")],
    "transactions.subject_id": [(_CALL, "NULL"), (_CALL, "id")],
    "transactions.actor_id": [(_CALL, f"'{HOST}'")],
    "transactions.total": [(_CALL, "total + 1")],
    "transactions.create_time": [(_CALL, "create_time + interval '1 microsecond'"), (_CALL, "'infinity'")],
    "wallets.user_id": [(_WALLET, "gen_random_uuid()")],
    "wallets.kind": [(f"wallets WHERE user_id = '{HOST}' AND kind = 'earnings'", "'payouts'")],
    "wallets.available": [(_WALLET, "available + 1")],
    "wallets.held": [(_WALLET, "held + 1"), (_WALLET, "5, available = available - 5")],
    "wallets.version": [(_WALLET, "version - 1")],
    "wallets.head_hash": [(_WALLET, "sha256('other')")],
    "earnings.user_id": [(_EARNED, f"'{CALLER}'")],
    "earnings.transaction_id": [(_EARNED, f"'{PURCHASE}'")],
    "earnings.kind": [(_EARNED, "'gift'")],
    "earnings.total": [(_EARNED, "total + 1, platform_part = platform_part + 1")],
    "earnings.host_part": [(_EARNED, "host_part + 1, platform_part = platform_part - 1")],
    "earnings.platform_part": [(_EARNED, "platform_part + 1, total = total + 1")],
    "earnings.create_time": [(_EARNED, "create_time + interval '1 microsecond'")],
    "payments.user_id": [(_PAID, f"'{HOST}'")],
    "payments.coins": [(_PAID, "coins + 1")],
    "payments.transaction_id": [(_PAID, f"'{CALL}'")],
}
"""By column: rows, and what one who may do everything puts there."""

NAMES_ONLY = {"payments.provider", "payments.payment_id"}
"""Columns that nothing else follows from: no coin moves by them."""

ROWS = {
    "an entry gone": f"DELETE FROM {_COINS}",
    "the last entry gone": f"DELETE FROM entries WHERE user_id = '{CALLER}' AND account = 'coins' AND version = 3",
    "a system account's entry gone": f"DELETE FROM {_REVENUE}",
    "a transaction gone": f"DELETE FROM {_CALL}",
    "a wallet gone": f"DELETE FROM {_WALLET}",
    "an empty wallet gone": f"DELETE FROM wallets WHERE user_id = '{IDLE}' AND kind = 'coins'",
    "earnings gone": f"DELETE FROM {_EARNED}",
    "a payment gone": f"DELETE FROM {_PAID}",
    "a user gone": f"DELETE FROM users WHERE id = '{CALLER}'",
    "a transaction more": f"""INSERT INTO transactions (id, kind, user_id, actor_id, total, create_time)
        SELECT gen_random_uuid(), kind, user_id, actor_id, total, create_time FROM {_CALL}""",
    "an entry more": f"""INSERT INTO entries (user_id, account, transaction_id, amount)
        VALUES ('{IDLE}', 'payouts', '{CALL}', 5)""",
    "a first entry more": f"""INSERT INTO entries (user_id, account, transaction_id, amount, version,
        balance_after, hash) SELECT '{IDLE}', account, transaction_id, amount, 1, amount, hash FROM {_FIRST}""",
    "a wallet more": "INSERT INTO wallets (user_id, kind) VALUES (gen_random_uuid(), 'coins')",
    "earnings more": f"""INSERT INTO earnings
        SELECT user_id, '{PURCHASE}', kind, total, host_part, platform_part, create_time FROM {_EARNED}""",
    "a payment more": f"INSERT INTO payments SELECT provider, 'other', user_id, coins, '{CALL}' FROM {_PAID}",
    "two wallets swapped": f"""UPDATE wallets
        SET user_id = CASE user_id WHEN '{IDLE}' THEN '{CALLER}'::uuid ELSE '{IDLE}'::uuid END
        WHERE user_id IN ('{IDLE}', '{CALLER}') AND kind = 'coins'""",
    "two entries swapped": f"""UPDATE entries
        SET version = 5 - version, balance_after = CASE version WHEN 2 THEN 890 ELSE 990 END
        WHERE user_id = '{CALLER}' AND account = 'coins' AND version IN (2, 3)""",
    "two hosts' parts swapped": f"""UPDATE earnings
        SET transaction_id = CASE transaction_id WHEN '{CALL}' THEN '{GIFT}'::uuid ELSE '{CALL}'::uuid END""",
    "two transactions swapped": f"""UPDATE transactions
        SET kind = CASE kind WHEN 'gift' THEN 'call_charge' ELSE 'gift' END WHERE id IN ('{CALL}', '{GIFT}')""",
    "two wallets of one kind": f"INSERT INTO wallets (user_id, kind) VALUES ('{IDLE}', 'coins')",
    "two entries of one version": f"""INSERT INTO entries (user_id, account, transaction_id, amount, version,
        balance_after, hash)
        SELECT user_id, account, '{PURCHASE}', amount, version, balance_after, hash FROM {_COINS}""",
}
"""What somebody does to whole rows."""

CAUSES = {
    "subscription": ("subscription_periods", CHARGE, "coins", 299),
    "refund": ("refunds", REFUND, "after", 50),
    "bonus": ("host_bonuses", BONUS, "coins", 5000),
    "withdrawal": ("withdrawals", PAYOUT, "amount", 1000),
}
"""By kind of transaction: the table of what it is for, the one that the test has, the column of its coins, how many."""

CONSTRAINTS = """
ALTER TABLE wallets DROP CONSTRAINT wallets_kind_check, DROP CONSTRAINT wallets_pkey;
ALTER TABLE entries DROP CONSTRAINT entries_pkey, DROP CONSTRAINT entries_version_key CASCADE,
    DROP CONSTRAINT entries_balance_after_key CASCADE;
ALTER TABLE earnings DROP CONSTRAINT earnings_pkey CASCADE;
ALTER TABLE host_bonuses DROP CONSTRAINT host_bonuses_transaction_id_key;
"""
"""What is in the way of some of it."""


@pytest.fixture
def unguarded(ledger: psycopg.Connection) -> psycopg.Connection:
    """A ledger from which somebody has taken what would be in his way."""
    ledger.execute(CONSTRAINTS.encode())
    return ledger


def columns_of(connection: psycopg.Connection, table: str) -> list[str]:
    """The columns that can be edited: a generated one can't."""
    query = (
        "SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        " AND attgenerated = ''"
    )
    return [name for (name,) in connection.execute(query, [table])]


def test_a_ledger_that_nobody_touched_is_whole(unguarded: psycopg.Connection) -> None:
    assert discrepancies(unguarded) == []
    for user in (CALLER, HOST, IDLE, MEMBER):
        assert discrepancies(unguarded, user) == []


def test_every_column_has_somebody_who_edits_it(unguarded: psycopg.Connection) -> None:
    columns = {f"{table}.{column}" for table in TABLES for column in columns_of(unguarded, table)}
    assert columns == EDITS.keys() | NAMES_ONLY


@pytest.mark.parametrize(
    ("column", "row", "value"), [(column, *edit) for column, edits in EDITS.items() for edit in edits]
)
def test_an_edited_field_is_found(unguarded: psycopg.Connection, column: str, row: str, value: str) -> None:
    table, _, name = column.partition(".")
    fake(unguarded, f"UPDATE {table} SET {name} = {value} {row.removeprefix(table)}")
    assert discrepancies(unguarded) != []


@pytest.mark.parametrize("statement", ROWS.values(), ids=ROWS)
def test_a_row_that_went_or_came_or_took_anothers_place_is_found(unguarded: psycopg.Connection, statement: str) -> None:
    fake(unguarded, statement)
    assert discrepancies(unguarded) != []


@pytest.mark.parametrize("kind", CAUSES)
def test_what_a_transaction_is_for_is_missed_when_it_is_gone_or_has_other_coins(
    unguarded: psycopg.Connection, kind: str
) -> None:
    table, transaction, column, coins = CAUSES[kind]
    said = f"transactions where id = '{transaction}': amount of its {kind} is {{}}, and should be {coins}"
    fake(unguarded, f"UPDATE {table} SET {column} = {column} + 1 WHERE transaction_id = '{transaction}'")
    assert [str(found) for found in discrepancies(unguarded)] == [said.format(coins + 1)]
    fake(unguarded, f"DELETE FROM {table} WHERE transaction_id = '{transaction}'")
    assert [str(found) for found in discrepancies(unguarded)] == [said.format("nothing")]


def test_two_bonuses_of_one_transaction_are_found(unguarded: psycopg.Connection) -> None:
    fake(unguarded, f"INSERT INTO host_bonuses VALUES ('{MEMBER}', 'other', '2026-01', 200, '{BONUS}', clock())")
    (found,) = discrepancies(unguarded)
    assert (found.field, found.expected, found.found) == ("amount of its bonus", "5000", "5200")


@pytest.mark.parametrize(
    ("statement", "held", "open_amount"),
    [
        ("DELETE FROM withdrawals WHERE status = 'pending'", 30, 0),
        ("UPDATE withdrawals SET amount = 31 WHERE status = 'pending'", 30, 31),
        ("UPDATE withdrawals SET status = 'cancelled', end_time = clock() WHERE status = 'pending'", 30, 0),
        (f"INSERT INTO withdrawals VALUES ('{MEMBER}', gen_random_uuid(), 5, 'pending', clock())", 30, 35),
        (f"UPDATE wallets SET held = held - 30, available = available + 30 WHERE {_HELD}", 0, 30),
    ],
)
def test_a_hold_that_is_not_what_open_withdrawals_come_to_is_found(
    unguarded: psycopg.Connection, statement: str, held: int, open_amount: int
) -> None:
    fake(unguarded, f"INSERT INTO withdrawals VALUES ('{MEMBER}', gen_random_uuid(), 30, 'pending', clock())")
    fake(unguarded, f"UPDATE wallets SET available = available - 30, held = 30 WHERE {_HELD}")
    assert discrepancies(unguarded) == []
    fake(unguarded, statement)
    (found,) = discrepancies(unguarded)
    assert str(found) == f"wallets where {_HELD}: held is {held}, and should be {open_amount}"


def test_a_discrepancy_names_the_row_and_says_what_it_should_be(unguarded: psycopg.Connection) -> None:
    fake(unguarded, f"UPDATE wallets SET available = available + 5 WHERE user_id = '{CALLER}' AND kind = 'coins'")
    (found,) = discrepancies(unguarded)
    key = f"user_id = '{CALLER}' AND kind = 'coins'"
    assert str(found) == f"wallets where {key}: available + held is 895, and should be 890"
    assert unguarded.execute(f"SELECT available FROM wallets WHERE {found.key}".encode()).fetchall() == [(895,)]


def test_one_users_verification_finds_what_concerns_him_and_no_more(unguarded: psycopg.Connection) -> None:
    fake(unguarded, f"UPDATE transactions SET actor_id = '{IDLE}' WHERE id = '{CALL}'")
    for user in (CALLER, HOST):
        (found,) = discrepancies(unguarded, user)
        assert (found.check, found.field) == ("hashes", "hash")
        assert user in found.key
    assert discrepancies(unguarded, IDLE) == []
