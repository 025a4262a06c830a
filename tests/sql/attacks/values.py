"""Values of rows that are not there."""

from __future__ import annotations

from collections.abc import Mapping

NEW = "gen_random_uuid()"
FREE = "00000000-0000-5000-8000-0000000000ff"
"""The id of a transaction without entries; the tests of foreign keys make it."""


def insert(table: str, row: Mapping[str, str], changes: Mapping[str, str]) -> str:
    """The statement that inserts a row, but for the columns that are changed: SQL expressions, both of them."""
    made = {**row, **changes}
    return f"INSERT INTO {table} ({', '.join(made)}) VALUES ({', '.join(made.values())})"
