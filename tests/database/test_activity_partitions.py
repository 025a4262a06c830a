"""Activities in the database: their partitions, and what their statistic costs."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

from banter_grpc.database.queries import user_activity
from tests.conftest import NewDatabase
from tests.support.clusters import Database
from tests.support.erasing import ERASE

MAKE = "SELECT make_activity_partitions()"
DROP = "SELECT drop_activity_partitions()"
INSERT = "INSERT INTO user_activities (user_id, occur_time, id, type, data) VALUES (%s, %s, %s, 'test.ping', '{}')"


@pytest.fixture
def database(new_database: NewDatabase) -> Database:
    return new_database()


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def service(database: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.service_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def user(owner: psycopg.Connection) -> uuid.UUID:
    made = uuid.uuid4()
    owner.execute(
        "INSERT INTO users (id, phone_number, country_code, full_name, timezone, create_time, update_time)"
        " VALUES (%s, '+919876543210', '+91', 'A', 'UTC', clock(), clock())",
        [made],
    )
    return made


def set_clock(owner: psycopg.Connection, at: str) -> None:
    owner.execute(
        "CREATE OR REPLACE FUNCTION clock() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE"
        f" AS $$ SELECT TIMESTAMPTZ '{at}' $$".encode()
    )


def value(connection: psycopg.Connection, query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def months(connection: psycopg.Connection) -> list[str]:
    """The months that have a partition, those of the migration aside."""
    rows = connection.execute(
        "SELECT right(inhrelid::regclass::text, 7) FROM pg_inherits WHERE inhparent = 'user_activities'::regclass"
        " ORDER BY 1"
    ).fetchall()
    return [month for (month,) in rows if month >= "2040"]


class TestMaking:
    @pytest.mark.parametrize(
        ("at", "made"),
        [
            ("2040-05-15 12:00+00", ["2040_04", "2040_05", "2040_06", "2040_07"]),
            ("2040-12-31 23:59:59.999+00", ["2040_11", "2040_12", "2041_01", "2041_02"]),
            ("2041-01-01 05:00+05:30", ["2040_11", "2040_12", "2041_01", "2041_02"]),
            # What happened 30 days ago is still recorded, and February is short.
            ("2041-03-01 00:00+00", ["2041_01", "2041_02", "2041_03", "2041_04", "2041_05"]),
        ],
    )
    def test_there_is_one_for_each_month_that_can_come(
        self, owner: psycopg.Connection, service: psycopg.Connection, user: uuid.UUID, at: str, made: list[str]
    ) -> None:
        set_clock(owner, at)
        assert value(service, MAKE) == len(made)
        assert months(owner) == made
        assert value(service, MAKE) == 0
        for hours in (-30 * 24, 0, 31 * 24):
            service.execute(
                "INSERT INTO user_activities SELECT %s, clock() + make_interval(hours => %s), %s, 'test.ping', '{}'",
                [user, hours, uuid.uuid4()],
            )

    def test_two_at_once_make_each_once(self, database: Database, owner: psycopg.Connection) -> None:
        set_clock(owner, "2040-05-15")
        answers: list[int] = []

        def second() -> None:
            with psycopg.connect(database.service_url) as connection:
                answers.append(value(connection, MAKE))

        with psycopg.connect(database.service_url) as first:
            assert value(first, MAKE) == 4
            thread = threading.Thread(target=second)
            thread.start()
            while not value(
                owner,
                f"SELECT {first.info.backend_pid} = ANY(array(SELECT unnest(pg_blocking_pids(pid))"
                " FROM pg_stat_activity))",
            ):
                time.sleep(0.002)
            first.commit()
            thread.join(10)
        assert answers == [0]
        assert len(months(owner)) == 4

    def test_inserts_go_on_meanwhile(
        self, database: Database, owner: psycopg.Connection, service: psycopg.Connection, user: uuid.UUID
    ) -> None:
        now = value(owner, "SELECT clock()")
        set_clock(owner, "2040-05-15")
        with psycopg.connect(database.service_url) as maker:
            assert value(maker, MAKE) == 4
            service.execute("SET lock_timeout = '1s'")
            service.execute(INSERT, [user, now, uuid.uuid4()])


class TestDropping:
    @pytest.fixture
    def full(self, owner: psycopg.Connection, user: uuid.UUID) -> uuid.UUID:
        """A user who did something in each of four months, the only ones that there are."""
        set_clock(owner, "2040-05-15")
        value(owner, DROP)
        value(owner, MAKE)
        for month in ("04", "05", "06", "07"):
            owner.execute(INSERT, [user, f"2040-{month}-15", uuid.uuid4()])
        return user

    def test_a_month_goes_when_its_last_day_is_thirteen_months_ago(
        self, owner: psycopg.Connection, service: psycopg.Connection, full: uuid.UUID
    ) -> None:
        for at, left in (("2041-05-31 23:59:59+00", 4), ("2041-06-01 00:00+00", 3), ("2041-08-31 00:00+00", 1)):
            set_clock(owner, at)
            value(service, DROP)
            assert value(owner, "SELECT count(*) FROM user_activities") == left
            assert len(months(owner)) == left
        assert value(service, DROP) == 0

    def test_erasing_takes_what_is_left_along(
        self, owner: psycopg.Connection, service: psycopg.Connection, full: uuid.UUID
    ) -> None:
        set_clock(owner, "2041-06-15")
        assert value(service, DROP) == 1
        with pytest.raises(errors.ForeignKeyViolation):
            service.execute(INSERT, [uuid.uuid4(), "2040-06-15", uuid.uuid4()])
        service.execute(ERASE, [full])
        assert value(owner, "SELECT count(*) FROM user_activities") == 0
        with pytest.raises(errors.ForeignKeyViolation):
            service.execute(INSERT, [full, "2040-06-15", uuid.uuid4()])

    def test_signups_and_erasures_do_not_wait_for_it(
        self, database: Database, owner: psycopg.Connection, full: uuid.UUID
    ) -> None:
        set_clock(owner, "2041-06-15")
        with psycopg.connect(database.service_url) as dropper:
            assert value(dropper, DROP) == 1
            locks = (
                "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"
                " AND relation IN ('living_users'::regclass, 'users'::regclass) AND mode <> 'AccessShareLock'"
            )
            assert value(dropper, locks) == 0

    def test_it_gives_up_rather_than_have_others_wait(
        self, database: Database, owner: psycopg.Connection, service: psycopg.Connection, full: uuid.UUID
    ) -> None:
        set_clock(owner, "2041-06-15")
        with psycopg.connect(database.service_url) as busy:
            busy.execute(INSERT, [full, "2040-07-15", uuid.uuid4()])
            with pytest.raises(errors.LockNotAvailable):
                value(service, DROP)
            busy.commit()
        assert value(owner, "SELECT count(*) FROM user_activities") == 5
        assert value(service, DROP) == 1


class TestStatistic:
    DAYS, TYPES, ACTIVITIES = 28, 20, 100_000

    def test_it_reads_totals_and_tallies_alone_however_many_activities_there_are(
        self, owner: psycopg.Connection, user: uuid.UUID
    ) -> None:
        set_clock(owner, "2040-05-29")
        value(owner, MAKE)
        owner.execute(
            "INSERT INTO user_activities SELECT %s, TIMESTAMPTZ '2040-05-01 00:00+00' + (n %% %s) * INTERVAL '1 day'"
            " + n * INTERVAL '1 microsecond', gen_random_uuid(), 'test.t' || n %% %s, '{}'"
            " FROM generate_series(1, %s) AS n",
            [user, self.DAYS, self.TYPES, self.ACTIVITIES],
        )
        owner.execute(  # as if each hundred or so had been recorded by one call
            "INSERT INTO activity_tallies SELECT (occur_time AT TIME ZONE 'UTC')::date, type,"
            " md5((micros(occur_time) / 16 %% 5)::text)::uuid, count(*) FROM user_activities GROUP BY 1, 2, 3",
            [],
        )
        truth = owner.execute(
            "SELECT (occur_time AT TIME ZONE 'UTC')::date::text, type COLLATE \"C\", count(*) FROM user_activities"
            " GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall()
        tallies = value(owner, "SELECT count(*) FROM activity_tallies")
        cursor = psycopg.RawCursor(owner)
        for at_most in (0, tallies // 2, tallies):
            waiting = value(owner, "SELECT count(*) FROM activity_tallies")
            folded = cursor.execute(user_activity.FOLD_ACTIVITY_TALLIES.sql, [at_most]).fetchone()
            assert folded == (min(at_most, waiting),)
            owner.execute("ANALYZE activity_totals, activity_tallies")
            parameters = ["2040-05-01", "", "2040-05-31", 1000]
            assert cursor.execute(user_activity.GET_ACTIVITY_STATS.sql, parameters).fetchall() == truth
            explained = cursor.execute(
                "EXPLAIN (ANALYZE, FORMAT JSON) " + user_activity.GET_ACTIVITY_STATS.sql, parameters
            ).fetchone()
            assert explained is not None
            read = list(scans(explained[0][0]["Plan"]))
            assert {name for name, _ in read} == {"activity_totals", "activity_tallies"}
            kept = value(
                owner, "SELECT (SELECT count(*) FROM activity_totals) + (SELECT count(*) FROM activity_tallies)"
            )
            assert sum(count for _, count in read) == kept <= tallies
        assert value(owner, "SELECT count(*) FROM activity_tallies") == 0
        assert value(owner, "SELECT count(*) FROM activity_totals") == len(truth)


def scans(node: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """The tables that a plan reads, and how many rows each time."""
    if "Relation Name" in node:
        yield node["Relation Name"], int(node["Actual Rows"])
    for below in node.get("Plans", ()):
        yield from scans(below)
