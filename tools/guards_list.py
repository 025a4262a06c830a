"""Every guard of the ledger: how it is taken out, and the tests that then fail.

A table that money depends on is in `TABLES`; each constraint and trigger of it has an entry here, as a test of
`tests/test_guards.py` makes sure.
"""

from __future__ import annotations

from typing import Final, NamedTuple

TABLES: Final = (
    "wallets",
    "transactions",
    "entries",
    "earnings",
    "payments",
    "idempotency_keys",
    "signup_grants",
)

OTHERS: Final = ("withdrawals", "host_bonuses", "subscription_periods", "refunds", "transaction_notes")
"""Tables that refer to money, and whose guards are not taken out here: tests of their own try to break each."""


class Sql(NamedTuple):
    """The guard is in the schema: this statement, the last of all migrations, takes it out."""

    statement: str


class Text(NamedTuple):
    """The guard is a text in a file of the checkout: `old`, which is there so often as is said, becomes `new`."""

    path: str
    old: str
    new: str
    times: int = 1


class Guard(NamedTuple):
    """A guard, named as the schema names it or in words, and the ids of the tests that fail without it."""

    name: str
    out: Sql | Text
    tests: tuple[str, ...]


_ALONE: Final = "tests/sql/test_ledger_guards.py::TestEachLayerAlone::"
_RACES: Final = "tests/rpc/test_wallet_locks.py::"
_WALLET: Final = "tests/rpc/test_wallet.py::TestPurchaseCoins::"
_QUERIES: Final = "banter_grpc/database/queries/wallet.py"
_GUARDS_SQL: Final = "migrations/0006_ledger_guards.sql"


def constraint(table: str, name: str) -> Guard:
    """A check, key or foreign key, tested alone under its name."""
    kinds = {"check": "test_a_check_refuses", "fkey": "test_a_foreign_key_refuses"}
    test = kinds.get(name.rpartition("_")[2], "test_a_key_refuses")
    return Guard(name, Sql(f"ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE"), (f"{_ALONE}{test}[{name}]",))


def trigger(table: str, name: str, *tests: str) -> Guard:
    """A trigger; without tests it makes its table append-only."""
    found = tests or (f"{_ALONE}test_a_table_is_append_only_even_for_its_owner[{table}_append_only]",)
    return Guard(name, Sql(f"DROP TRIGGER {name} ON {table}"), found)


def no_grant(table: str, *privileges: str) -> list[Guard]:
    """Rights that the service's role does not have."""
    test = f"{_ALONE}test_the_service_has_no_right_to_more[{table}]"
    return [
        Guard(f"no {right} on {table}", Sql(f"GRANT {right} ON {table} TO banter_service"), (test,))
        for right in privileges
    ]


CONSTRAINTS: Final = {
    "wallets": (
        "wallets_pkey",
        "wallets_user_id_fkey",
        "wallets_kind_check",
        "wallets_available_check",
        "wallets_held_check",
        "wallets_version_check",
        "wallets_head_version_fkey",
    ),
    "transactions": (
        "transactions_pkey",
        "transactions_user_id_fkey",
        "transactions_kind_check",
        "transactions_total_check",
    ),
    "entries": (
        "entries_pkey",
        "entries_version_key",
        "entries_balance_after_key",
        "entries_user_id_fkey",
        "entries_transaction_id_fkey",
        "entries_previous_version_fkey",
        "entries_account_check",
        "entries_amount_check",
        "entries_version_check",
        "entries_balance_after_check",
    ),
    "earnings": (
        "earnings_pkey",
        "earnings_user_id_fkey",
        "earnings_transaction_id_fkey",
        "earnings_kind_check",
        "earnings_host_part_check",
    ),
    "payments": (
        "payments_pkey",
        "payments_user_id_fkey",
        "payments_transaction_id_fkey",
        "payments_transaction_id_key",
        "payments_coins_check",
    ),
    "idempotency_keys": ("idempotency_keys_pkey", "idempotency_keys_fingerprint_check"),
    "signup_grants": ("signup_grants_pkey", "signup_grants_phone_hash_check"),
}

TRIGGERS: Final = (
    trigger("transactions", "transactions_append_only"),
    trigger("entries", "entries_append_only"),
    trigger("earnings", "earnings_append_only"),
    trigger("payments", "payments_append_only"),
    trigger("signup_grants", "signup_grants_append_only"),
    trigger("idempotency_keys", "idempotency_keys_append_only"),
    trigger("idempotency_keys", "idempotency_keys_kept", f"{_ALONE}test_a_key_is_kept_for_30_days_and_then_goes"),
    trigger(
        "wallets", "wallets_permanent", f"{_ALONE}test_a_table_is_append_only_even_for_its_owner[wallets_append_only]"
    ),
    trigger("wallets", "wallets_forward", f"{_ALONE}test_a_wallet_never_goes_back"),
    trigger("users", "users_wallets", f"{_ALONE}test_a_new_user_has_both_wallets_at_once"),
    trigger("entries", "entries_balance", f"{_ALONE}test_no_leg_comes_later"),
)

CONDITIONS: Final = (
    Guard(
        "entries_balance: legs sum to 0",
        Text(_GUARDS_SQL, "posted.rest <> 0\n", "FALSE\n"),
        (f"{_ALONE}test_the_legs_of_a_transaction_sum_to_0_and_move_its_total[sum]",),
    ),
    Guard(
        "entries_balance: legs move the total",
        Text(
            _GUARDS_SQL,
            "            OR posted.moved <> (SELECT total FROM transactions WHERE id = posted.transaction_id)\n",
            "",
        ),
        (f"{_ALONE}test_the_legs_of_a_transaction_sum_to_0_and_move_its_total[total]",),
    ),
    Guard(
        "entries_balance: all legs at once",
        Text(
            _GUARDS_SQL,
            "            OR posted.legs <> (\n"
            "                SELECT count(*) FROM entries WHERE entries.transaction_id = posted.transaction_id\n"
            "            )\n",
            "",
        ),
        (f"{_ALONE}test_no_leg_comes_later",),
    ),
    Guard(
        "wallets_forward: not to an earlier version",
        Text(_GUARDS_SQL, "new.version < old.version OR ", ""),
        (f"{_ALONE}test_a_wallet_never_goes_back",),
    ),
    Guard(
        "wallets_forward: not to another owner",
        Text(_GUARDS_SQL, " OR (new.user_id, new.kind) IS DISTINCT FROM (old.user_id, old.kind)", ""),
        (f"{_ALONE}test_a_wallet_never_goes_back",),
    ),
    Guard(
        "purge_idempotency_keys: only old ones",
        Text("migrations/0008_idempotency.sql", "        WHERE create_time <= clock() - interval '30 days'\n", ""),
        (f"{_ALONE}test_a_key_is_kept_for_30_days_and_then_goes",),
    ),
    *(
        Guard(
            f"{function}: not for everybody",
            Sql(f"GRANT EXECUTE ON FUNCTION {function} TO PUBLIC"),
            (f"{_ALONE}test_nobody_else_may_call_what_works_as_the_owner",),
        )
        for function in ("post", "purge_idempotency_keys", "users_wallets")
    ),
)

GRANTS: Final = (
    *no_grant("transactions", "INSERT", "UPDATE", "DELETE", "TRUNCATE"),
    *no_grant("entries", "INSERT", "UPDATE", "DELETE", "TRUNCATE"),
    *no_grant("earnings", "INSERT", "UPDATE", "DELETE", "TRUNCATE"),
    *no_grant("wallets", "INSERT", "UPDATE", "UPDATE (version)", "UPDATE (head_hash)", "DELETE", "TRUNCATE"),
    *no_grant("payments", "UPDATE", "DELETE", "TRUNCATE"),
    *no_grant("idempotency_keys", "UPDATE", "DELETE", "TRUNCATE"),
    *no_grant("signup_grants", "UPDATE", "DELETE", "TRUNCATE"),
)

STATEMENTS: Final = (
    Guard(
        "PurchaseCoins: the wallet's lock",
        Text(_QUERIES, "FOR NO KEY UPDATE\n", ""),
        (f"{_RACES}test_purchases_of_one_user_follow_each_other",),
    ),
    Guard(
        "PurchaseCoins: the user lives",
        Text(
            _QUERIES,
            "    FROM wallets\n    INNER JOIN living_users ON wallets.user_id = living_users.user_id\n",
            "    FROM wallets\n",
        ),
        (f"{_RACES}test_who_was_erased_is_not_credited",),
    ),
    Guard(
        "PurchaseCoins: not credited before",
        Text(_QUERIES, "        AND NOT EXISTS (SELECT FROM prior)\n", ""),
        (f"{_WALLET}test_fifty_of_one_payment_at_once_credit_it_once_and_answer_alike",),
    ),
    Guard(
        "PurchaseCoins: the payment is noted",
        Text(
            _QUERIES,
            "        transaction_id\n    FROM posted\n)",
            "        transaction_id\n    FROM posted\n    LIMIT 0\n)",
        ),
        (f"{_WALLET}test_fifty_of_one_payment_at_once_credit_it_once_and_answer_alike",),
    ),
    Guard(
        "PurchaseCoins: who loses at a key looks again",
        Text(_QUERIES, '    collides=("payments_pkey", "transactions_pkey"),\n', ""),
        (f"{_RACES}test_one_payment_for_many_users_credits_one_and_refuses_the_others",),
    ),
    Guard(
        "PurchaseCoins: it is the same payment",
        Text(
            "banter_grpc/handlers/wallet.py",
            "(row.user_id, row.coins) != (request.user_id.lower(), request.coins)",
            "False",
        ),
        (
            f"{_WALLET}test_a_payment_that_was_credited_otherwise_is_refused[user]",
            f"{_WALLET}test_a_payment_that_was_credited_otherwise_is_refused[coins]",
        ),
    ),
    Guard(
        "FindOrCreateUser: the number had no grant",
        Text(_QUERIES, "FROM granted\n", "FROM users WHERE id = $2::uuid\n"),
        (f"{_RACES}test_a_phone_number_has_its_grant_once_whoever_comes_with_it_later",),
    ),
)

GUARDS: Final[tuple[Guard, ...]] = (
    *(constraint(table, name) for table, names in CONSTRAINTS.items() for name in names),
    *TRIGGERS,
    *CONDITIONS,
    *GRANTS,
    *STATEMENTS,
)
