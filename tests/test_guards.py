"""The script that takes out the guards of the ledger, and its list of them. All of them are tried nightly."""

from __future__ import annotations

import psycopg
import pytest

from tools.guards import try_out
from tools.guards_list import GUARDS, TABLES, Guard, Sql

CATALOGUE = """
SELECT conname::text FROM pg_constraint
WHERE conrelid = ANY(%(tables)s::regclass[]) AND contype IN ('c', 'p', 'u', 'f', 'x')
UNION ALL
SELECT indexrelid::regclass::text FROM pg_index
WHERE
    indrelid = ANY(%(tables)s::regclass[])
    AND indisunique
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
UNION ALL
SELECT tgname::text FROM pg_trigger WHERE tgrelid = ANY(%(tables)s::regclass[]) AND NOT tgisinternal
UNION ALL
SELECT format('no %%s on %%s', verb, named.relation)
FROM unnest(%(tables)s::regclass[]) AS named (relation)
CROSS JOIN unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS verb
WHERE CASE
    WHEN verb IN ('INSERT', 'UPDATE') THEN NOT has_any_column_privilege('banter_service', named.relation, verb)
    ELSE NOT has_table_privilege('banter_service', named.relation, verb)
END
UNION ALL
SELECT format('no %%s (%%s) on %%s', verb, attname, attrelid::regclass)
FROM pg_attribute
CROSS JOIN unnest(ARRAY['INSERT', 'UPDATE']) AS verb
WHERE
    attrelid = ANY(%(tables)s::regclass[])
    AND attnum > 0
    AND attgenerated = ''
    AND has_any_column_privilege('banter_service', attrelid, verb)
    AND NOT has_column_privilege('banter_service', attrelid, attnum, verb)
"""
"""The guards of tables: constraints, unique indexes, triggers, and what the service may not do."""


def test_each_guard_of_a_table_of_money_is_listed(owner_url: str) -> None:
    with psycopg.connect(owner_url) as connection:
        found = {name for (name,) in connection.execute(CATALOGUE, {"tables": list(TABLES)})}
    names = [guard.name for guard in GUARDS]
    assert len(set(names)) == len(names)
    assert found - set(names) == set()


def test_whatever_refers_to_money_is_money(owner_url: str) -> None:
    """A table that refers to one of the list is in it, or what guards it is forgotten."""
    query = (
        "SELECT DISTINCT conrelid::regclass::text FROM pg_constraint"
        " WHERE contype = 'f' AND confrelid = ANY(%s::regclass[])"
    )
    with psycopg.connect(owner_url) as connection:
        found = {name for (name,) in connection.execute(query, [list(TABLES)])}
    assert found - set(TABLES) == set()


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
