"""What keeps the ledger true, each layer alone: what the service's role tries, and what its owner does.

Where one layer hides another, the other is switched off: the owner has every right, `replica` silences triggers and
foreign keys, and triggers are disabled one table at a time. `tools/guards.py` takes each guard out, and shows that its
test here then fails.
"""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from tests.sql.attacks import APPEND_ONLY, CHECKS, FORBIDDEN, FOREIGN_KEYS, KEYS, TABLES
from tests.sql.attacks.subscriptions import period
from tests.sql.attacks.values import FREE, NEW
from tests.support.ledger import CALL, CALLER, CHARGE, IDLE, MEMBER, PURCHASE, SUBSCRIPTION

_COINS = f"user_id = '{CALLER}' AND kind = 'coins'"
_HASH = "sha256('x')"
_TRANSACTION = "INSERT INTO transactions (id, kind, user_id, actor_id, total, create_time) VALUES"
_LEG = "INSERT INTO entries (user_id, account, transaction_id, amount) VALUES"
_KEY = "INSERT INTO idempotency_keys (actor_id, request_id, fingerprint, outcome, create_time) VALUES"

ATTEMPTS = {
    "INSERT": "INSERT INTO {table} ({column}) SELECT {column} FROM {table}",
    "UPDATE": "UPDATE {table} SET {column} = {column}",
    "DELETE": "DELETE FROM {table}",
    "TRUNCATE": "TRUNCATE {table}",
}
"""By right, the statement that needs it."""

POSTS = {
    "unbalanced": ("entries_balance", [("coins", 100, 0), ("payment_provider", -99, 0)]),
    "minted": ("entries_balance", [("coins", 100, 0)]),
    "overdrawn": ("entries_version_check", [("coins", -891, 0), ("payouts", 891, 0)]),
    "spent what is held": ("wallets_available_check", [("coins", -890, 0), ("payouts", 890, 0)]),
    "held more than there is": ("wallets_available_check", [("coins", 1, 1000), ("promotions", -1, 0)]),
    "released more than is held": ("wallets_held_check", [("coins", 1, -11), ("promotions", -1, 0)]),
    "one wallet twice": ("entries_pkey", [("coins", 5, 0), ("coins", 5, 0), ("promotions", -10, 0)]),
    "an unknown account": ("entries_account_check", [("coins", 5, 0), ("mine", -5, 0)]),
}
"""What the service's role asks post() for, of 880 available and 10 held, and what refuses it."""


CHARGES = {
    "another kind": ("adjustment", MEMBER, SUBSCRIPTION, 299),
    "another user": ("subscription", IDLE, SUBSCRIPTION, 299),
    "another subscription": ("subscription", MEMBER, CHARGE, 299),
    "another price": ("subscription", MEMBER, SUBSCRIPTION, 298),
}
"""Transactions that do not pay the member's second period: kind, user, subject and coins."""


def refused(connection: psycopg.Connection, statement: str, error: type[psycopg.Error], name: str | None) -> None:
    """The statement fails by the guard of this name, and leaves the transaction as it was."""
    with pytest.raises(error) as caught, connection.transaction():
        connection.execute(statement.encode())
    assert caught.value.diag.constraint_name == name


def as_service(connection: psycopg.Connection) -> psycopg.Connection:
    connection.execute("SET LOCAL ROLE banter_service")
    return connection


def post(legs: list[tuple[str, int, int]], transaction_id: str = NEW, user_id: str = CALLER) -> str:
    """The call of post() by which a user's accounts are moved."""
    made = ", ".join(f"('{user_id}', '{account}', {amount}, {held})::leg" for account, amount, held in legs)
    return f"SELECT post({transaction_id}, 'adjustment', '{user_id}', NULL, '{user_id}', ARRAY[{made}])"


class TestEachLayerAlone:
    @pytest.mark.parametrize("name", CHECKS)
    def test_a_check_refuses(self, ledger: psycopg.Connection, name: str) -> None:
        ledger.execute("SET LOCAL session_replication_role = replica")
        for statement in CHECKS[name]:
            refused(ledger, statement, errors.CheckViolation, name)

    @pytest.mark.parametrize("name", KEYS)
    def test_a_key_refuses(self, ledger: psycopg.Connection, name: str) -> None:
        ledger.execute("SET LOCAL session_replication_role = replica")
        refused(ledger, KEYS[name], errors.UniqueViolation, name)

    @pytest.mark.parametrize("name", FOREIGN_KEYS)
    def test_a_foreign_key_refuses(self, ledger: psycopg.Connection, name: str) -> None:
        ledger.execute(f"{_TRANSACTION} ('{FREE}', 'adjustment', '{CALLER}', '{CALLER}', 1, clock())".encode())
        for table in TABLES:
            ledger.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
        for statement in FOREIGN_KEYS[name]:
            refused(ledger, statement, errors.ForeignKeyViolation, name)

    @pytest.mark.parametrize("name", APPEND_ONLY)
    def test_a_table_is_append_only_even_for_its_owner(self, ledger: psycopg.Connection, name: str) -> None:
        for statement in APPEND_ONLY[name]:
            refused(ledger, statement, errors.RestrictViolation, name)

    @pytest.mark.parametrize("table", FORBIDDEN)
    def test_the_service_has_no_right_to_more(self, ledger: psycopg.Connection, table: str) -> None:
        first = ledger.execute(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 1", [table]
        ).fetchone()
        assert first is not None
        as_service(ledger)
        for right in FORBIDDEN[table]:
            verb, _, column = right.removesuffix(")").partition(" (")
            statement = ATTEMPTS[verb].format(table=table, column=column or first[0])
            refused(ledger, statement, errors.InsufficientPrivilege, None)

    def test_nobody_else_may_call_what_works_as_the_owner(self, ledger: psycopg.Connection) -> None:
        found = ledger.execute(
            "SELECT oid::regprocedure::text FROM pg_proc"
            " WHERE pronamespace = 'public'::regnamespace AND prosecdef"
            " AND has_function_privilege('public', oid, 'EXECUTE')"
        ).fetchall()
        assert found == []

    def test_a_wallet_never_goes_back(self, ledger: psycopg.Connection) -> None:
        ledger.execute("ALTER TABLE wallets DROP CONSTRAINT wallets_head_version_fkey")
        for change in ("version = 2, available = 900", f"user_id = '{CALL}'", "kind = 'earnings', version = 9"):
            refused(ledger, f"UPDATE wallets SET {change} WHERE {_COINS}", errors.CheckViolation, "wallets_forward")

    @pytest.mark.parametrize(
        "legs",
        [
            pytest.param([("payouts", 5), ("promotions", -4)], id="sum"),
            pytest.param([("payouts", 6), ("promotions", -6)], id="total"),
        ],
    )
    def test_the_legs_of_a_transaction_sum_to_0_and_move_its_total(
        self, ledger: psycopg.Connection, legs: list[tuple[str, int]]
    ) -> None:
        ledger.execute(f"{_TRANSACTION} ('{FREE}', 'adjustment', '{CALLER}', '{CALLER}', 5, clock())".encode())
        rows = ", ".join(f"('{IDLE}', '{account}', '{FREE}', {amount})" for account, amount in legs)
        refused(ledger, f"{_LEG} {rows}", errors.CheckViolation, "entries_balance")

    def test_no_leg_comes_later(self, ledger: psycopg.Connection) -> None:
        ledger.execute(f"{_TRANSACTION} ('{FREE}', 'adjustment', '{CALLER}', '{CALLER}', 5, clock())".encode())
        ledger.execute(f"{_LEG} ('{IDLE}', 'payouts', '{FREE}', 5), ('{IDLE}', 'promotions', '{FREE}', -5)".encode())
        late = f"{_LEG} ('{CALLER}', 'payouts', '{FREE}', 5), ('{CALLER}', 'promotions', '{FREE}', -5)"
        refused(ledger, late, errors.CheckViolation, "entries_balance")

    @pytest.mark.parametrize("name", ["its own", *CHARGES])
    def test_a_period_is_paid_by_a_transaction_of_its_own(self, ledger: psycopg.Connection, name: str) -> None:
        kind, user, subject, coins = CHARGES.get(name, ("subscription", MEMBER, SUBSCRIPTION, 299))
        ledger.execute(
            f"SELECT post('{FREE}', '{kind}', '{user}', '{subject}', '{MEMBER}', ARRAY["
            f"('{MEMBER}', 'coins', -{coins}, 0)::leg, ('{MEMBER}', 'platform_revenue', {coins}, 0)::leg])".encode()
        )
        if name == "its own":
            ledger.execute(period().encode())
        else:
            refused(ledger, period(), errors.CheckViolation, "subscription_periods_charged")

    def test_a_new_user_has_both_wallets_at_once(self, owner_url: str) -> None:
        user = (
            "INSERT INTO users (id, phone_number, country_code, full_name, timezone, create_time, update_time)"
            f" VALUES ('{FREE}', '+919876500009', '+91', 'Asha', 'UTC', clock(), clock())"
        )
        with psycopg.connect(owner_url) as connection:
            connection.execute(user.encode())
            found = connection.execute("SELECT kind FROM wallets WHERE user_id = %s ORDER BY kind", [FREE]).fetchall()
            connection.rollback()
        assert found == [("coins",), ("earnings",)]

    def test_a_key_is_kept_for_30_days_and_then_goes(self, ledger: psycopg.Connection) -> None:
        for age in ("29 days 23:59", "30 days"):
            ledger.execute(f"{_KEY} ('{CALL}', {NEW}, {_HASH}, '{{}}', clock() - interval '{age}')".encode())
        refused(ledger, "DELETE FROM idempotency_keys", errors.RestrictViolation, "idempotency_keys_append_only")
        as_service(ledger)
        assert ledger.execute("SELECT purge_idempotency_keys(10), purge_idempotency_keys(10)").fetchone() == (1, 0)
        assert ledger.execute("SELECT count(*) FROM idempotency_keys").fetchone() == (1,)


class TestTheServicesRole:
    @pytest.mark.parametrize("name", POSTS)
    def test_it_can_not_have_posted(self, ledger: psycopg.Connection, name: str) -> None:
        as_service(ledger).execute(f"UPDATE wallets SET available = 880, held = 10 WHERE {_COINS}".encode())
        guard, legs = POSTS[name]
        refused(ledger, post(legs), errors.CheckViolation if guard != "entries_pkey" else errors.UniqueViolation, guard)

    def test_it_posts_nothing_twice(self, ledger: psycopg.Connection) -> None:
        again = post([("coins", 5, 0), ("promotions", -5, 0)], f"'{PURCHASE}'")
        refused(as_service(ledger), again, errors.UniqueViolation, "transactions_pkey")

    def test_it_posts_to_nobody_who_has_no_wallet(self, ledger: psycopg.Connection) -> None:
        nobody = post([("coins", 5, 0), ("promotions", -5, 0)], user_id=FREE).replace(
            f"'{FREE}', NULL", f"'{IDLE}', NULL"
        )
        refused(as_service(ledger), nobody, errors.CheckViolation, "entries_version_check")

    @pytest.mark.parametrize(
        ("change", "guard", "error"),
        [
            ("available = available + 1", "wallets_head_version_fkey", errors.ForeignKeyViolation),
            ("held = held + 1", "wallets_head_version_fkey", errors.ForeignKeyViolation),
            ("available = 0", "wallets_head_version_fkey", errors.ForeignKeyViolation),
            ("available = -1, held = 891", "wallets_available_check", errors.CheckViolation),
            ("available = 891, held = -1", "wallets_held_check", errors.CheckViolation),
        ],
    )
    def test_it_makes_and_takes_no_coin_by_hand(
        self, ledger: psycopg.Connection, change: str, guard: str, error: type[psycopg.Error]
    ) -> None:
        refused(as_service(ledger), f"UPDATE wallets SET {change} WHERE {_COINS}", error, guard)

    def test_it_can_do_what_it_is_for(self, ledger: psycopg.Connection) -> None:
        """Or everything above would be refused for another reason."""
        as_service(ledger).execute(f"UPDATE wallets SET available = 880, held = 10 WHERE {_COINS}".encode())
        ledger.execute(post([("coins", -15, -10), ("platform_revenue", 15, 0)]).encode())
        found = ledger.execute(f"SELECT available, held, version FROM wallets WHERE {_COINS}".encode()).fetchone()
        assert found == (875, 0, 4)
