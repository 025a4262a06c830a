"""What stands beside made-up people, read as the service reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from banter_grpc.database.queries import user_hosts, wallet
from banter_grpc.database.statement import Step
from banter_grpc.seeding.people import ADMIN, HOSTS, MODERATOR, PLAIN, person
from banter_grpc.seeding.run import seed
from banter_grpc.seeding.steps import COINS
from tests.support.clusters import Cluster

USERS = 2000
TOP = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@pytest.fixture(scope="module")
def seeded(cluster: Cluster) -> Iterator[psycopg.Connection]:
    made = cluster.new_database()
    seed(made.owner_url, USERS, 1)
    with psycopg.connect(made.owner_url, autocommit=True) as connection:
        yield connection
    cluster.drop_database(made.name)


def rows_of(connection: psycopg.Connection, step: Step[Any]) -> list[dict[str, Any]]:
    with psycopg.RawCursor(connection, row_factory=dict_row) as cursor:
        return cursor.execute(step.statement.sql.encode(), step.parameters).fetchall()


def test_hosts_are_listed_with_their_rates_and_none_is_online(seeded: psycopg.Connection) -> None:
    first = user_hosts.list_hosts(
        as_of=0, online_rating=2**62, online_id=TOP, other_rating=2**62, other_id=TOP, page_limit=201
    )
    rows = rows_of(seeded, first)
    listed = {row["user_id"]: row for row in rows}
    everybody = [person(1, number) for number in range(USERS)]
    assert listed.keys() == {each.id for each in everybody if each.host_status == "approved" and each.is_active}
    assert {person(1, number).id for number in HOSTS} <= listed.keys()
    assert all(row["audio_rate"] and row["video_rate"] and not row["is_online"] for row in rows)
    assert len({row["rating"] for row in rows}) > 20
    assert 0.0 <= min(row["rating"] for row in rows) < 3 < max(row["rating"] for row in rows) <= 5.0


def test_what_a_host_asked_agrees_with_what_he_is(seeded: psycopg.Connection) -> None:
    differing = seeded.execute(
        "SELECT users.id FROM users LEFT JOIN LATERAL ("
        "    SELECT status FROM host_verifications WHERE user_id = users.id ORDER BY create_time DESC, id DESC LIMIT 1"
        ") AS newest ON TRUE LEFT JOIN hosts ON hosts.user_id = users.id"
        " WHERE users.host_status <> coalesce(newest.status, 'none')"
        " OR (users.host_status = 'approved') <> (hosts.user_id IS NOT NULL)"
    ).fetchall()
    assert differing == []
    found = seeded.execute("SELECT status, count(*), count(DISTINCT user_id) FROM host_verifications GROUP BY status")
    counted = {status: (requests, users) for status, requests, users in found}
    assert counted.keys() == {"pending", "approved", "rejected"}
    assert counted["pending"][0] == counted["pending"][1]
    assert seeded.execute(
        "SELECT count(*) FROM host_verifications"
        " WHERE status <> 'pending' AND (reviewer_id <> %s OR review_time NOT BETWEEN create_time AND clock())",
        [person(1, MODERATOR).id],
    ).fetchone() == (0,)


def test_most_were_seen_and_some_have_notifications(seeded: psycopg.Connection) -> None:
    seen, latest, before = seeded.execute(
        "SELECT count(*), max(last_seen) < '2025-07-01', count(*) FILTER (WHERE last_seen < users.update_time)"
        " FROM presence INNER JOIN users ON users.id = presence.user_id"
    ).fetchone() or (0, False, 0)
    assert (0.8 * USERS < seen < USERS, latest, before) == (True, True, 0)
    told, typed, read = seeded.execute(
        "SELECT count(DISTINCT user_id), count(DISTINCT user_id) FILTER (WHERE user_id = ANY(%s::uuid[])),"
        " count(read_time) FROM notifications",
        [[person(1, number).id for number in range(PLAIN)]],
    ).fetchone() or (0, 0, 0)
    assert (0.2 * USERS < told < 0.5 * USERS, typed, read) == (True, PLAIN, 0)


def test_people_whom_others_type_have_coins_to_play_with(seeded: psycopg.Connection) -> None:
    for number, coins in ((ADMIN, COINS), (0, COINS), (PLAIN - 1, COINS), (PLAIN, 0)):
        (row,) = rows_of(seeded, wallet.get_wallet(user_id=person(1, number).id))
        assert [*row.values()][1:] == [coins, 0, 0, 0]
