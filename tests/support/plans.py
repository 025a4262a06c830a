"""What PostgreSQL did for a query of `sql/`: the nodes of its generic plan, and how many rows each of them read."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from banter_grpc.database.queries import user_accounts, user_hosts, user_search
from banter_grpc.database.statement import Step

PAGE: Final = 51
"""Rows of a page of 50, and the one that tells whether there are more."""
FIRST_ID: Final = "00000000-0000-0000-0000-000000000000"
LAST_ID: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"


def search_page(query: str, after: tuple[str, str, str] = ("", "", FIRST_ID)) -> Step[Any]:
    """A page of SearchUsers, after (sought, word, user_id)."""
    sought, word, user_id = after
    return user_search.search_users(query=query, sought=sought, after_word=word, after_id=user_id, page_limit=PAGE)


def hosts_page(
    online: tuple[int, str] = (2**62, LAST_ID), others: tuple[int, str] = (2**62, LAST_ID)
) -> Step[user_hosts.ListHostsRow]:
    """A page of ListHosts."""
    return user_hosts.list_hosts(
        as_of=0,
        online_rating=online[0],
        online_id=online[1],
        other_rating=others[0],
        other_id=others[1],
        page_limit=PAGE,
    )


def users_page(skip: int = 0, **filters: list[str]) -> Step[Any]:
    """A page of ListUsers."""
    every = {
        "roles": ["user", "moderator", "admin"],
        "host_statuses": ["none", "pending", "approved", "rejected"],
        "states": ["active", "deactivated", "deleted"],
    }
    return user_accounts.list_users(
        **{**every, **filters}, from_time=0, before_time=10**17, before_id=FIRST_ID, skip=skip, page_limit=PAGE
    )


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of a plan, and all below it."""
    yield node
    for below in node.get("Plans", ()):
        yield from nodes(below)


@contextmanager
def prepared(connection: psycopg.Connection, step: Step[Any]) -> Iterator[sql.Composed]:
    """The statement that executes the step by its generic plan."""
    connection.execute("SET plan_cache_mode = force_generic_plan")
    connection.execute(b"PREPARE query AS " + step.statement.sql.encode())
    try:
        values = sql.SQL(", ").join(sql.Literal(value) for value in step.parameters)
        yield sql.SQL("EXECUTE query ({})").format(values) if step.parameters else sql.SQL("EXECUTE query").format()
    finally:
        connection.execute("DEALLOCATE query")


@dataclass(frozen=True)
class Plan:
    """A generic plan that was executed."""

    nodes: list[dict[str, Any]]
    milliseconds: float
    """Of the execution in the database; the median where it was done more than once."""

    @property
    def rows(self) -> int:
        """How many rows it gave."""
        return round(self.nodes[0]["Actual Rows"])

    @property
    def relations(self) -> set[str]:
        """The tables that it reads."""
        return {node["Relation Name"] for node in self.nodes if "Relation Name" in node}

    @property
    def kinds(self) -> set[str]:
        return {node["Node Type"] for node in self.nodes}

    def reading(self, alias: str) -> dict[str, Any]:
        """The only node that reads a table under this name."""
        (node,) = (node for node in self.nodes if node.get("Alias") == alias)
        return node

    def read(self, relation: str) -> float:
        """How many rows of a table it took from its indexes, about: PostgreSQL gives a mean for each loop."""
        return sum(_rows(node) for node in self.nodes if node.get("Relation Name") == relation)

    @property
    def removed(self) -> int:
        """How many rows were read in vain, about."""
        return sum(node.get("Rows Removed by Filter", 0) * node["Actual Loops"] for node in self.nodes)

    @property
    def sorted(self) -> float:
        """The most rows that a sort was given."""
        return max((_rows(node["Plans"][0]) for node in self.nodes if "Sort" in node["Node Type"]), default=0)


def _rows(node: dict[str, Any]) -> float:
    return node["Actual Rows"] * node["Actual Loops"]


def explained(connection: psycopg.Connection, step: Step[Any], times: int = 1) -> Plan:
    """The step's generic plan, executed so many times."""
    explain = sql.SQL("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {}")
    with prepared(connection, step) as execute:
        done: list[dict[str, Any]] = []
        for _ in range(times):
            row = connection.execute(explain.format(execute)).fetchone()
            assert row is not None
            done.append(row[0][0])
    return Plan(list(nodes(done[-1]["Plan"])), statistics.median(each["Execution Time"] for each in done))


def rows_of(connection: psycopg.Connection, step: Step[Any]) -> list[Any]:
    """What the step returns."""
    with prepared(connection, step) as execute:
        return connection.execute(execute).fetchall()
