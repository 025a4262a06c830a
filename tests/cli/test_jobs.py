"""`banter jobs`: what there is, and one of them by hand."""

from __future__ import annotations

import re

import pytest

from banter_grpc.cli import main
from banter_grpc.jobs import registry
from banter_grpc.jobs.job import Job
from tests.conftest import NewDatabase
from tests.support.clusters import Database as Made
from tests.support.command import output_of
from tests.support.journal import create_tables, refuse, value_of, work_off

FILL = "WITH made AS (INSERT INTO todo SELECT generate_series(1, 25) RETURNING 1) SELECT count(*) FROM made"


JOBS = (
    Job.of_step("work_off", 3600, "works items off", work_off, batch=10),
    Job.of_step("refuse", 90, "is refused by the database", lambda _: refuse()),
)


@pytest.fixture
def made(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> Made:
    """A database with 25 items to do, and jobs for them."""
    database = new_database()
    create_tables(database.owner_url)
    assert value_of(database.owner_url, FILL) == 25
    monkeypatch.setattr(registry, "JOBS", JOBS)
    return database


def test_the_list_has_each_job_of_the_service_and_their_names_are_their_own() -> None:
    rows = [line.split("\t") for line in output_of("jobs", "list").splitlines()]
    assert [row[0] for row in rows] == [job.name for job in registry.JOBS]
    assert len({row[0] for row in rows}) == len(rows)
    for job in registry.JOBS:
        assert job.every > 0 and job.batch > 0 and job.limit > 0
        assert re.fullmatch(r"[a-z0-9_]+", job.name)
        assert job.about and "\n" not in job.about


@pytest.mark.usefixtures("made")
def test_the_list_says_how_often_and_what(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "work_off\t1 h\tworks items off",
        "refuse\t90 s\tis refused by the database",
    ]


def test_one_by_hand_runs_to_the_end_beside_a_server_that_holds_the_lease(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    hold = "INSERT INTO leases SELECT 'jobs', gen_random_uuid(), 'other', clock(), clock() + interval '1 h' RETURNING 1"
    assert value_of(made.owner_url, hold) == 1
    for line in ("work_off: 25 done", "work_off: 0 done"):
        assert main(["jobs", "run", "work_off", "--database-url", made.service_url]) == 0
        printed = capsys.readouterr()
        assert (printed.out.strip(), printed.err) == (line, "")
    assert value_of(made.owner_url, "SELECT count(*) FROM todo") == 0


def test_one_that_fails_says_so_in_one_line(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "run", "refuse", "--database-url", made.service_url]) == 1
    assert capsys.readouterr().err == "banter: a value was refused (22012)\n"


@pytest.mark.usefixtures("made")
def test_an_unknown_one_is_told_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "run", "fly"]) == 1
    assert capsys.readouterr().err == "banter: there is no job fly: choose one of work_off, refuse\n"


@pytest.mark.usefixtures("made")
def test_an_old_schema_is_refused(new_database: NewDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    empty = new_database(migrated=False)
    assert main(["jobs", "run", "work_off", "--database-url", empty.owner_url]) == 1
    assert "banter migrate up" in capsys.readouterr().err
