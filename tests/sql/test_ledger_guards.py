"""What keeps the ledger true, each layer alone: what the service's role tries, and what its owner does.

Where one layer hides another, the other is switched off: the owner has every right, `replica` silences triggers and
foreign keys, and triggers are disabled one table at a time. `tools/guards.py` takes each guard out, and shows that its
test here then fails.
"""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from tests.support.ledger import CALL, CALLER, HOST, IDLE, PURCHASE

_COINS = f"user_id = '{CALLER}' AND kind = 'coins'"
_NEW = "gen_random_uuid()"
_FREE = "00000000-0000-5000-8000-0000000000ff"
_HASH = "sha256('x')"
_TRANSACTION = "INSERT INTO transactions (id, kind, user_id, actor_id, total, create_time) VALUES"
_LEG = "INSERT INTO entries (user_id, account, transaction_id, amount) VALUES"
_ENTRY = "INSERT INTO entries (user_id, account, transaction_id, amount, version, balance_after, hash) VALUES"
_EARNINGS = "INSERT INTO earnings (user_id, transaction_id, kind, total, host_part, platform_part, create_time) VALUES"
_PAYMENT = "INSERT INTO payments (provider, payment_id, user_id, coins, transaction_id) VALUES"
_KEY = "INSERT INTO idempotency_keys (actor_id, request_id, fingerprint, outcome, create_time) VALUES"
_GRANT = "INSERT INTO signup_grants (phone_hash, create_time) VALUES"

CHECKS = {
    "wallets_kind_check": [f"INSERT INTO wallets (user_id, kind) VALUES ({_NEW}, 'gold')"],
    "wallets_available_check": [f"UPDATE wallets SET available = -1, held = available + held + 1 WHERE {_COINS}"],
    "wallets_held_check": [f"UPDATE wallets SET held = -1, available = available + held + 1 WHERE {_COINS}"],
    "wallets_version_check": [
        f"UPDATE wallets SET available = 5 WHERE user_id = '{IDLE}'",
        f"UPDATE wallets SET version = -1 WHERE {_COINS}",
    ],
    "transactions_kind_check": [f"{_TRANSACTION} ({_NEW}, 'theft', '{IDLE}', '{IDLE}', 1, clock())"],
    "transactions_total_check": [
        f"{_TRANSACTION} ({_NEW}, 'purchase', '{IDLE}', '{IDLE}', 0, clock())",
        f"{_TRANSACTION} ({_NEW}, 'purchase', '{IDLE}', '{IDLE}', 1000000000001, clock())",
    ],
    "entries_account_check": [f"{_LEG} ('{IDLE}', 'mine', '{CALL}', 1)"],
    "entries_amount_check": [
        f"{_LEG} ('{IDLE}', 'payouts', '{CALL}', 0)",
        f"{_LEG} ('{IDLE}', 'payouts', '{CALL}', 1000000000001)",
        f"{_LEG} ('{IDLE}', 'payouts', '{CALL}', -1000000000001)",
    ],
    "entries_version_check": [
        f"{_LEG} ('{IDLE}', 'coins', '{CALL}', 1)",
        f"{_ENTRY} ('{IDLE}', 'payouts', '{CALL}', 1, 1, 1, {_HASH})",
        f"{_ENTRY} ('{IDLE}', 'coins', '{CALL}', 1, 0, 1, {_HASH})",
        f"{_ENTRY} ('{IDLE}', 'coins', '{CALL}', -1, 1, -1, {_HASH})",
        f"{_ENTRY} ('{IDLE}', 'coins', '{CALL}', 1, 1, 1, '')",
        f"{_ENTRY} ('{IDLE}', 'coins', '{CALL}', 1, 1, 1, NULL)",
    ],
    "entries_balance_after_check": [f"{_ENTRY} ('{IDLE}', 'coins', '{CALL}', 1, 1, 2, {_HASH})"],
    "earnings_kind_check": [f"{_EARNINGS} ('{IDLE}', '{CALL}', 'purchase', 2, 1, 1, clock())"],
    "earnings_host_part_check": [
        f"{_EARNINGS} ('{IDLE}', '{CALL}', 'gift', 2, 0, 2, clock())",
        f"{_EARNINGS} ('{IDLE}', '{CALL}', 'gift', 2, 3, -1, clock())",
        f"{_EARNINGS} ('{IDLE}', '{CALL}', 'gift', 2, 1, 2, clock())",
    ],
    "payments_coins_check": [
        f"{_PAYMENT} ('p', '1', '{IDLE}', 0, '{CALL}')",
        f"{_PAYMENT} ('p', '1', '{IDLE}', 1000000001, '{CALL}')",
    ],
    "idempotency_keys_fingerprint_check": [f"{_KEY} ({_NEW}, {_NEW}, 'x', '{{}}', clock())"],
    "signup_grants_phone_hash_check": [f"{_GRANT} ('x', clock())"],
}
"""By check: what it alone refuses, triggers and foreign keys silent."""

KEYS = {
    "wallets_pkey": f"INSERT INTO wallets (user_id, kind) VALUES ('{IDLE}', 'coins')",
    "transactions_pkey": f"{_TRANSACTION} ('{CALL}', 'purchase', '{IDLE}', '{IDLE}', 1, clock())",
    "entries_pkey": f"{_ENTRY} ('{CALLER}', 'coins', '{CALL}', 1, 4, 891, {_HASH})",
    "entries_version_key": f"{_ENTRY} ('{CALLER}', 'coins', {_NEW}, 1, 3, 891, {_HASH})",
    "entries_balance_after_key": "ALTER TABLE entries DROP CONSTRAINT entries_version_key;"
    f" {_ENTRY} ('{CALLER}', 'coins', {_NEW}, -10, 3, 890, {_HASH})",
    "earnings_pkey": f"{_EARNINGS} ('{HOST}', '{CALL}', 'gift', 2, 1, 1, clock())",
    "payments_pkey": f"{_PAYMENT} ('tests', 'payment-1', '{IDLE}', 1, '{CALL}')",
    "payments_transaction_id_key": f"{_PAYMENT} ('tests', 'payment-2', '{IDLE}', 1, '{PURCHASE}')",
    "idempotency_keys_pkey": f"{_KEY} ('{CALL}', '{CALL}', {_HASH}, '{{}}', clock()),"
    f" ('{CALL}', '{CALL}', {_HASH}, '{{}}', clock())",
    "signup_grants_pkey": f"{_GRANT} ({_HASH}, clock()), ({_HASH}, clock())",
}
"""By key: what it alone refuses, triggers and foreign keys silent."""

FOREIGN_KEYS = {
    "wallets_user_id_fkey": [f"INSERT INTO wallets (user_id, kind) VALUES ({_NEW}, 'coins')"],
    "wallets_head_version_fkey": [
        f"UPDATE wallets SET available = available + 1 WHERE {_COINS}",
        f"UPDATE wallets SET version = version + 1 WHERE {_COINS}",
        f"UPDATE wallets SET version = 1, available = 1 WHERE user_id = '{IDLE}'",
    ],
    "transactions_user_id_fkey": [f"{_TRANSACTION} ({_NEW}, 'purchase', {_NEW}, '{IDLE}', 1, clock())"],
    "entries_user_id_fkey": [f"{_LEG} ({_NEW}, 'payouts', '{CALL}', 1)"],
    "entries_transaction_id_fkey": [f"{_LEG} ('{IDLE}', 'payouts', {_NEW}, 1)"],
    "entries_previous_version_fkey": [
        f"{_ENTRY} ('{CALLER}', 'coins', '{_FREE}', 1, 5, 891, {_HASH})",
        f"{_ENTRY} ('{CALLER}', 'coins', '{_FREE}', 1, 4, 892, {_HASH})",
        f"{_ENTRY} ('{IDLE}', 'coins', '{_FREE}', 1, 2, 1, {_HASH})",
    ],
    "earnings_user_id_fkey": [f"{_EARNINGS} ({_NEW}, '{CALL}', 'gift', 2, 1, 1, clock())"],
    "earnings_transaction_id_fkey": [f"{_EARNINGS} ('{IDLE}', {_NEW}, 'gift', 2, 1, 1, clock())"],
    "payments_user_id_fkey": [f"{_PAYMENT} ('p', '1', {_NEW}, 1, '{CALL}')"],
    "payments_transaction_id_fkey": [f"{_PAYMENT} ('p', '1', '{IDLE}', 1, {_NEW})"],
}
"""By foreign key: what it alone refuses, our triggers off."""

FORBIDDEN = {
    "transactions": [
        f"{_TRANSACTION} ({_NEW}, 'purchase', '{IDLE}', '{IDLE}', 1, clock())",
        "UPDATE transactions SET total = 1",
        "DELETE FROM transactions",
        "TRUNCATE transactions",
    ],
    "entries": [
        f"{_LEG} ('{IDLE}', 'payouts', '{CALL}', 1)",
        "UPDATE entries SET amount = 1",
        "DELETE FROM entries",
        "TRUNCATE entries",
    ],
    "earnings": [
        f"{_EARNINGS} ('{IDLE}', '{CALL}', 'gift', 2, 1, 1, clock())",
        "UPDATE earnings SET kind = 'gift'",
        "DELETE FROM earnings",
        "TRUNCATE earnings",
    ],
    "wallets": [
        f"INSERT INTO wallets (user_id, kind) VALUES ({_NEW}, 'coins')",
        "UPDATE wallets SET version = 1",
        "UPDATE wallets SET head_hash = ''",
        f"UPDATE wallets SET user_id = '{IDLE}'",
        "UPDATE wallets SET kind = 'coins'",
        "DELETE FROM wallets",
        "TRUNCATE wallets",
    ],
    "payments": ["UPDATE payments SET coins = 1", "DELETE FROM payments", "TRUNCATE payments"],
    "idempotency_keys": [
        "UPDATE idempotency_keys SET outcome = '{}'",
        "DELETE FROM idempotency_keys",
        "TRUNCATE idempotency_keys",
    ],
    "signup_grants": [
        "UPDATE signup_grants SET create_time = clock()",
        "DELETE FROM signup_grants",
        "TRUNCATE signup_grants",
    ],
}
"""By table: what the service's role has no right to."""

APPEND_ONLY = {
    "transactions_append_only": [
        "UPDATE transactions SET total = 1",
        "DELETE FROM transactions",
        "TRUNCATE transactions CASCADE",
    ],
    "entries_append_only": ["UPDATE entries SET amount = 1", "DELETE FROM entries", "TRUNCATE entries CASCADE"],
    "earnings_append_only": ["UPDATE earnings SET kind = 'gift'", "DELETE FROM earnings", "TRUNCATE earnings CASCADE"],
    "wallets_append_only": ["DELETE FROM wallets", "TRUNCATE wallets"],
    "payments_append_only": ["UPDATE payments SET coins = 1", "DELETE FROM payments", "TRUNCATE payments"],
    "idempotency_keys_append_only": ["UPDATE idempotency_keys SET outcome = '{}'", "TRUNCATE idempotency_keys"],
    "signup_grants_append_only": [
        "UPDATE signup_grants SET create_time = clock()",
        "DELETE FROM signup_grants",
        "TRUNCATE signup_grants",
    ],
}
"""By what the trigger calls itself: what even the owner can't."""

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


def refused(connection: psycopg.Connection, statement: str, error: type[psycopg.Error], name: str | None) -> None:
    """The statement fails by the guard of this name, and leaves the transaction as it was."""
    with pytest.raises(error) as caught, connection.transaction():
        connection.execute(statement.encode())
    assert caught.value.diag.constraint_name == name


def as_service(connection: psycopg.Connection) -> psycopg.Connection:
    connection.execute("SET LOCAL ROLE banter_service")
    return connection


def post(legs: list[tuple[str, int, int]], transaction_id: str = _NEW, user_id: str = CALLER) -> str:
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
        ledger.execute(f"{_TRANSACTION} ('{_FREE}', 'adjustment', '{CALLER}', '{CALLER}', 1, clock())".encode())
        for table in ("entries", "wallets", "payments", "earnings", "transactions"):
            ledger.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
        for statement in FOREIGN_KEYS[name]:
            refused(ledger, statement, errors.ForeignKeyViolation, name)

    @pytest.mark.parametrize("name", APPEND_ONLY)
    def test_a_table_is_append_only_even_for_its_owner(self, ledger: psycopg.Connection, name: str) -> None:
        for statement in APPEND_ONLY[name]:
            refused(ledger, statement, errors.RestrictViolation, name)

    @pytest.mark.parametrize("table", FORBIDDEN)
    def test_the_service_has_no_right_to_more(self, ledger: psycopg.Connection, table: str) -> None:
        as_service(ledger)
        for statement in FORBIDDEN[table]:
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
        ledger.execute(f"{_TRANSACTION} ('{_FREE}', 'adjustment', '{CALLER}', '{CALLER}', 5, clock())".encode())
        rows = ", ".join(f"('{IDLE}', '{account}', '{_FREE}', {amount})" for account, amount in legs)
        refused(ledger, f"{_LEG} {rows}", errors.CheckViolation, "entries_balance")

    def test_no_leg_comes_later(self, ledger: psycopg.Connection) -> None:
        ledger.execute(f"{_TRANSACTION} ('{_FREE}', 'adjustment', '{CALLER}', '{CALLER}', 5, clock())".encode())
        ledger.execute(f"{_LEG} ('{IDLE}', 'payouts', '{_FREE}', 5), ('{IDLE}', 'promotions', '{_FREE}', -5)".encode())
        late = f"{_LEG} ('{CALLER}', 'payouts', '{_FREE}', 5), ('{CALLER}', 'promotions', '{_FREE}', -5)"
        refused(ledger, late, errors.CheckViolation, "entries_balance")

    def test_a_new_user_has_both_wallets_at_once(self, owner_url: str) -> None:
        user = (
            "INSERT INTO users (id, phone_number, country_code, full_name, timezone, create_time, update_time)"
            f" VALUES ('{_FREE}', '+919876500009', '+91', 'Asha', 'UTC', clock(), clock())"
        )
        with psycopg.connect(owner_url) as connection:
            connection.execute(user.encode())
            found = connection.execute("SELECT kind FROM wallets WHERE user_id = %s ORDER BY kind", [_FREE]).fetchall()
            connection.rollback()
        assert found == [("coins",), ("earnings",)]

    def test_a_key_is_kept_for_30_days_and_then_goes(self, ledger: psycopg.Connection) -> None:
        for age in ("29 days 23:59", "30 days"):
            ledger.execute(f"{_KEY} ('{CALL}', {_NEW}, {_HASH}, '{{}}', clock() - interval '{age}')".encode())
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
        nobody = post([("coins", 5, 0), ("promotions", -5, 0)], user_id=_FREE).replace(
            f"'{_FREE}', NULL", f"'{IDLE}', NULL"
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
