"""What lanes show of themselves, beside the pool."""

from __future__ import annotations

import psycopg
from banter.v1 import user_pb2

from tests.conftest import NewDatabase
from tests.support.harness import Running, over_lanes, over_pool, running


def sample(banter: Running, name: str, group: str) -> float | None:
    return banter.server.metrics.registry.get_sample_value(name, {"group": group})


async def test_round_trips_reconnects_and_units_of_each_group_are_counted(new_database: NewDatabase) -> None:
    database = new_database()
    async with running(database.owner_url, database.service_url, **over_lanes(2)) as banter:
        user = await banter.new_user()
        before = sample(banter, "db_lane_round_trips_total", "read")
        assert before
        for _ in range(5):
            await banter.users.GetUser(user_pb2.GetUserRequest(user_id=user.user_id), metadata=banter.as_service)
        # The server's own look at the database, once a second, may come beside them.
        assert 5 <= (sample(banter, "db_lane_round_trips_total", "read") or 0) - before <= 10
        assert (sample(banter, "db_lane_round_trips_total", "write") or 0) >= 1
        for group in ("read", "write"):
            assert sample(banter, "db_lanes", group) == 2
            assert sample(banter, "db_lane_reconnects_total", group) == 0
            assert sample(banter, "db_lane_units_waiting", group) == 0
            assert sample(banter, "db_lane_units_in_flight", group) in (0, 1)
        with psycopg.connect(database.owner_url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name LIKE '%/read-1'"
            )
        for _ in range(5):
            await banter.users.GetUser(user_pb2.GetUserRequest(user_id=user.user_id), metadata=banter.as_service)
        assert (sample(banter, "db_lane_reconnects_total", "read") or 0) + 2 - (
            sample(banter, "db_lanes_up", "read") or 0
        ) == 1, "it is down or came up again"


async def test_without_lanes_there_is_the_pool_only(new_database: NewDatabase) -> None:
    database = new_database()
    async with running(database.owner_url, database.service_url, **over_pool(2)) as banter:
        assert (await banter.new_user()).user_id
        assert sample(banter, "db_lanes", "read") is None
        assert banter.server.metrics.registry.get_sample_value("db_pool_connections") == 2
