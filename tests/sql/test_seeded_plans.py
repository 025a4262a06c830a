"""Plans on seeded rows: what a query reads grows with its page, not with the table."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.plans import FIRST_ID, explained, rows_of, search_page, users_page

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
        yield service
    cluster.drop_database(made.name)


class TestListUsers:
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
        plan = explained(connection, users_page(**filters))
        assert (plan.rows, plan.removed) == (matching, 0)
        assert "Seq Scan" not in plan.kinds

    @pytest.mark.parametrize("skip", [0, 500])
    def test_the_whole_list_reads_a_page_of_each_combination(self, connection: psycopg.Connection, skip: int) -> None:
        plan = explained(connection, users_page(skip))
        assert plan.rows == 51
        assert "Seq Scan" not in plan.kinds
        assert plan.read("users") < 5 * (skip + 51) + 51


class TestSearchUsers:
    @pytest.mark.parametrize(
        ("query", "after"),
        [
            ("a", None),
            ("kk", None),
            ("abc", None),
            ("abc kk", None),
            ("a k", ("a", "aab", "00000000-0000-0000-0000-000000000101")),
            ("zz", None),
        ],
    )
    def test_a_page_is_a_range_of_the_index_in_its_order(
        self, connection: psycopg.Connection, query: str, after: tuple[str, str, str] | None
    ) -> None:
        for cost in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_index_scan_size"):
            connection.execute(f"SET {cost} = 0".encode())  # no worker is started even where workers cost nothing
        plan = explained(connection, search_page(query, *([after] if after else [])))
        assert not {"Gather", "Gather Merge", "Seq Scan"} & plan.kinds
        assert {node.get("Index Name") for node in plan.nodes if "Relation Name" in node} == {
            "user_words_word_user_id_idx",
            "users_pkey",
            "presence_pkey",
            "hosts_pkey",
        }
        assert plan.reading("found")["Node Type"] == "Index Only Scan"
        assert plan.sorted <= 2, "only the words of the query"
        assert plan.read("users") <= 55, "no user is read who is not shown, but for those who are deactivated"

    def test_of_several_words_the_rarest_is_sought(self, connection: psycopg.Connection) -> None:
        """Whichever is the longest: the 200 users who have that are not even read."""
        driving = explained(connection, search_page("abc zz")).reading("found")
        assert driving["Actual Rows"] + driving.get("Rows Removed by Filter", 0) == 0

    def test_a_later_page_reads_nothing_of_those_before(self, connection: psycopg.Connection) -> None:
        """Of a word that 200 users have, too: the place in the index is the whole cursor."""
        seen: list[int] = []
        after = ("", "", FIRST_ID)
        for _ in range(3):
            driving = explained(connection, search_page("abc", after)).reading("found")
            seen.append(driving["Actual Rows"] + driving.get("Rows Removed by Filter", 0))
            after = rows_of(connection, search_page("abc", after))[-1][:3]
        assert seen == [51, 51, 51]
