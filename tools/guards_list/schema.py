"""Guards that the schema names: constraints, keys, triggers, and rights that the service does not have."""

from __future__ import annotations

from typing import Final

from tests.sql.attacks import CHECKS, FORBIDDEN, FOREIGN_KEYS, KEYS, table_of
from tools.guards_list.guard import Guard, Sql

_ALONE: Final = "tests/sql/test_ledger_guards.py::TestEachLayerAlone::"
_WITHDRAWALS: Final = "tests/database/test_withdrawals.py::"
_REFUNDS: Final = "tests/database/test_refunds.py::"
_PERIOD: Final = f"{_ALONE}test_a_period_is_paid_by_a_transaction_of_its_own"

INDEXES: Final = ("withdrawals_transaction_id_key", "subscriptions_user_id_key")
"""Keys that are indexes, as they hold for some rows only."""


def constraint(name: str, test: str) -> Guard:
    """A check, key or foreign key, tested alone under its name."""
    drop = f"ALTER TABLE {table_of(name)} DROP CONSTRAINT {name} CASCADE"
    return Guard(name, Sql(f"DROP INDEX {name}" if name in INDEXES else drop), (f"{_ALONE}{test}[{name}]",))


def trigger(table: str, name: str, *tests: str) -> Guard:
    """A trigger; without tests it makes its table append-only."""
    found = tests or (f"{_ALONE}test_a_table_is_append_only_even_for_its_owner[{table}_append_only]",)
    return Guard(name, Sql(f"DROP TRIGGER {name} ON {table}"), found)


def no_right(table: str, right: str) -> Guard:
    """A right that the service's role does not have."""
    test = f"{_ALONE}test_the_service_has_no_right_to_more[{table}]"
    return Guard(f"no {right} on {table}", Sql(f"GRANT {right} ON {table} TO banter_service"), (test,))


TRIGGERS: Final = (
    trigger("transactions", "transactions_append_only"),
    trigger("entries", "entries_append_only"),
    trigger("earnings", "earnings_append_only"),
    trigger("payments", "payments_append_only"),
    trigger("signup_grants", "signup_grants_append_only"),
    trigger("idempotency_keys", "idempotency_keys_append_only"),
    trigger("idempotency_keys", "idempotency_keys_kept", f"{_ALONE}test_a_key_is_kept_for_30_days_and_then_goes"),
    trigger("wallets", "wallets_permanent"),
    trigger("wallets", "wallets_forward", f"{_ALONE}test_a_wallet_never_goes_back"),
    trigger("users", "users_wallets", f"{_ALONE}test_a_new_user_has_both_wallets_at_once"),
    trigger("entries", "entries_balance", f"{_ALONE}test_no_leg_comes_later"),
    trigger("withdrawals", "withdrawals_permanent"),
    trigger(
        "withdrawals",
        "withdrawals_forward",
        f"{_WITHDRAWALS}test_a_withdrawal_goes_forward_and_ends_once[failed-failed]",
    ),
    trigger("host_bonuses", "host_bonuses_append_only"),
    trigger("subscriptions", "subscriptions_permanent"),
    trigger("subscription_periods", "subscription_periods_append_only"),
    trigger("subscription_periods", "subscription_periods_kept"),
    trigger(
        "subscription_periods",
        "subscription_periods_charged",
        f"{_PERIOD}[another kind]",
    ),
    trigger("refunds", "refunds_append_only"),
    trigger("refunds", "refunds_transactions", f"{_REFUNDS}test_only_what_can_be_refunded_is"),
)

FUNCTIONS: Final = tuple(
    Guard(
        f"{function}: not for everybody",
        Sql(f"GRANT EXECUTE ON FUNCTION {function} TO PUBLIC"),
        (f"{_ALONE}test_nobody_else_may_call_what_works_as_the_owner",),
    )
    for function in ("post", "purge_idempotency_keys", "users_wallets", "end_subscription_period")
)

GUARDS: Final = (
    *(constraint(name, "test_a_check_refuses") for name in CHECKS),
    *(constraint(name, "test_a_key_refuses") for name in KEYS),
    *(constraint(name, "test_a_foreign_key_refuses") for name in FOREIGN_KEYS),
    *TRIGGERS,
    *FUNCTIONS,
    *(no_right(table, right) for table, rights in FORBIDDEN.items() for right in rights),
)
