"""What every query of `sql/` promises, checked for all of them against the migrated schema."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from banter_grpc import resources
from banter_grpc.database import queries
from banter_grpc.database.database import Database, PoolSettings
from banter_grpc.database.generator import stale
from banter_grpc.database.sqlfile import Query, parse_folder
from banter_grpc.database.statement import Statement
from tests.conftest import NewDatabase
from tests.sql import examples
from tests.support.clusters import Cluster
from tests.support.plans import nodes

QUERIES = [query for file in parse_folder(resources.sql()) for query in file.queries]


def statement_of(query: Query) -> Statement[Any]:
    return getattr(import_module(f"{queries.__name__}.{query.path.stem}"), query.name.upper())


def plan_of(connection: psycopg.Connection, text: str) -> list[dict[str, Any]]:
    """The nodes of the generic plan that PostgreSQL makes when an index serves wherever one can."""
    connection.execute("SET plan_cache_mode = force_generic_plan")
    connection.execute("SET enable_seqscan = off")
    connection.execute(b"PREPARE query AS " + text.encode())
    row = connection.execute("SELECT cardinality(parameter_types) FROM pg_prepared_statements").fetchone()
    assert row is not None
    nulls = sql.SQL("({})").format(sql.SQL(", ").join([sql.NULL] * row[0])) if row[0] else sql.SQL("")
    explained = connection.execute(sql.SQL("EXPLAIN (FORMAT JSON) EXECUTE query {}").format(nulls)).fetchone()
    connection.execute("DEALLOCATE query")
    assert explained is not None
    return list(nodes(explained[0][0]["Plan"]))


@pytest.fixture(scope="module")
def untouched(cluster: Cluster) -> Iterator[str]:
    """A database in which nothing ever happened: no rows, no statistics, so that plans are always the same."""
    made = cluster.new_database()
    yield made.service_url
    cluster.drop_database(made.name)


@pytest.fixture
def connection(untouched: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(untouched, autocommit=True) as connection:
        yield connection


def test_the_committed_modules_are_what_the_files_say(owner_url: str) -> None:
    folder = Path(queries.__file__ or "").parent
    assert stale(resources.sql(), folder, owner_url) == [], "run `uv run banter queries generate`"


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_a_query_uses_the_indexes_that_its_header_names(query: Query, connection: psycopg.Connection) -> None:
    found = plan_of(connection, statement_of(query).sql)
    if query.plan:
        return
    used = {node["Index Name"] for node in found if "Index Name" in node}
    assert set(query.index) <= used, json.dumps(found, indent=1)
    assert [node["Relation Name"] for node in found if node["Node Type"] == "Seq Scan"] == []


def test_a_query_without_an_index_is_seen_to_have_none(connection: psycopg.Connection) -> None:
    found = plan_of(connection, "SELECT id::text FROM users WHERE bio = $1::text")
    assert [node.get("Index Name") for node in found] == [None]
    assert [node["Node Type"] for node in found] == ["Seq Scan"]


@pytest.fixture
async def database(new_database: NewDatabase) -> AsyncIterator[Database]:
    """A database that holds the examples, and nothing else."""
    made = new_database()
    with psycopg.connect(made.owner_url, autocommit=True) as connection:
        connection.execute(examples.ROWS.encode())
    database = Database(PoolSettings(url=made.service_url, size=1, min_size=1))
    await database.open()
    yield database
    await database.close()


async def test_columns_are_null_somewhere_unless_their_query_says_never(database: Database) -> None:
    found = {query.name: query for query in QUERIES if query.cardinality != "exec"}
    seen: defaultdict[str, dict[str, bool]] = defaultdict(dict)
    said: defaultdict[str, dict[str, bool]] = defaultdict(dict)
    answered: set[str] = set()
    for step in examples.CALLS:
        answer = await database.run(step)
        for row in answer if isinstance(answer, list) else [answer]:
            assert row is not None, f"an example of {step.statement.name} finds nothing"
            query = found[step.statement.name]
            answered.add(query.name)
            for name, value in row._asdict().items():
                kind = type(row).__name__
                seen[kind][name] = seen[kind].get(name, False) or value is None
                said[kind][name] = name not in query.not_null
    assert answered == set(found), "tests/sql/examples.py has a call for each query that returns rows"
    assert seen == said
