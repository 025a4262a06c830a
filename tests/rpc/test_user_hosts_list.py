"""UserService, discovery of hosts: what a walk over the list promises while hosts come and go."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import psycopg
import pytest
from banter.v1 import user_pb2
from psycopg import sql

from banter_grpc.database.queries import user_hosts as queries
from banter_grpc.ids import new_id
from tests.conftest import NewDatabase
from tests.rpc.test_user_hosts import someone_waits
from tests.support.harness import Running, new_phone_number, refused, running
from tests.support.plans import nodes

MAKE_USER = (
    "INSERT INTO users (id, phone_number, country_code, full_name, timezone, host_status, create_time, update_time)"
    " SELECT %s, %s, '+91', 'Host', 'UTC', 'approved', clock(), clock()"
)
MAKE_HOST = "INSERT INTO hosts (user_id, rating_sum, rating_count, create_time) SELECT %s, %s, %s, clock()"
SEE = (
    "INSERT INTO presence (user_id, last_seen) SELECT %s, clock() - make_interval(secs => %s)"
    " ON CONFLICT (user_id) DO UPDATE SET last_seen = excluded.last_seen"
)


@dataclass
class Stage:
    """A server on a database of its own, with hosts."""

    banter: Running
    service_url: str
    database: psycopg.Connection

    def new_host(self, stars: int = 0, ratings: int = 0, seen: float | None = None) -> str:
        """A host whose ratings have this average, seen so many seconds ago, or never."""
        host = new_id()
        self.database.execute(MAKE_USER, [host, new_phone_number()])
        self.database.execute(MAKE_HOST, [host, stars * ratings, ratings])
        if seen is not None:
            self.see(host, seen)
        return host

    def see(self, host: str, ago: float = 0) -> None:
        self.database.execute(SEE, [host, ago])

    async def heartbeat(self, host: str) -> None:
        await self.banter.users.Heartbeat(user_pb2.HeartbeatRequest(), metadata=self.banter.as_user(host))

    async def page(self, token: str = "", size: int = 0) -> user_pb2.ListHostsResponse:
        request = user_pb2.ListHostsRequest(page_size=size, page_token=token)
        return await self.banter.users.ListHosts(request, metadata=self.banter.as_service)

    async def walk(self, size: Callable[[], int], between: Callable[[], Any] = lambda: None) -> list[user_pb2.User]:
        """All pages, of these sizes; `between` is called between two of them."""
        seen, token = [], ""
        while True:
            asked = size()
            answer = await self.page(token, asked)
            assert len(answer.hosts) <= asked
            seen += answer.hosts
            token = answer.next_page_token
            if not token:
                return seen
            between()

    def forget(self) -> None:
        self.database.execute("DELETE FROM hosts")


@pytest.fixture(scope="module")
async def stage_of_module(cluster) -> AsyncIterator[Stage]:
    made = cluster.new_database()
    try:
        async with running(made.owner_url, made.service_url) as banter:
            with psycopg.connect(made.owner_url, autocommit=True) as connection:
                yield Stage(banter, made.service_url, connection)
    finally:
        cluster.drop_database(made.name)


@pytest.fixture
async def stage(stage_of_module: Stage) -> Stage:
    """Without hosts."""
    stage_of_module.forget()
    return stage_of_module


def ids(users: list[user_pb2.User]) -> list[str]:
    return [user.user_id for user in users]


class TestListHosts:
    async def test_who_is_online_comes_first_then_the_best_then_the_newest(self, stage: Stage) -> None:
        away_good = stage.new_host(5, 2, seen=3600)
        never = stage.new_host(4, 1)
        online = [stage.new_host(stars, ratings, seen=5) for stars, ratings in ((0, 0), (2, 9), (4, 3), (4, 7))]
        away_bad = stage.new_host(1, 1, seen=61)
        answer = await stage.page()
        assert ids(list(answer.hosts)) == [*online[::-1], away_good, never, away_bad]
        assert answer.next_page_token == ""
        assert [host.is_online for host in answer.hosts] == [True] * 4 + [False] * 3
        assert [(host.rating, host.rating_count) for host in answer.hosts][:4] == [(4, 7), (4, 3), (2, 9), (0, 0)]

    async def test_a_rating_is_an_average_to_hundredths(self, stage: Stage) -> None:
        host = stage.new_host(4, 3)
        stage.database.execute("UPDATE hosts SET rating_sum = 14 WHERE user_id = %s", [host])
        (seen,) = (await stage.page()).hosts
        assert (seen.user_id, seen.rating, seen.rating_count) == (host, 4.67, 3)

    async def test_who_is_not_active_is_not_listed(self, stage: Stage) -> None:
        gone = [stage.new_host(5, 1, seen=1), stage.new_host(5, 1)]
        left = stage.new_host()
        stage.database.execute("UPDATE users SET is_active = FALSE WHERE id = ANY(%s::uuid[])", [gone])
        assert ids(list((await stage.page()).hosts)) == [left]

    async def test_others_do_not_see_what_is_personal(self, stage: Stage) -> None:
        stage.new_host()
        user = await stage.banter.new_user()
        request = user_pb2.ListHostsRequest()
        (host,) = (await stage.banter.users.ListHosts(request, metadata=stage.banter.as_user(user.user_id))).hosts
        assert (host.full_name, host.phone_number) == ("Host", "")

    async def test_all_pages_together_are_the_list(self, stage: Stage) -> None:
        chance = random.Random(1)
        for _ in range(30):
            stage.new_host(chance.randint(1, 5), chance.randint(0, 2), chance.choice([None, 5, 100]))
        whole = list((await stage.page(size=200)).hosts)
        assert len(whole) == 30
        for size in (1, 2, 3, 7, 29, 30):
            assert await stage.walk(lambda size=size: size) == whole

    @pytest.mark.parametrize("seed", range(3))
    async def test_a_walk_shows_nobody_twice_and_whoever_was_there_all_the_time(self, stage: Stage, seed: int) -> None:
        """Between its pages hosts come online, stay there, are made and leave."""
        chance = random.Random(seed)
        coming = [stage.new_host(chance.randint(1, 5), 1, seen=chance.choice([None, 70])) for _ in range(10)]
        staying = [stage.new_host(chance.randint(1, 5), 1, seen=10) for _ in range(10)]
        steady = [stage.new_host(chance.randint(1, 5), 1, seen=chance.choice([None, 10, 3600])) for _ in range(20)]
        leaving = [stage.new_host(chance.randint(1, 5), 1, seen=chance.choice([None, 10])) for _ in range(5)]

        def disturb() -> None:
            what = chance.randrange(4)
            if what == 0:
                stage.see(chance.choice(coming))
            elif what == 1:
                stage.see(chance.choice(staying))
            elif what == 2:
                stage.new_host(chance.randint(1, 5), 1, seen=chance.choice([None, 1]))
            elif leaving:
                stage.database.execute("DELETE FROM hosts WHERE user_id = %s", [leaving.pop()])

        seen = ids(await stage.walk(lambda: chance.randint(1, 3), disturb))
        assert len(seen) == len(set(seen))
        assert set(steady) | set(staying) <= set(seen)

    async def test_who_goes_offline_during_a_walk_is_shown_once(self, stage: Stage) -> None:
        hosts = [stage.new_host(5 - number, 1, seen=0) for number in range(4)]
        away = stage.new_host(5, 5, seen=600)
        clock = "CREATE OR REPLACE FUNCTION clock() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $${}$$"

        def pass_time() -> None:
            late = "SELECT statement_timestamp() + interval '90 seconds'"
            stage.database.execute(clock.format(late).encode())

        try:
            seen = await stage.walk(lambda: 1, pass_time)
        finally:
            stage.database.execute(clock.format("SELECT statement_timestamp()").encode())
        assert ids(seen) == [*hosts, away]
        assert [host.is_online for host in seen] == [True, False, False, False, False]

    async def test_a_heartbeat_moves_a_host_up_in_the_next_walk(self, stage: Stage) -> None:
        best, worst = stage.new_host(5, 1, seen=4000), stage.new_host(1, 1, seen=4000)
        clear_seen_lately(stage, 10)
        assert ids(list((await stage.page()).hosts)) == [best, worst]
        await stage.heartbeat(worst)
        assert ids(list((await stage.page()).hosts)) == [worst, best]

    async def test_a_token_is_good_for_its_caller_only(self, stage: Stage) -> None:
        for _ in range(2):
            stage.new_host()
        token = (await stage.page(size=1)).next_page_token
        user = await stage.banter.new_user()
        request = user_pb2.ListHostsRequest(page_token=token)
        call = stage.banter.users.ListHosts(request, metadata=stage.banter.as_user(user.user_id))
        failure = await refused(call)
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


def clear_seen_lately(stage: Stage, most: int) -> int:
    statement = queries.CLEAR_SEEN_LATELY.sql.replace("$1", str(most))
    with psycopg.connect(stage.service_url, autocommit=True) as service:
        return service.execute(statement.encode()).rowcount


def marked(stage: Stage) -> set[str]:
    return {row[0] for row in stage.database.execute("SELECT user_id::text FROM hosts WHERE seen_lately").fetchall()}


class TestClearingTheMark:
    async def test_it_is_taken_from_whom_nobody_saw_for_an_hour_some_at_a_time(self, stage: Stage) -> None:
        kept = {stage.new_host(seen=3500), stage.new_host()}
        for _ in range(3):
            stage.new_host(seen=3700)
        assert [clear_seen_lately(stage, 2) for _ in range(3)] == [2, 1, 0]
        assert marked(stage) == kept

    async def test_who_is_just_being_seen_keeps_it(self, stage: Stage) -> None:
        host = stage.new_host(seen=3700)
        with psycopg.connect(stage.service_url) as heartbeat:
            heartbeat.execute("UPDATE presence SET last_seen = clock() WHERE user_id = %s", [host])
            assert clear_seen_lately(stage, 10) == 0
            heartbeat.commit()
        assert marked(stage) == {host}

    async def test_who_is_seen_while_it_is_taken_has_it_again(self, stage: Stage) -> None:
        host = stage.new_host(seen=3700)
        with psycopg.connect(stage.service_url) as job:
            assert job.execute(queries.CLEAR_SEEN_LATELY.sql.replace("$1", "10").encode()).rowcount == 1
            call = asyncio.ensure_future(stage.heartbeat(host))
            await someone_waits(stage.banter)
            job.commit()
        await call
        assert marked(stage) == {host}


def test_a_page_reads_no_table_whole_and_sorts_no_more_than_itself(new_database: NewDatabase) -> None:
    """Under a generic plan, with 20,000 users and 5,000 hosts."""
    made = new_database()
    with psycopg.connect(made.owner_url, autocommit=True) as owner:
        for statement in SEED.split(";\n"):
            owner.execute(statement.encode())
    with psycopg.connect(made.service_url, autocommit=True) as service:
        service.execute("SET plan_cache_mode = force_generic_plan")
        service.execute(b"PREPARE page AS " + queries.LIST_HOSTS.sql.encode())
        for online, limit in ((2**62, 51), (100, 201), (-1, 51)):
            step = queries.list_hosts(
                as_of=0, online_rating=online, online_id=LAST, other_rating=2**62, other_id=LAST, page_limit=limit
            )
            execute = sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE page ({})").format(
                sql.SQL(", ").join(map(sql.Literal, step.parameters))
            )
            explained = service.execute(execute).fetchone()
            assert explained is not None
            plan = list(nodes(explained[0][0]["Plan"]))
            assert [node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"] == []
            assert all(node["Actual Rows"] <= limit for node in plan if node["Node Type"] == "Sort"), plan
            scans = [node for node in plan if node.get("Subplan Name") in {"CTE online", "CTE others"}]
            assert len(scans) == 2
            for scan in scans:
                assert "Sort" not in {node["Node Type"] for node in nodes(scan)}


LAST = "ffffffff-ffff-ffff-ffff-ffffffffffff"
SEED = """
INSERT INTO users (id, phone_number, country_code, full_name, timezone, create_time, update_time)
SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, '+91' || 9000000000 + n, '+91', 'User', 'UTC',
    clock(), clock()
FROM generate_series(1, 20000) AS n;
INSERT INTO presence (user_id, last_seen)
SELECT id, clock() - make_interval(secs => (hashtext(id::text) & 16383)) FROM users;
INSERT INTO hosts (user_id, rating_sum, rating_count, seen_lately, create_time)
SELECT user_id, 1 + (hashtext(user_id::text) & 255) % 5, 1, last_seen > clock() - interval '1 hour', clock()
FROM presence ORDER BY user_id LIMIT 5000;
ANALYZE
"""
