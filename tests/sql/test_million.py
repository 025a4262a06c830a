"""Lists and statistics on a million users and ten million activities: plans, and times in the database.

Only with `BANTER_NIGHTLY=1`: it takes minutes. `test_seeded_plans.py` is the same in small, without times.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from banter_grpc.database.queries import user_activity
from banter_grpc.seeding.run import seed
from tests.support.clusters import Cluster
from tests.support.nightly import NIGHTLY
from tests.support.plans import FIRST_ID, PAGE, Plan, explained, hosts_page, search_page, users_page

pytestmark = pytest.mark.skipif(not NIGHTLY, reason="takes minutes: BANTER_NIGHTLY=1")

USERS = 1_000_000
ACTIVITIES = 10_000_000
TIMES = 9

LATELY = """
WITH chosen AS (SELECT user_id, row_number() OVER (ORDER BY user_id) AS n FROM hosts ORDER BY user_id LIMIT 1000)
UPDATE presence SET last_seen = clock() + CASE WHEN chosen.n % 50 = 0 THEN interval '1 day' ELSE interval '-5 min' END
FROM chosen WHERE chosen.user_id = presence.user_id;
UPDATE hosts SET seen_lately = TRUE FROM presence
WHERE presence.user_id = hosts.user_id AND presence.last_seen > clock() - interval '1 hour';
"""
"""Of 50,000 hosts 1,000 were seen within the hour, and 20 are online, for as long as the test takes."""

COUNTED = f"""
INSERT INTO activity_totals (day, type, count)
SELECT date '2025-01-01' + day, 'feature' || type || '.used', {ACTIVITIES} / (395 * 50)
FROM generate_series(0, 394) AS day CROSS JOIN generate_series(1, 50) AS type;
INSERT INTO activity_tallies (day, type, id, count)
SELECT date '2026-01-30' - n % 2, 'feature' || 1 + n % 50 || '.used', gen_random_uuid(), 1
FROM generate_series(1, 20000) AS n;
"""
"""Thirteen months of 50 types, folded; and 20,000 tallies of the last two days, which the job has not met yet."""


@pytest.fixture(scope="module")
def million(cluster: Cluster) -> Iterator[psycopg.Connection]:
    made = cluster.new_database()
    seed(made.owner_url, USERS, 1)
    with psycopg.connect(made.owner_url, autocommit=True) as owner:
        owner.execute(LATELY)
        owner.execute(COUNTED.encode())
        owner.execute("VACUUM ANALYZE")
    with psycopg.connect(made.service_url, autocommit=True) as service:
        yield service
    cluster.drop_database(made.name)


def check(plan: Plan, milliseconds: float = 10) -> None:
    assert "Seq Scan" not in plan.kinds
    assert not {"Gather", "Gather Merge"} & plan.kinds
    assert plan.milliseconds < milliseconds


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("asha", PAGE),
        ("as", PAGE),
        ("a", PAGE),
        ("zoë o", PAGE),
        ("asha rao", PAGE),
        ("rahul m", PAGE),
        ("r s", PAGE),
        ("conceição goncal", PAGE),
        ("asha.rao7", None),
        ("rao999999", 0),
        ("nobody", 0),
        ("asha nobody", 0),
        # Names that nobody has together: the rarer one is had by few.
        ("mukherjee zoe", 0),
        ("chatterjee ozlem", 0),
        ("m x", 0),
    ],
)
def test_a_search_takes_less_than_ten_milliseconds(million: psycopg.Connection, query: str, found: int | None) -> None:
    plan = explained(million, search_page(query), TIMES)
    assert found is None or plan.rows == found
    assert plan.sorted <= 20, "words of the query"
    check(plan)


@pytest.mark.parametrize("query", ["lakshmi rahman", "fernandes wei"])
def test_so_does_a_page_of_common_words_that_nobody_has_together(million: psycopg.Connection, query: str) -> None:
    """Each is had by more than are counted: a page ends where it has looked at enough, and the next goes on there."""
    plan = explained(million, search_page(query), TIMES)
    assert (plan.rows, plan.reading("found")["Actual Rows"]) == (1, 5000)
    check(plan)


def test_a_page_far_down_a_search_takes_no_longer(million: psycopg.Connection) -> None:
    check(explained(million, search_page("a", ("a", "asha", "018f0000-0000-7000-8000-000000000000")), TIMES))


@pytest.mark.parametrize(
    "place",
    [{}, {"online": (-1, FIRST_ID)}, {"online": (-1, FIRST_ID), "others": (350, FIRST_ID)}],
    ids=["first page, few online", "first of the others", "deep page"],
)
def test_a_page_of_hosts_takes_less_than_ten_milliseconds(
    million: psycopg.Connection, place: dict[str, tuple[int, str]]
) -> None:
    plan = explained(million, hosts_page(**place), TIMES)
    assert plan.rows == PAGE
    assert plan.sorted <= PAGE
    check(plan)


@pytest.mark.parametrize(
    "filters",
    [{"host_statuses": ["pending"]}, {"roles": ["admin"]}, {"roles": ["moderator"]}, {"states": ["deleted"]}],
    ids=str,
)
def test_a_rare_filter_reads_no_more_accounts_than_a_page_of_each_combination(
    million: psycopg.Connection, filters: dict[str, list[str]]
) -> None:
    plan = explained(million, users_page(**filters), TIMES)
    assert plan.removed == 0
    assert plan.sorted <= 3 * PAGE
    check(plan)


@pytest.mark.parametrize("after", ["2024-12-31", "2025-07-01", "2026-01-29"])
def test_statistics_of_ten_million_activities_take_less_than_fifty_milliseconds(
    million: psycopg.Connection, after: str
) -> None:
    step = user_activity.get_activity_stats(after_day=after, after_type="", last_day="2026-01-30", at_most=PAGE)
    plan = explained(million, step, TIMES)
    assert plan.relations == {"activity_totals", "activity_tallies"}, "no activity is read"
    assert plan.rows == PAGE
    check(plan, 50)
