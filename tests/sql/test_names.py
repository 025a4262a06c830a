"""The names of constraints and indexes: an error of the database is known by them alone."""

from __future__ import annotations

import psycopg
import pytest

from tests.conftest import NewDatabase

SUFFIXES = {"p": "pkey", "u": "key", "f": "fkey", "c": "check", "x": "excl", "n": "not_null", "i": "idx"}

NAMES = """
SELECT
    r.relname,
    array(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = r.oid AND a.attnum > 0),
    n.name,
    n.kind
FROM (
    SELECT conrelid AS relation, conname AS name, contype::text AS kind FROM pg_constraint
    UNION ALL
    SELECT x.indrelid, i.relname, CASE WHEN x.indisunique THEN 'u' ELSE 'i' END
    FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
    WHERE NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = x.indexrelid)
) AS n
JOIN pg_class AS r ON r.oid = n.relation
WHERE r.relnamespace = 'public'::regnamespace AND r.relname NOT LIKE '%yoyo%' AND NOT r.relispartition AND n.kind <> 't'
"""


def misnamed(url: str) -> list[str]:
    """The names that are not `<table>_<columns>_<kind>`."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(NAMES.encode()).fetchall()
    assert rows, "there is nothing to check"
    return sorted(name for table, columns, name, kind in rows if not is_right(table, columns, name, kind))


def is_right(table: str, columns: list[str], name: str, kind: str) -> bool:
    suffix = f"_{SUFFIXES[kind]}"
    if kind == "p":
        return name == table + suffix
    if not (name.startswith(table) and name.endswith(suffix)):
        return False
    return are_columns(name.removeprefix(table).removesuffix(suffix), columns)


def are_columns(text: str, columns: list[str]) -> bool:
    """Whether `text` is one or more of the columns, with an underscore before each."""
    heads = [f"_{column}" for column in columns if text.startswith(f"_{column}")]
    return any(text == head or are_columns(text.removeprefix(head), columns) for head in heads)


def test_every_constraint_and_index_is_named_after_its_table_and_columns(owner_url: str) -> None:
    assert misnamed(owner_url) == []


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("CREATE INDEX users_by_role ON users (role)", "users_by_role"),
        ("CREATE INDEX users_role_key ON users (role)", "users_role_key"),
        ("CREATE UNIQUE INDEX users_role_idx ON users (role)", "users_role_idx"),
        ("ALTER TABLE users ADD CONSTRAINT users_sane_check CHECK (role <> bio)", "users_sane_check"),
        ("ALTER TABLE users RENAME CONSTRAINT users_pkey TO users_id_pkey", "users_id_pkey"),
    ],
)
def test_a_name_that_breaks_the_rule_is_found(new_database: NewDatabase, statement: str, name: str) -> None:
    url = new_database().owner_url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())
    assert misnamed(url) == [name]
