"""The script that takes out the guards of the ledger, and its list of them. All of them are tried nightly."""

from __future__ import annotations

import psycopg
import pytest

from tools.guards import try_out
from tools.guards_list import GUARDS, OTHERS, TABLES, Guard, Sql

CATALOGUE = """
SELECT conname::text FROM pg_constraint
WHERE conrelid = ANY(%(tables)s::regclass[]) AND contype IN ('c', 'p', 'u', 'f', 'x')
UNION ALL
SELECT tgname::text FROM pg_trigger WHERE tgrelid = ANY(%(tables)s::regclass[]) AND NOT tgisinternal
"""


def test_each_constraint_and_trigger_of_money_is_listed(owner_url: str) -> None:
    with psycopg.connect(owner_url) as connection:
        found = {name for (name,) in connection.execute(CATALOGUE, {"tables": list(TABLES)})}
    names = [guard.name for guard in GUARDS]
    assert len(set(names)) == len(names)
    assert found - set(names) == set()


def test_whatever_refers_to_money_is_money(owner_url: str) -> None:
    """A table that refers to a transaction or a wallet is in the list, or what guards it is forgotten."""
    query = (
        "SELECT DISTINCT conrelid::regclass::text FROM pg_constraint"
        " WHERE contype = 'f' AND confrelid = ANY(%s::regclass[])"
    )
    with psycopg.connect(owner_url) as connection:
        found = {name for (name,) in connection.execute(query, [["transactions", "wallets", "entries"]])}
    assert found <= {*TABLES, *OTHERS}


def test_a_guard_that_carries_load_makes_its_test_fail_and_another_survives(capsys: pytest.CaptureFixture[str]) -> None:
    known = {guard.name: guard for guard in GUARDS}
    trigger, condition = known["wallets_forward"], known["entries_balance: legs sum to 0"]
    nothing = Guard("nothing", Sql("SELECT 1"), trigger.tests)
    assert try_out([trigger, condition, nothing]) == ["nothing"]
    said = capsys.readouterr().out
    assert f"1/3 without wallets_forward fails: {trigger.tests[0]} (" in said
    assert f"2/3 without entries_balance: legs sum to 0 fails: {condition.tests[0]} (" in said
    assert f"3/3 without nothing SURVIVES (1 passed): {trigger.tests[0]} (" in said
    assert said.endswith("2 of 3 guards carry load; not nothing\n")
