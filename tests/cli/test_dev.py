from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from banter_grpc import loop
from banter_grpc.cli.people import find_or_make
from banter_grpc.database.embedded import EmbeddedPostgres
from tests.conftest import NewDatabase
from tests.support.command import COMMAND, Serving, embedded_folder, environment, output_of
from tests.support.processes import ROOT, eventually, lives


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """The data folder of a development server that runs."""
    with embedded_folder() as made:
        yield made


@pytest.fixture(scope="module")
def dev(folder: Path) -> Iterator[Serving]:
    """A development server. That Ctrl-C ends it, as it ends all others, is seen when its tests are over."""
    with Serving("dev", "--data-dir", folder) as running:
        yield running
        stop(running, folder, signal.SIGINT)


def stop(running: Serving, folder: Path, number: signal.Signals) -> None:
    """End it by a signal, as often as uv and a process group send them, and slower: all of it has to end, and well."""
    server = postmaster(folder)
    for _ in range(20):
        running.interrupt(number)
        time.sleep(0.02)
    assert running.wait() == 0
    assert "Traceback" not in running.log
    assert not lives(server)


def paste(line: str) -> subprocess.CompletedProcess[str]:
    """Run a printed line in a shell; buf is there without `uv run`."""
    return subprocess.run(
        ["/bin/sh", "-c", line.removeprefix("uv run ")],
        check=False,
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )


def answer(line: str) -> dict[str, object]:
    done = paste(line)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def postmaster(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split()[0])


def users(folder: Path) -> list[tuple[str, str]]:
    """Phone number and role of everybody."""
    with psycopg.connect(EmbeddedPostgres(folder).url()) as connection:
        return connection.execute("SELECT phone_number, role FROM users ORDER BY phone_number").fetchall()


def test_it_is_ready_within_90_seconds_on_an_empty_folder(dev: Serving) -> None:
    assert dev.seconds_to_ready < 90


def test_the_printed_buf_lines_work_when_pasted(dev: Serving) -> None:
    as_admin, as_user = dev.lines("uv run buf curl ")
    assert "user" in answer(as_admin)
    assert answer(as_user)["user"]["fullName"] == "Test User 0"  # type: ignore[index] - JSON


def test_the_grpcurl_lines_make_the_same_calls(dev: Serving) -> None:
    for buf, grpcurl in zip(dev.lines("uv run buf curl "), dev.lines("grpcurl "), strict=True):
        program, plaintext, *given, address, method = shlex.split(grpcurl)
        assert (program, plaintext) == ("grpcurl", "-plaintext")
        *_, header, token, data, body, url = shlex.split(buf)
        assert [header, token, data, body] == given
        assert url == f"http://{address}/{method}"
        if shutil.which("grpcurl"):
            assert "user" in answer(grpcurl)


def test_it_prints_where_it_serves_and_whom_it_made(dev: Serving, folder: Path) -> None:
    assert f"address   127.0.0.1:{dev.port}" in dev.printed
    assert re.search(rf"database  PostgreSQL \d+\S* in {re.escape(str(folder))}\n", dev.printed)
    assert re.search(r"admin     Admin User, \+919876543210, user_id [0-9a-f-]{36}\n", dev.printed)
    assert re.search(r"user      Test User 0, \+919000000000, user_id [0-9a-f-]{36}\n", dev.printed)
    assert {("+919000000000", "user"), ("+919876543210", "admin")} <= set(users(folder))


def test_a_token_and_a_role_given_while_it_runs_count(dev: Serving, folder: Path) -> None:
    (line,) = [line for line in dev.lines("uv run buf curl ") if "FindOrCreateUser" in line]
    line = line.replace("98765 00001", "98765 00002")
    user_id = re.search(r'"userId": "(.+)"', paste(line).stdout)
    assert user_id
    token = output_of("token", "--phone", "+919876500002", "--data-dir", folder, "--ttl", "60s")
    as_user = re.sub(r"Bearer [^\"]+", f"Bearer {token}", line)
    assert "this method is for admin, service" in paste(as_user).stderr
    assert output_of("user", "role", user_id[1], "admin", "--data-dir", folder).endswith("is now admin")
    eventually(lambda: paste(as_user).returncode == 0)


def test_a_postmaster_that_dies_is_started_again(dev: Serving, folder: Path) -> None:
    (line,) = [line for line in dev.lines("uv run buf curl ") if "GetUser" in line]
    dead = postmaster(folder)
    os.kill(dead, signal.SIGKILL)
    eventually(lambda: paste(line).returncode == 0 and postmaster(folder) != dead)
    eventually(lambda: "PostgreSQL was started again" in dev.log)


def test_ctrl_c_before_it_is_ready_leaves_nothing_behind(folder_of_its_own: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "dev", "--data-dir", str(folder_of_its_own), "--port", "0"],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    eventually(folder_of_its_own.exists, 60)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint) == (130, "")
    assert not (folder_of_its_own / "data" / "postmaster.pid").exists()


def test_whatever_ended_it_the_next_start_is_quick_and_has_the_data(folder_of_its_own: Path) -> None:
    with Serving("dev", "--data-dir", folder_of_its_own) as first:
        as_admin, as_user = first.lines("uv run buf curl ")
        answer(as_admin)
        known = users(folder_of_its_own)
        first.kill()
        os.kill(postmaster(folder_of_its_own), signal.SIGKILL)
    ends: list[Callable[[Serving], None]] = [
        lambda running: running.kill(),
        lambda running: stop(running, folder_of_its_own, signal.SIGTERM),
        lambda running: stop(running, folder_of_its_own, signal.SIGHUP),
    ]
    seconds: list[float] = []
    for end in ends:
        with Serving("dev", "--data-dir", folder_of_its_own) as running:
            seconds.append(running.seconds_to_ready)
            assert users(folder_of_its_own) == known
            assert answer(as_user.replace(f":{first.port}/", f":{running.port}/"))
            end(running)
    after_kills = seconds[:2]
    assert min(after_kills) < 5 * max(
        1, os.getloadavg()[0] / (os.cpu_count() or 1)
    )  # the machine does other things too


def test_another_database_is_migrated_and_served_as_the_service_role(new_database: NewDatabase, tmp_path: Path) -> None:
    owner = new_database(migrated=False).owner_url
    with (
        Serving("dev", "--database-url", owner, "--data-dir", tmp_path) as running,
        psycopg.connect(owner, autocommit=True) as connection,
    ):
        _, as_user = running.lines("uv run buf curl ")
        assert answer(as_user)
        connection.execute("REVOKE SELECT ON profiles FROM banter_service")
        assert paste(as_user).returncode != 0


def test_a_database_with_users_is_given_no_others(new_database: NewDatabase, tmp_path: Path) -> None:
    owner = new_database().owner_url
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO users (id, phone_number, country_code, full_name, timezone, create_time, update_time)"
            " VALUES (gen_random_uuid(), '+919876500003', '+91', 'A', 'Asia/Kolkata', clock(), clock())"
        )
        with Serving("dev", "--database-url", owner, "--data-dir", tmp_path) as running:
            assert "banter token --phone" in running.printed
            assert running.lines("uv run buf curl ") == []
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (1,)


def test_a_signal_is_ours_until_somebody_else_takes_it() -> None:
    """The loop's end gives it back to nobody: by default the next one would kill a process that stops PostgreSQL."""

    async def work() -> None:
        came = asyncio.Event()
        loop.on_signal(signal.SIGUSR1, came.set)
        os.kill(os.getpid(), signal.SIGUSR1)
        async with asyncio.timeout(5):
            await came.wait()

    before = signal.getsignal(signal.SIGUSR1)
    try:
        loop.run(work())
        assert signal.getsignal(signal.SIGUSR1) not in (before, signal.SIG_DFL)
    finally:
        signal.signal(signal.SIGUSR1, before)


async def test_many_who_begin_at_once_make_each_person_once(new_database: NewDatabase) -> None:
    url = new_database().service_url
    answers = await asyncio.gather(*(find_or_make(url) for _ in range(8)))
    assert [profile.role for profile in answers[0]] == ["admin", "user"]
    assert all(each == answers[0] for each in answers)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (2,)


@pytest.fixture
def folder_of_its_own() -> Iterator[Path]:
    with embedded_folder() as made:
        yield made
