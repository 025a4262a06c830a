"""What the schema of money refuses: by guard, statements that only it keeps out.

A module per family of tables. `tests/sql/test_ledger_guards.py` tries them, and `tools/guards.py` takes each guard out.
"""

from __future__ import annotations

from tests.sql.attacks import ledger, payouts, refunds, subscriptions

_FAMILIES = (ledger, payouts, subscriptions, refunds)

CHECKS = {name: tried for family in _FAMILIES for name, tried in family.CHECKS.items()}
"""By check: what it alone refuses, triggers and foreign keys silent."""
KEYS = {name: tried for family in _FAMILIES for name, tried in family.KEYS.items()}
"""By key: what it alone refuses, triggers and foreign keys silent."""
FOREIGN_KEYS = {name: tried for family in _FAMILIES for name, tried in family.FOREIGN_KEYS.items()}
"""By foreign key: what it alone refuses, our triggers off."""
FORBIDDEN = {table: rights for family in _FAMILIES for table, rights in family.FORBIDDEN.items()}
"""By table: the rights that the service's role does not have."""
APPEND_ONLY = {name: tried for family in _FAMILIES for name, tried in family.APPEND_ONLY.items()}
"""By what the trigger calls itself: what even the owner can't."""
TABLES = tuple(FORBIDDEN)
"""The tables of money."""


def table_of(constraint: str) -> str:
    """The table whose constraint or index has this name."""
    (table,) = (table for table in TABLES if constraint.startswith(f"{table}_"))
    return table
