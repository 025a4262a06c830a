"""Jobs by the clock: one process at a time runs them, whatever becomes of it, and no job keeps another from running."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest
from prometheus_client import generate_latest

from banter_grpc.database.database import Database, PoolSettings
from banter_grpc.database.queries import jobs as queries
from banter_grpc.database.statement import Step
from banter_grpc.jobs.job import Job
from tests.conftest import NewDatabase
from tests.faults.test_workers import ask
from tests.support.clusters import Database as Made
from tests.support.harness import Running, running
from tests.support.journal import OVERLAPS, create_tables, hang, lines_of, refuse, value_of, work_off, write, writing
from tests.support.processes import PythonProcess, eventually
from tests.support.proxy import Proxy
from tests.support.served import served

LEASE = 1.5
"""Seconds of a lease that is to run out here."""
CONTENDER = "import runpy; runpy.run_module('tests.support.journal', run_name='__main__')"


@pytest.fixture
def made(new_database: NewDatabase) -> Made:
    """A database with a journal."""
    database = new_database()
    create_tables(database.owner_url)
    return database


async def passes(condition: Callable[[], bool], seconds: float = 30) -> float:
    """Wait for it without holding up the loop, at most so long; returns how long it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() < started + seconds, "it did not come to pass"
        await asyncio.sleep(0.01)
    return time.monotonic() - started


def sample(banter: Running, name: str, **labels: str) -> float:
    return banter.server.metrics.registry.get_sample_value(name, labels) or 0.0


def runs(banter: Running, job: str, outcome: str = "done") -> float:
    return sample(banter, "job_runs_total", job=job, outcome=outcome)


def holds(banter: Running) -> bool:
    return sample(banter, "jobs_lease_held") == 1


class TestLease:
    @pytest.fixture
    async def name(self) -> str:
        return uuid.uuid4().hex

    @pytest.fixture
    async def database(self, service_url: str) -> AsyncIterator[Database]:
        database = Database(PoolSettings(url=service_url, size=8, min_size=8, wait=30.0, lock_timeout=30.0))
        await database.open()
        yield database
        await database.close()

    @staticmethod
    def take(name: str, holder: str, seconds: float = 30.0) -> Step[int]:
        return queries.take_lease(name=name, holder=holder, instance="test", seconds=seconds)

    async def test_of_fifty_at_once_one_gets_it(self, database: Database, name: str) -> None:
        taken = await asyncio.gather(*(database.run(self.take(name, str(uuid.uuid4()))) for _ in range(50)))
        assert sorted(taken) == [0] * 49 + [1]

    async def test_of_fifty_at_once_one_takes_over(
        self, database: Database, name: str, owner_url: str, move_clock: Callable[[float], None]
    ) -> None:
        first = str(uuid.uuid4())
        assert await database.run(self.take(name, first)) == 1
        move_clock(30.0)
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%take_lease%'"
        async with await psycopg.AsyncConnection.connect(owner_url) as blocker:
            # The first eight have all seen that it has expired when the first of them may write.
            await blocker.execute("SELECT FROM leases WHERE name = %s FOR UPDATE", [name])
            asked = asyncio.gather(*(database.run(self.take(name, str(uuid.uuid4()))) for _ in range(50)))
            await passes(lambda: value_of(owner_url, waiting) >= 8)
            await blocker.rollback()
        taken = await asked
        assert sorted(taken) == [0] * 49 + [1]
        assert await database.run(self.take(name, first)) == 0, "who came too late is told so"

    async def test_it_lasts_for_its_time_after_each_renewal_and_no_longer(
        self, database: Database, name: str, move_clock: Callable[[float], None]
    ) -> None:
        first, second = str(uuid.uuid4()), str(uuid.uuid4())
        assert await database.run(self.take(name, first)) == 1
        move_clock(20.0)
        assert await database.run(self.take(name, first)) == 1
        move_clock(45.0)
        assert await database.run(self.take(name, second)) == 0
        move_clock(51.0)
        assert await database.run(self.take(name, second)) == 1

    async def test_what_its_holder_releases_is_free_at_once_and_nobody_else_releases_it(
        self, database: Database, name: str
    ) -> None:
        first, second = str(uuid.uuid4()), str(uuid.uuid4())
        assert await database.run(self.take(name, first)) == 1
        assert await database.run(queries.release_lease(name=name, holder=second)) == 0
        assert await database.run(self.take(name, second)) == 0
        assert await database.run(queries.release_lease(name=name, holder=first)) == 1
        assert await database.run(queries.release_lease(name=name, holder=first)) == 0
        assert await database.run(self.take(name, second)) == 1

    async def test_who_looks_at_one_that_is_held_writes_nothing(
        self, database: Database, name: str, owner_url: str
    ) -> None:
        assert await database.run(self.take(name, str(uuid.uuid4()))) == 1
        row = f"SELECT ctid::text, xmin::text, xmax::text FROM leases WHERE name = '{name}'"
        with psycopg.connect(owner_url, autocommit=True) as connection:
            before = connection.execute(row.encode()).fetchall()
            assert await database.run(self.take(name, str(uuid.uuid4()))) == 0
            assert connection.execute(row.encode()).fetchall() == before


class TestRuns:
    async def test_one_of_two_servers_runs_them_and_a_clean_stop_hands_over_at_once(self, made: Made) -> None:
        urls = (made.owner_url, made.service_url)
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(running(*urls, jobs=[writing("first", seconds=0.02)]))
            await passes(lambda: holds(first))
            async with running(*urls, jobs=[writing("second", seconds=0.02)]) as second:
                await passes(lambda: lines_of(made.owner_url, "first") > 10)
                assert (holds(second), lines_of(made.owner_url, "second")) == (False, 0)
                await stack.aclose()
                stopped = time.monotonic()
                await passes(lambda: lines_of(made.owner_url, "second") > 10)
                assert time.monotonic() - stopped < 10, "the lease would have lasted for 30 s"
                assert holds(second)
        assert value_of(made.owner_url, OVERLAPS) == 0

    async def test_a_job_that_hangs_is_ended_by_its_limit_and_so_is_its_query(self, made: Made) -> None:
        hanging = Job.of_step("hang", 3600, "hangs", lambda _: hang(), limit=0.3)
        async with running(made.owner_url, made.service_url, jobs=[hanging, writing("other")]) as banter:
            await passes(lambda: runs(banter, "hang", "timed out") == 1)
            await passes(lambda: runs(banter, "write") > 2)
            active = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
            await passes(lambda: value_of(made.owner_url, f"{active} AND query LIKE 'SELECT pg_sleep%'") == 0, 5)
            (line,) = [line for line in banter.log if line.get("job") == "hang"]
            assert (line["level"], line["job"], line["outcome"]) == ("error", "hang", "timed out")

    async def test_one_that_fails_is_tried_again_and_stops_no_other(self, made: Made) -> None:
        async def give_up(_: Database) -> int:
            raise asyncio.CancelledError

        jobs = [
            Job.of_step("fail", 0.1, "fails", lambda _: refuse()),
            Job(name="give up", every=0.1, about="cancels itself", run=give_up),
            writing("other"),
        ]
        async with running(made.owner_url, made.service_url, jobs=jobs) as banter:
            for name, outcome in (("fail", "failed"), ("give up", "failed"), ("write", "done")):
                await passes(lambda: runs(banter, name, outcome) > 2)  # noqa: B023 - called in this round only
            assert sample(banter, "job_last_success_timestamp_seconds", job="fail") == 0
            lines = [line for line in banter.log if line.get("job") == "fail"]
            assert {(line["level"], line["outcome"]) for line in lines} == {("error", "failed")}
            assert "DivisionByZero [22012]" in str(lines[0]["faults"])

    async def test_one_that_fails_waits_for_its_retry_and_not_for_its_next_hour(self, made: Made) -> None:
        async def fail_once(database: Database) -> int:
            return await database.run(write("hourly") if lines_of(made.owner_url, "other") > 10 else refuse())

        hourly = Job(name="hourly", every=3600, about="fails at first", run=fail_once, retry=0.1)
        async with running(made.owner_url, made.service_url, jobs=[hourly, writing("other")]) as banter:
            await passes(lambda: lines_of(made.owner_url, "hourly") > 0)
            assert runs(banter, "hourly", "failed") >= 2
            seen = lines_of(made.owner_url, "other")
            await passes(lambda: lines_of(made.owner_url, "other") > seen + 10)
            assert runs(banter, "hourly") == 1, "it is due in an hour"

    async def test_a_full_batch_is_followed_by_the_next_at_once_and_others_get_their_turn(self, made: Made) -> None:
        value_of(made.owner_url, "WITH made AS (INSERT INTO todo SELECT generate_series(1, 55) RETURNING 1) SELECT 1")
        hourly = Job.of_step("work off", 3600, "works items off", work_off, batch=10)
        async with running(made.owner_url, made.service_url, jobs=[hourly, writing("other", every=0)]) as banter:
            await passes(lambda: sample(banter, "job_items_total", job="work off") == 55)
            assert runs(banter, "work off") == 6
            assert lines_of(made.owner_url, "other") >= 5
            lines = [line for line in banter.log if line.get("job") == "work off"]
            assert [line["items"] for line in lines] == [10, 10, 10, 10, 10, 5]
            await passes(lambda: lines_of(made.owner_url, "other") > 20)
            assert runs(banter, "work off") == 6, "it is due in an hour"

    async def test_what_operators_see(self, made: Made) -> None:
        value_of(made.owner_url, "WITH made AS (INSERT INTO todo SELECT generate_series(1, 3) RETURNING 1) SELECT 1")
        job = Job.of_step("work off", 0.1, "works items off", work_off)
        async with running(made.owner_url, made.service_url, jobs=[job]) as banter:
            await passes(lambda: runs(banter, "work off") > 3)
            text = generate_latest(banter.server.metrics.registry).decode()
            for line in (
                "jobs_lease_held 1.0",
                'job_runs_total{job="work off",outcome="done"} ',
                'job_items_total{job="work off"} 3.0',
                'job_duration_seconds_count{job="work off"} ',
                'db_query_duration_seconds_count{query="work_off"} ',
            ):
                assert line in text, line
            succeeded = sample(banter, "job_last_success_timestamp_seconds", job="work off")
            assert abs(time.time() - succeeded) < 60
            lines = [line for line in banter.log if str(line["event"]).startswith("job")]
            assert [line["event"] for line in lines] == ["jobs are run here", "job"], "runs without work say nothing"
            assert (lines[1]["level"], lines[1]["job"], lines[1]["items"]) == ("info", "work off", 3)
            names = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name ~"
            assert value_of(made.owner_url, f"{names} '^banter/.*/jobs$'") == 1, "the one of its budget"

    async def test_a_server_that_is_told_to_take_no_part_takes_none(self, made: Made) -> None:
        async with running(made.owner_url, made.service_url) as banter:
            assert banter.server.metrics.registry.get_sample_value("jobs_lease_held") is None
            names = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name"
            assert value_of(made.owner_url, f"{names} LIKE '%/jobs'") == 0
        assert value_of(made.owner_url, "SELECT count(*) FROM leases") == 0


class TestLoss:
    async def test_without_its_database_a_server_stops_and_begins_again_when_it_is_back(self, made: Made) -> None:
        async with (
            Proxy(made.service_url) as proxy,
            running(made.owner_url, proxy.url, jobs=[writing("one")], jobs_lease=LEASE) as banter,
        ):
            await passes(lambda: lines_of(made.owner_url, "one") > 2)
            proxy.refuse = True
            proxy.drop()
            took = await passes(lambda: not holds(banter), 10)
            assert took < LEASE * 2
            written = lines_of(made.owner_url, "one")
            proxy.refuse = False
            await passes(lambda: holds(banter))
            await passes(lambda: lines_of(made.owner_url, "one") > written + 2)

    @pytest.mark.parametrize("pause", [0.001, None], ids=["within a job", "between two"])
    async def test_a_process_that_was_held_up_beyond_its_lease_takes_no_further_step(
        self, made: Made, pause: float | None
    ) -> None:
        rounds: list[str] = []

        async def stand_still(database: Database) -> int:
            rounds.append("again" if rounds else "late")
            if rounds[-1] == "late":
                time.sleep(0.8)  # the whole process stands still
                if pause is None:
                    return 0
                await asyncio.sleep(pause)
            return await database.run(write(rounds[-1]))

        async def next_one(database: Database) -> int:
            return await database.run(write(rounds[-1]))

        jobs = [
            Job(name="still", every=3600, about="stands still", run=stand_still),
            Job(name="next", every=3600, about="comes next", run=next_one),
        ]
        async with running(made.owner_url, made.service_url, jobs=jobs, jobs_lease=0.6):
            await passes(lambda: lines_of(made.owner_url, "again") >= 2)
        assert lines_of(made.owner_url, "late") == 0

    def test_another_takes_over_from_who_is_halted_or_killed_and_who_wakes_up_late_works_on_no_more(
        self, made: Made
    ) -> None:
        def written(who: str) -> int:
            return lines_of(made.owner_url, who)

        with contender(made, "first") as first, contender(made, "second") as second:
            eventually(lambda: written("first") > 5)
            assert written("second") == 0
            os.kill(first.pid, signal.SIGSTOP)
            eventually(lambda: written("second") > 5)
            os.kill(first.pid, signal.SIGCONT)
            seen = written("second")
            eventually(lambda: written("second") > seen + 50)
            begun = "SELECT min(begin_time) FROM journal WHERE who = 'second'"
            late = f"SELECT count(*) FROM journal WHERE who = 'first' AND begin_time > ({begun})"
            assert value_of(made.owner_url, late) <= 1, "at most what it was about to send when it was halted"
            before = written("first")
            second.kill()
            killed = time.monotonic()
            eventually(lambda: written("first") > before + 5)
            assert time.monotonic() - killed < LEASE * 6
        assert value_of(made.owner_url, OVERLAPS) <= 1

    def test_a_worker_of_serve_takes_over_from_one_that_was_killed(self, made: Made, tmp_path: Path) -> None:
        def holder() -> str:
            with psycopg.connect(made.owner_url) as connection:
                query = "SELECT instance FROM leases WHERE name = 'jobs' AND expire_time > clock()"
                row = connection.execute(query).fetchone()
            return row[0] if row else ""

        with served(tmp_path, made.service_url, workers=2, jobs_lease=LEASE) as server:
            eventually(lambda: holder() != "")
            first = holder()
            os.kill(int(first.rpartition("-")[2]), signal.SIGKILL)
            eventually(lambda: holder() not in ("", first))
            eventually(lambda: sorted(held(ask(server, "/metrics")[1])) == ["0.0", "1.0"])
        assert holder() == "", "it was let go"


def held(exposition: str) -> list[str]:
    """What each worker says of the lease."""
    return re.findall(r'^jobs_lease_held\{worker="\d"\} (.*)$', exposition, re.MULTILINE)


def contender(made: Made, who: str) -> PythonProcess:
    """A process that competes, from when it says so."""
    process = PythonProcess(CONTENDER, made.service_url, who, str(LEASE))
    assert process.line() == "competes"
    return process
