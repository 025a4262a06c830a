"""Migrations: each applied exactly once and whole, whoever starts and whatever dies meanwhile."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from banter_grpc import resources
from banter_grpc.database.embedded import EmbeddedPostgres
from banter_grpc.database.migrations import MigrationError, Migrations, MigrationState
from tests.conftest import NewDatabase
from tests.support.clusters import Cluster, Database
from tests.support.processes import PythonProcess, eventually

UP = """
import sys
from pathlib import Path
from banter_grpc.database.migrations import Migrations
print("ready", flush=True)
input()
print(*Migrations(Path(sys.argv[2])).up(sys.argv[1]), flush=True)
"""

Write = Callable[..., None]


@pytest.fixture
def url(new_database: NewDatabase) -> str:
    """An empty database."""
    return new_database(migrated=False).owner_url


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a migration into `tmp_path`, with its rollback."""

    def make(name: str, forth: str, back: str | None = None, *, header: str = "") -> None:
        (tmp_path / f"{name}.sql").write_text(f"-- Something.\n{header}\n{forth}\n")
        if back is not None:
            (tmp_path / f"{name}.rollback.sql").write_text(f"{back}\n")

    return make


@pytest.fixture
def three(tmp_path: Path, write: Write) -> Path:
    """A folder of three migrations, the last of which needs to be outside a transaction."""
    write("0001_one", "CREATE TABLE one (id int);\nINSERT INTO one VALUES (1);", "DROP TABLE one;")
    write(
        "0002_two",
        "CREATE FUNCTION two() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n    RETURN 2; -- ';'\nEND;\n$$;",
        "DROP FUNCTION two();",
        header="-- depends: 0001_one",
    )
    write(
        "0003_three",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS one_id_idx ON one (id);",
        "DROP INDEX CONCURRENTLY IF EXISTS one_id_idx;",
        header="-- depends: 0002_two\n-- transactional: false",
    )
    return tmp_path


NAMES = ["0001_one", "0002_two", "0003_three"]


def query(url: str, text: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(text.encode())
        return cursor.fetchall() if cursor.description else []


def refusal(act: Callable[[], object]) -> str:
    """The one line of the error."""
    with pytest.raises(MigrationError) as caught:
        act()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def states(folder: Path, url: str) -> dict[str, MigrationState]:
    return {status.name: status.state for status in Migrations(folder).status(url)}


def catalogue(server: EmbeddedPostgres, url: str) -> str:
    """Everything that pg_dump says of a schema, but for what it makes up itself."""
    command = [server.bin / "pg_dump", "--schema-only", "--exclude-table=*yoyo*", "--exclude-table=*checksums*", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return re.sub(r"^\\(un)?restrict .*$", "", done.stdout, flags=re.MULTILINE)


class TestUpAndDown:
    def test_what_is_pending_is_applied_in_order_and_once(self, url: str, three: Path) -> None:
        migrations = Migrations(three)
        assert migrations.pending(url) == NAMES
        assert migrations.up(url) == NAMES
        assert migrations.up(url) == []
        assert migrations.pending(url) == []
        assert query(url, "SELECT id, two() FROM one") == [(1, 2)]
        assert set(states(three, url).values()) == {MigrationState.APPLIED}
        assert all(status.apply_time for status in migrations.status(url))

    def test_down_takes_back_the_newest(self, url: str, three: Path) -> None:
        migrations = Migrations(three)
        migrations.up(url)
        assert migrations.down(url) == ["0003_three"]
        assert migrations.down(url, 2) == ["0002_two", "0001_one"]
        assert migrations.down(url) == []
        assert query(url, "SELECT to_regclass('one')::text") == [(None,)]
        assert migrations.up(url) == NAMES

    def test_down_without_a_rollback_is_refused_and_takes_nothing_back(
        self, url: str, tmp_path: Path, write: Write
    ) -> None:
        write("0001_one", "CREATE TABLE one ();")
        write("0002_two", "CREATE TABLE two ();", "DROP TABLE two;")
        Migrations(tmp_path).up(url)
        assert "0001_one.rollback.sql has no SQL" in refusal(lambda: Migrations(tmp_path).down(url, 2))
        assert query(url, "SELECT to_regclass('two')::text") == [("two",)]

    def test_the_service_may_ask_what_is_pending(self, new_database: NewDatabase) -> None:
        database = new_database()
        assert Migrations().pending(database.service_url) == []
        assert Migrations().pending(new_database(migrated=False).service_url) == [
            status.name for status in Migrations().status(database.owner_url)
        ]


class TestChanges:
    def test_an_edited_migration_is_refused_by_name(self, url: str, three: Path) -> None:
        Migrations(three).up(url)
        (three / "0001_one.sql").write_text("CREATE TABLE another ();")
        assert states(three, url)["0001_one"] is MigrationState.EDITED
        for act in (Migrations(three).up, Migrations(three).down):
            message = refusal(lambda act=act: act(url))
            assert "0001_one was edited" in message
            assert "0002" not in message

    def test_a_missing_migration_is_refused_by_name(self, url: str, three: Path, write: Write) -> None:
        Migrations(three).up(url)
        (three / "0003_three.sql").unlink()
        assert states(three, url)["0003_three"] is MigrationState.MISSING
        write("0004_four", "CREATE TABLE four ();")
        for act in (Migrations(three).up, Migrations(three).down):
            assert "0003_three was applied, but its file is missing" in refusal(lambda act=act: act(url))
        assert query(url, "SELECT to_regclass('four')::text") == [(None,)]

    def test_other_line_endings_are_no_edit(self, url: str, three: Path) -> None:
        Migrations(three).up(url)
        path = three / "0001_one.sql"
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        assert Migrations(three).up(url) == []


class TestFailures:
    def test_a_failing_migration_leaves_nothing_and_tells_its_line(
        self, url: str, tmp_path: Path, write: Write
    ) -> None:
        write("0001_one", "CREATE TABLE one ();")
        write("0002_two", "CREATE TABLE two ();\nINSERT INTO nowhere VALUES (1);", header="-- depends: 0001_one")
        message = refusal(lambda: Migrations(tmp_path).up(url))
        assert message == '0002_two failed in line 4: relation "nowhere" does not exist'
        assert query(url, "SELECT to_regclass('one')::text, to_regclass('two')::text") == [("one", None)]
        assert Migrations(tmp_path).pending(url) == ["0002_two"]
        write("0002_two", "CREATE TABLE two ();", header="-- depends: 0001_one")
        assert Migrations(tmp_path).up(url) == ["0002_two"]

    def test_a_mark_that_fails_takes_the_migration_back(self, url: str, three: Path) -> None:
        Migrations(three).up(url)
        Migrations(three).down(url, 3)
        query(url, "ALTER TABLE migration_checksums ADD CONSTRAINT none CHECK (id <> '0002_two')")
        assert "0002_two failed" in refusal(lambda: Migrations(three).up(url))
        assert query(url, "SELECT to_regclass('one')::text, to_regproc('two')::text") == [("one", None)]
        query(url, "ALTER TABLE migration_checksums DROP CONSTRAINT none")
        assert Migrations(three).up(url) == NAMES[1:]

    def test_a_file_that_ends_its_transaction_is_refused(self, url: str, tmp_path: Path, write: Write) -> None:
        write("0001_one", "CREATE TABLE one ();\nCOMMIT;")
        assert "take its COMMIT out" in refusal(lambda: Migrations(tmp_path).up(url))

    def test_a_file_without_sql_is_refused(self, url: str, tmp_path: Path, write: Write) -> None:
        write("0001_one", "-- to be written")
        assert "0001_one has no SQL yet" in refusal(lambda: Migrations(tmp_path).up(url))

    def test_a_file_that_cannot_be_read_is_refused(self, url: str, tmp_path: Path, write: Write) -> None:
        for header in ("-- depends: 0000_nothing", "-- depends: 0001_one", "-- transactional: perhaps"):
            write("0001_one", "CREATE TABLE one ();", header=header)
            assert "can't be read" in refusal(lambda: Migrations(tmp_path).up(url))
        (tmp_path / "0001_one.sql").unlink()
        assert "there are no migrations" in refusal(lambda: Migrations(tmp_path).up(url))
        write("one", "CREATE TABLE one ();")
        assert "0001_name.sql" in refusal(lambda: Migrations(tmp_path).up(url))

    def test_a_migration_does_not_stand_in_the_way_for_long(self, url: str, three: Path, write: Write) -> None:
        Migrations(three).up(url)
        write("0004_four", "ALTER TABLE one ADD COLUMN more int;", header="-- depends: 0003_three")
        with psycopg.connect(url) as holder:
            holder.execute("LOCK TABLE one IN ACCESS SHARE MODE")
            message = refusal(lambda: Migrations(three, lock_timeout=0.2).up(url))
        assert message.startswith("0004_four waited 0.2 s for a lock")
        assert Migrations(three).up(url) == ["0004_four"]

    def test_a_database_that_cannot_be_had_is_one_line(self, three: Path) -> None:
        for wrong in (
            "postgresql://nobody@127.0.0.1:1/x",
            "mysql://here",
            "postgresql://x@/y?host=/nowhere",
            "nonsense",
        ):
            message = refusal(lambda wrong=wrong: Migrations(three).up(wrong))
            assert "check the URL" in message or "postgresql://user:password@host/database" in message

    def test_a_password_is_not_told(self, three: Path) -> None:
        assert "secret" not in refusal(lambda: Migrations(three).up("postgresql://me:secret@127.0.0.1:1/x"))


class TestAtOnce:
    def test_four_at_once_on_an_empty_database_apply_each_once(self, url: str, three: Path) -> None:
        with ExitStack() as stack:
            processes = [stack.enter_context(PythonProcess(UP, url, three)) for _ in range(4)]
            assert [process.line() for process in processes] == ["ready"] * 4
            for process in processes:
                process.go()
            applied = [name for process in processes for name in process.finish().split()]
        assert sorted(applied) == NAMES
        assert query(url, "SELECT id FROM one") == [(1,)]
        assert query(url, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'one_id_idx'::regclass") == [(True,)]

    def test_who_waits_too_long_is_told_why(self, url: str, three: Path) -> None:
        with Migrations(three)._alone(url):
            began = time.monotonic()
            assert "another process" in refusal(lambda: Migrations(three, patience=0.2).up(url))
            assert time.monotonic() - began < 5


class TestKilled:
    def test_killed_in_the_middle_of_a_file_it_is_applied_whole_by_the_next(
        self, url: str, three: Path, write: Write
    ) -> None:
        Migrations(three).up(url)
        write(
            "0004_four",
            "CREATE TABLE four ();\nSELECT pg_sleep(100) FROM one;\nCREATE TABLE five ();",
            header="-- depends: 0003_three",
        )
        with PythonProcess(UP, url, three) as process:
            process.go()
            sleeping = (
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
            )
            eventually(lambda: query(url, sleeping) == [(1,)])
            process.kill()
        query(url, "DELETE FROM one")  # so that it sleeps no more
        assert Migrations(three, patience=30).up(url) == ["0004_four"]
        assert query(url, "SELECT to_regclass('four')::text, to_regclass('five')::text") == [("four", "five")]
        assert query(url, "SELECT count(*) FROM _yoyo_migration") == [(4,)]

    def test_killed_while_it_builds_an_index_it_is_built_by_the_next(self, url: str, three: Path) -> None:
        Migrations(three).up(url)
        Migrations(three).down(url)
        with psycopg.connect(url) as holder:
            holder.execute("INSERT INTO one VALUES (2)")  # for whose end the index has to wait
            with PythonProcess(UP, url, three) as process:
                process.go()
                valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('one_id_idx')"
                eventually(lambda: query(url, valid) == [(False,)])
                process.kill()
            alone = (
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%CONCURRENTLY IF%' AND pid <> pg_backend_pid()"
            )
            eventually(lambda: query(url, alone) == [(0,)])
        assert query(url, valid) == [(False,)]
        assert Migrations(three).up(url) == ["0003_three"]
        assert query(url, valid) == [(True,)]

    def test_a_lock_row_of_a_killed_process_is_broken(self, url: str, three: Path) -> None:
        Migrations(three).up(url)
        Migrations(three).down(url)
        query(url, "INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 1)")
        began = time.monotonic()
        assert Migrations(three).up(url) == ["0003_three"]
        assert time.monotonic() - began < 5
        assert query(url, "SELECT count(*) FROM yoyo_lock") == [(0,)]


class TestCreate:
    def test_a_new_migration_comes_after_the_newest(self, url: str, three: Path) -> None:
        path = Migrations(three).create("Add rooms & seats")
        assert path == three / "0004_add_rooms_seats.sql"
        assert path.read_text() == "-- Add rooms & seats.\n-- depends: 0003_three\n\n"
        path.write_text(path.read_text() + "CREATE TABLE rooms ();\n")
        (three / "0004_add_rooms_seats.rollback.sql").write_text("DROP TABLE rooms;\n")
        assert Migrations(three).up(url)[-1:] == ["0004_add_rooms_seats"]
        assert Migrations(three).down(url) == ["0004_add_rooms_seats"]

    def test_the_first_one_depends_on_nothing(self, tmp_path: Path) -> None:
        path = Migrations(tmp_path).create("begin")
        assert (path.name, path.read_text()) == ("0001_begin.sql", "-- Begin.\n-- depends:\n\n")

    def test_what_is_no_name_is_refused(self, tmp_path: Path) -> None:
        assert "add_rooms" in refusal(lambda: Migrations(tmp_path).create("!?"))


class TestOurs:
    """Banter's own migrations."""

    def test_each_depends_on_the_one_before_and_can_be_taken_back(self) -> None:
        files = sorted(resources.migrations().glob("[0-9]*.sql"))
        forward = [path for path in files if not path.name.endswith(".rollback.sql")]
        assert [int(path.name[:4]) for path in forward] == list(range(1, len(forward) + 1))
        for before, path in zip(["", *(path.stem for path in forward)], forward, strict=False):
            assert f"\n-- depends: {before}".rstrip() + "\n" in path.read_text()
            assert path.with_suffix(".rollback.sql").read_text().strip()

    def test_up_down_up_gives_the_same_catalogue(self, cluster: Cluster, url: str) -> None:
        """What a rollback forgets is there at the end, or in the way of its own migration."""
        migrations = Migrations()
        names = migrations.up(url)
        whole = catalogue(cluster.server, url)
        assert "CREATE TABLE public.users" in whole
        for count in (1, len(names)):
            assert migrations.down(url, count) == names[::-1][:count]
            bare = catalogue(cluster.server, url)
            assert migrations.up(url) == names[-count:]
            assert catalogue(cluster.server, url) == whole
        assert [migrations.down(url) for _ in names] == [[name] for name in names[::-1]]
        assert catalogue(cluster.server, url) == bare
        assert "CREATE" not in bare

    @pytest.fixture
    def owned(self, cluster: Cluster, new_database: NewDatabase) -> Iterator[Database]:
        """An empty database of `plain`, who may do nothing else."""
        made = new_database(migrated=False)
        query(made.owner_url, "CREATE ROLE plain")
        query(made.owner_url, "GRANT banter_service TO plain")
        query(made.owner_url, f"ALTER DATABASE {made.name} OWNER TO plain")
        yield made
        cluster.drop_database(made.name)
        query(cluster.server.url(), "DROP ROLE plain")

    def test_an_owner_of_no_more_than_the_database_migrates_up_and_down(self, owned: Database) -> None:
        url = owned.owner_url + "&options=-c%20role%3Dplain"
        names = Migrations().up(url)
        assert query(owned.service_url, "SELECT count(*) FROM users") == [(0,)]
        assert query(url, "SELECT tableowner::text FROM pg_tables WHERE tablename = 'users'") == [("plain",)]
        assert Migrations().down(url, len(names)) == names[::-1]
        assert Migrations().up(url) == names
