"""Every guard of the ledger: how it is taken out, and the tests that then fail.

A table that money depends on is in `TABLES`; each constraint, key and trigger of it, and each right that the service
does not have, has an entry here, as a test of `tests/test_guards.py` makes sure.
"""

from __future__ import annotations

from typing import Final

from tests.sql.attacks import TABLES
from tools.guards_list import (
    conditions,
    schema,
    wallet,
    wallet_refunds,
    wallet_subscriptions,
    wallet_withdrawals,
)
from tools.guards_list.guard import Guard, Sql, Text

__all__ = ["GUARDS", "TABLES", "Guard", "Sql", "Text"]

GUARDS: Final[tuple[Guard, ...]] = (
    *schema.GUARDS,
    *conditions.GUARDS,
    *wallet.GUARDS,
    *wallet_withdrawals.GUARDS,
    *wallet_subscriptions.GUARDS,
    *wallet_refunds.GUARDS,
)
