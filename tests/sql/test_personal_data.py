"""Every table that holds something about a person says how it is exported, and how it is erased."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import psycopg
import pytest

from banter_grpc.database.queries import user_data
from banter_grpc.handlers.user_data import exports_of
from tests.sql.personal_data import KEPT, NOT_EXPORTED, UNREFERRED
from tests.support.clusters import Cluster

PERSON = re.compile(
    r"(.*_)?(user|person|member|friend|sender|receiver|recipient|owner|actor|author|creator|caller|callee|host|rater"
    r"|reviewer|resolver|reporter|blocker|blocked|inviter|invitee|giver|payer|payee|beneficiary)_ids?|\w+_by(_id)?"
)
"""What columns are called that name a user, whether or not a foreign key says so."""

COLUMNS = """
SELECT c.relname, a.attname, a.atttypid IN ('uuid'::regtype, 'uuid[]'::regtype)
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND a.attnum > 0 AND NOT a.attisdropped AND c.relname !~ '^(_?yoyo|migration_checksums)'
"""
REFERENCES = """
SELECT c.conrelid::regclass::text, a.attname, c.confrelid::regclass::text, b.attname, c.confdeltype = 'c'
FROM pg_constraint AS c
CROSS JOIN unnest(c.conkey, c.confkey) AS k (own, other)
JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.own
JOIN pg_attribute AS b ON b.attrelid = c.confrelid AND b.attnum = k.other
WHERE c.contype = 'f' AND c.conparentid = 0 AND c.connamespace = 'public'::regnamespace
"""


class Column(NamedTuple):
    """A column of a table."""

    table: str
    name: str

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"


USER = Column("users", "id")
LIVING_USER = Column("living_users", "user_id")


class Reference(NamedTuple):
    """A column that another one refers to, and whether rows go with the row that they refer to."""

    to: Column
    cascades: bool


class Schema:
    """The tables of a database and what their columns refer to."""

    def __init__(self, url: str) -> None:
        with psycopg.connect(url) as connection:
            columns = connection.execute(COLUMNS.encode()).fetchall()
            references = connection.execute(REFERENCES.encode()).fetchall()
        self.columns = {Column(table, name): holds_id for table, name, holds_id in columns}
        self.tables = {column.table for column in self.columns}
        self.references: dict[Column, list[Reference]] = {}
        for table, name, other, key, cascades in references:
            self.references.setdefault(Column(table, name), []).append(Reference(Column(other, key), cascades))

    def people(self) -> set[Column]:
        """The columns that name a user: by their name, or by what they refer to, directly or through others."""
        return {
            column
            for column, holds_id in self.columns.items()
            if (holds_id and PERSON.fullmatch(column.name)) or (column != USER and self._leads(column))
        }

    def _leads(self, column: Column, passed: frozenset[Column] = frozenset()) -> bool:
        further = (reference.to for reference in self.references.get(column, ()) if reference.to not in passed)
        return column == USER or any(self._leads(to, passed | {column}) for to in further)

    def is_erased(self, column: Column, passed: frozenset[Column] = frozenset()) -> bool:
        """Whether its rows go with the person: they refer to living_users, or to rows that do."""
        goes = {reference.to for reference in self.references.get(column, ()) if reference.cascades} - passed
        return LIVING_USER in goes or any(self.is_erased(to, passed | {column}) for to in goes)

    def outlives(self, column: Column) -> bool:
        """Whether it refers to users itself."""
        return any(reference.to == USER for reference in self.references.get(column, ()))


def forgotten(
    url: str, not_exported: Mapping[str, str] = NOT_EXPORTED, kept: Mapping[str, str] = KEPT
) -> Iterator[str]:
    """What the schema does not say of a table, and what is said of none."""
    schema = Schema(url)
    exported, people = exports_of(user_data), schema.people()
    personal = {"users", *(column.table for column in people)}
    for table in sorted(personal - exported.keys() - not_exported.keys()):
        yield f"{table}: write export_{table} in sql/user_data.sql, or say in NOT_EXPORTED why not"
    for column in sorted(people):
        if schema.is_erased(column) or str(column) in UNREFERRED:
            continue
        if not schema.outlives(column):
            yield f"{column}: let it refer to living_users ON DELETE CASCADE, or to users and say in KEPT why"
        elif str(column) not in kept:
            yield f"{column}: let it refer to living_users ON DELETE CASCADE, or say in KEPT why its rows stay"
    for name in sorted(not_exported.keys() & exported.keys()):
        yield f"{name}: it is exported; take it from NOT_EXPORTED"
    for name in sorted((exported.keys() | not_exported.keys()) - schema.tables):
        yield f"{name}: there is no such table any more"
    for name in sorted(UNREFERRED.keys() - {str(column) for column in people if not schema.outlives(column)}):
        yield f"{name}: it refers to users, or is no more; take it from UNREFERRED"
    for name in sorted(kept.keys() - {str(column) for column in people if schema.outlives(column)}):
        yield f"{name}: it does not refer to users any more; take it from KEPT"


def test_every_table_about_people_says_how_it_is_exported_and_erased(owner_url: str) -> None:
    assert list(forgotten(owner_url)) == []


@pytest.fixture(scope="module")
def own_url(cluster: Cluster) -> Iterator[str]:
    """A database of these tests' own, to which they add tables."""
    database = cluster.new_database()
    yield database.owner_url
    cluster.drop_database(database.name)


EXPORT = "t: write export_t in sql/user_data.sql, or say in NOT_EXPORTED why not"
REFER = "t.{}: let it refer to living_users ON DELETE CASCADE, or to users and say in KEPT why"
STAYS = "t.{}: let it refer to living_users ON DELETE CASCADE, or say in KEPT why its rows stay"
CASCADE = "REFERENCES living_users ON DELETE CASCADE"


@pytest.mark.parametrize(
    ("columns", "faults"),
    [
        ("user_id uuid", [EXPORT, REFER.format("user_id")]),
        ("reviewer_id uuid", [EXPORT, REFER.format("reviewer_id")]),
        ("granted_by uuid", [EXPORT, REFER.format("granted_by")]),
        ("whose uuid REFERENCES users", [EXPORT, STAYS.format("whose")]),
        ("whose uuid REFERENCES living_users", [EXPORT, REFER.format("whose")]),
        ("whose uuid REFERENCES living_users ON DELETE SET NULL", [EXPORT, REFER.format("whose")]),
        (f"whose uuid {CASCADE}", [EXPORT]),
        (f"one uuid {CASCADE}, other_user_id uuid", [EXPORT, REFER.format("other_user_id")]),
        ("participant_user_ids uuid[]", [EXPORT, REFER.format("participant_user_ids")]),
        ("id uuid, sorted_by text", []),
    ],
)
def test_a_table_that_forgets_is_found(own_url: str, columns: str, faults: list[str]) -> None:
    with psycopg.connect(own_url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE t ({columns})".encode())
        try:
            assert list(forgotten(own_url)) == faults
        finally:
            connection.execute("DROP TABLE t")


def test_a_partitioned_table_is_one_table(own_url: str) -> None:
    with psycopg.connect(own_url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE t (user_id uuid {CASCADE}, at int) PARTITION BY RANGE (at)".encode())
        connection.execute("CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (1) TO (2)")
        try:
            assert list(forgotten(own_url)) == [EXPORT]
        finally:
            connection.execute("DROP TABLE t")


def test_what_goes_with_rows_that_are_erased_is_erased(own_url: str) -> None:
    with psycopg.connect(own_url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE owned (user_id uuid PRIMARY KEY {CASCADE})".encode())
        connection.execute("CREATE TABLE t (user_id uuid REFERENCES owned ON DELETE CASCADE)")
        try:
            assert list(forgotten(own_url, NOT_EXPORTED | {"owned": "a test"})) == [EXPORT]
        finally:
            connection.execute("DROP TABLE t, owned")


def test_a_declaration_that_nothing_needs_is_found(own_url: str) -> None:
    said = {"users": "", "gone": ""}
    assert list(forgotten(own_url, NOT_EXPORTED | said, KEPT | {"users.id": ""})) == [
        "users: it is exported; take it from NOT_EXPORTED",
        "gone: there is no such table any more",
        "users.id: it does not refer to users any more; take it from KEPT",
    ]
