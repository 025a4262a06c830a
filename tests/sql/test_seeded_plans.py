"""Plans on seeded rows: what a query reads grows with its page, not with the table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from banter_grpc.database.queries import user_accounts, user_search
from banter_grpc.database.statement import Step
from tests.sql.test_queries import nodes

USERS = 20_000
SEED = f"""
INSERT INTO users (
    id, phone_number, country_code, full_name, timezone, role, host_status, is_active, create_time, update_time
)
SELECT
    lpad(to_hex(n), 32, '0')::uuid,
    '+91' || (5000000000 + n),
    '+91',
    initcap(translate(to_char(n % 100, 'FM000'), '0123456789', 'abcdefghij')) || ' '
    || initcap(translate(to_char(n / 7 % 100, 'FM000'), '0123456789', 'klmnopqrst')),
    'Asia/Kolkata',
    CASE WHEN n % 1000 = 0 THEN 'moderator' WHEN n % 4999 = 0 THEN 'admin' ELSE 'user' END,
    CASE WHEN n % 20 = 0 THEN 'approved' WHEN n % 2000 = 7 THEN 'pending' ELSE 'none' END,
    n % 500 <> 3,
    timestamptz '2026-01-01Z' + make_interval(secs => n),
    clock()
FROM generate_series(1, {USERS}) AS n;
INSERT INTO presence (user_id, last_seen) SELECT id, clock() FROM users;
INSERT INTO hosts (user_id, create_time) SELECT id, clock() FROM users;
"""


@pytest.fixture(scope="module")
def connection(cluster) -> Iterator[psycopg.Connection]:
    made = cluster.new_database()
    with psycopg.connect(made.owner_url, autocommit=True) as owner:
        owner.execute(SEED.encode())
        owner.execute("VACUUM ANALYZE")
    with psycopg.connect(made.service_url, autocommit=True) as service:
        service.execute("SET plan_cache_mode = force_generic_plan")
        yield service
    cluster.drop_database(made.name)


@contextmanager
def prepared(connection: psycopg.Connection, step: Step[Any]) -> Iterator[psycopg.sql.Composed]:
    """The step's statement under the name `query`, and its parameters."""
    connection.execute(b"PREPARE query AS " + step.statement.sql.encode())
    try:
        yield psycopg.sql.SQL(", ").join(psycopg.sql.Literal(value) for value in step.parameters)
    finally:
        connection.execute("DEALLOCATE query")


def explained(connection: psycopg.Connection, step: Step[Any]) -> list[dict[str, Any]]:
    """The nodes of the step's generic plan, with what each of them did."""
    with prepared(connection, step) as values:
        explain = psycopg.sql.SQL("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE query ({})")
        row = connection.execute(explain.format(values)).fetchone()
    assert row is not None
    return list(nodes(row[0][0]["Plan"]))


def rows_read(found: list[dict[str, Any]], relation: str) -> float:
    """How many rows of a table the plan took from its indexes, about: PostgreSQL gives a mean for each loop."""
    return sum(node["Actual Rows"] * node["Actual Loops"] for node in found if node.get("Relation Name") == relation)


def rows_removed(found: list[dict[str, Any]]) -> int:
    """How many rows were read in vain."""
    return sum(node.get("Rows Removed by Filter", 0) for node in found)


def scans(found: list[dict[str, Any]]) -> set[str]:
    return {node["Node Type"] for node in found if "Relation Name" in node}


class TestListUsers:
    @staticmethod
    def page(skip: int = 0, **filters: list[str]) -> Step[Any]:
        every = {
            "roles": ["user", "moderator", "admin"],
            "host_statuses": ["none", "pending", "approved", "rejected"],
            "states": ["active", "deactivated", "deleted"],
        }
        return user_accounts.list_users(
            **{**every, **filters},
            from_time=0,
            before_time=10**17,
            before_id="00000000-0000-0000-0000-000000000000",
            skip=skip,
            page_limit=51,
        )

    @pytest.mark.parametrize(
        ("filters", "matching"),
        [
            ({"host_statuses": ["pending"]}, 10),
            ({"roles": ["admin"]}, 4),
            ({"roles": ["admin", "moderator"]}, 24),
            ({"states": ["deactivated"]}, 40),
            ({"host_statuses": ["rejected"]}, 0),
            ({"states": ["deleted"]}, 0),
        ],
        ids=str,
    )
    def test_a_rare_filter_reads_no_more_than_it_finds(
        self, connection: psycopg.Connection, filters: dict[str, list[str]], matching: int
    ) -> None:
        found = explained(connection, self.page(**filters))
        assert found[0]["Actual Rows"] == matching
        assert "Seq Scan" not in scans(found)
        assert rows_removed(found) == 0

    @pytest.mark.parametrize("skip", [0, 500])
    def test_the_whole_list_reads_a_page_of_each_combination(self, connection: psycopg.Connection, skip: int) -> None:
        found = explained(connection, self.page(skip))
        assert found[0]["Actual Rows"] == 51
        assert "Seq Scan" not in scans(found)
        assert rows_read(found, "users") < 5 * (skip + 51) + 51


class TestSearchUsers:
    @staticmethod
    def page(query: str, after: tuple[str, str] = ("", "00000000-0000-0000-0000-000000000000")) -> Step[Any]:
        return user_search.search_users(query=query, after_word=after[0], after_id=after[1], page_limit=51)

    @staticmethod
    def last(connection: psycopg.Connection, step: Step[Any]) -> tuple[str, str]:
        """The cursor of the last user whom the step shows."""
        with prepared(connection, step) as values:
            rows = connection.execute(psycopg.sql.SQL("EXECUTE query ({})").format(values)).fetchall()
        return rows[-1][0], rows[-1][1]

    @pytest.mark.parametrize(
        ("query", "after"),
        [
            ("a", None),
            ("kk", None),
            ("abc", None),
            ("abc kk", None),
            ("a k", ("aab", "00000000-0000-0000-0000-000000000101")),
            ("zz", None),
        ],
    )
    def test_a_page_is_a_range_of_the_index_in_its_order(
        self, connection: psycopg.Connection, query: str, after: tuple[str, str] | None
    ) -> None:
        for cost in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_index_scan_size"):
            connection.execute(f"SET {cost} = 0".encode())  # no worker is started even where workers cost nothing
        found = explained(connection, self.page(query, *([after] if after else [])))
        assert not {"Gather", "Gather Merge"} & {node["Node Type"] for node in found}
        assert {node.get("Index Name") for node in found if "Relation Name" in node} == {
            "user_words_word_user_id_idx",
            "users_pkey",
            "presence_pkey",
            "hosts_pkey",
        }
        assert "Seq Scan" not in scans(found)
        (driving,) = (node for node in found if node.get("Index Name") == "user_words_word_user_id_idx")
        assert driving["Node Type"] == "Index Only Scan"
        # The only thing sorted are the words of the query.
        assert [node["Actual Rows"] for node in found if node["Node Type"] == "Sort"] in ([1], [0])
        assert rows_read(found, "users") <= 55, "no user is read who is not shown, but for those who are deactivated"

    def test_a_later_page_reads_nothing_of_those_before(self, connection: psycopg.Connection) -> None:
        """Of a word that 200 users have, too: the place in the index is the whole cursor."""
        seen: list[int] = []
        after = ("", "00000000-0000-0000-0000-000000000000")
        for _ in range(3):
            found = explained(connection, self.page("abc", after))
            (driving,) = (node for node in found if node.get("Index Name") == "user_words_word_user_id_idx")
            seen.append(driving["Actual Rows"] + driving.get("Rows Removed by Filter", 0))
            after = self.last(connection, self.page("abc", after))
        assert seen == [51, 51, 51]
