"""`banter seed` on a database: what is there afterwards, however often it ran and whatever broke into it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from banter_grpc.cli import main
from banter_grpc.cli.output import progress
from banter_grpc.database.errors import ConstraintError
from banter_grpc.seeding.people import Person, person
from banter_grpc.seeding.run import Outcome, has_strangers, seed
from banter_grpc.seeding.steps import STEPS, Step
from tests.conftest import NewDatabase
from tests.support.command import embedded_folder

SIGN_UP = (
    "INSERT INTO users (id, phone_number, country_code, full_name, timezone, create_time, update_time)"
    " VALUES (gen_random_uuid(), %s, '+91', 'Asha Rao', 'Asia/Kolkata', clock(), clock())"
)

POSTED = ("transactions.create_time", "entries.hash", "wallets.head_hash")
"""What tells when coins were given: that is the time of the run."""


@pytest.fixture
def url(new_database: NewDatabase) -> str:
    return new_database().owner_url


def fingerprint(url: str, *, apart_from: tuple[str, ...] = ()) -> dict[str, tuple[int, str]]:
    """Rows and their digest by table, of all that hold data of people; `apart_from` are columns as `table.column`."""
    found: dict[str, tuple[int, str]] = {}
    with psycopg.connect(url, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
            " AND NOT relispartition AND relname !~ '^(_?yoyo|migration_)'"
        ).fetchall()
        for (table,) in tables:
            row = connection.execute(
                sql.SQL(
                    "SELECT count(*), md5(string_agg(t.text, '\n' ORDER BY t.text))"
                    " FROM (SELECT (to_jsonb(t) - %s::text[])::text FROM {} AS t) AS t (text)"
                ).format(sql.Identifier(table)),
                [[name.partition(".")[2] for name in apart_from if name.startswith(f"{table}.")]],
            ).fetchone()
            assert row is not None
            if row[0]:
                found[table] = row
    return found


def ids(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {str(id_) for (id_,) in connection.execute("SELECT id FROM users")}


def added(outcome: Outcome) -> int:
    return sum(outcome.added.values())


def test_a_second_run_adds_nothing(url: str) -> None:
    first = seed(url, 500, 1)
    before = fingerprint(url)
    assert {table: rows for table, (rows, _) in before.items() if table in first.added} == first.added
    assert before["users"][0] == 501
    assert added(seed(url, 500, 1)) == 0
    assert fingerprint(url) == before


def test_two_databases_of_one_seed_are_equal_and_of_two_are_not(new_database: NewDatabase) -> None:
    one, same, other = (new_database().owner_url for _ in range(3))
    seed(one, 300, 1, batch=300)
    seed(same, 300, 1, batch=77)
    seed(other, 300, 2)
    assert fingerprint(one, apart_from=POSTED) == fingerprint(same, apart_from=POSTED)
    assert not ids(one) & ids(other)


def test_more_users_are_the_same_ones_and_others(url: str) -> None:
    seed(url, 100, 1)
    few = ids(url)
    assert seed(url, 300, 1).added["users"] == 200
    assert few < ids(url)
    assert added(seed(url, 100, 1)) == 0


def test_what_was_interrupted_is_finished_by_the_next_run(new_database: NewDatabase) -> None:
    whole, broken = new_database().owner_url, new_database().owner_url
    seed(whole, 300, 1)

    def interrupt(done: int) -> None:
        if done == 200:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seed(broken, 300, 1, batch=100, done=interrupt)
    assert len(ids(broken)) == 201
    seed(broken, 300, 1, batch=100)
    assert fingerprint(broken, apart_from=POSTED) == fingerprint(whole, apart_from=POSTED)


def test_a_batch_is_there_whole_or_not_at_all(url: str) -> None:
    """The second batch fails in its last table."""

    def rows(each: Person) -> Iterator[tuple[object, ...]]:
        if each.number >= 100:
            yield ("a purpose", None)

    faulty = Step("signing_keys", ("purpose", "secret"), rows, owners=())
    with pytest.raises(ConstraintError, match="signing_keys_secret_not_null"):
        seed(url, 200, 1, steps=(*STEPS, faulty), batch=100)
    assert ids(url) == {person(1, number).id for number in range(-1, 100)}


def test_nobody_who_is_there_is_changed(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SIGN_UP, ["+919000000003"])
        assert seed(url, 50, 1).left_out == 1
        changed = "UPDATE users SET bio = 'mine' WHERE phone_number IN ('+919000000003', '+919000000007') RETURNING id"
        assert connection.execute(changed).rowcount == 2
        before = fingerprint(url)
        assert seed(url, 50, 1) == Outcome(dict.fromkeys([*(step.table for step in STEPS), "transactions"], 0), 1)
        assert fingerprint(url) == before


def test_who_was_erased_stays_erased_and_gets_no_rows(url: str) -> None:
    """A step of a table that refers to people adds rows for those who live."""
    seed(url, 20, 1)
    erased = person(1, 5).id
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE things (user_id uuid PRIMARY KEY REFERENCES living_users ON DELETE CASCADE)")
        columns = "phone_number, country_code, full_name, email, username, avatar, bio, gender, birth_date,"
        nothing = sql.SQL(", ").join(
            sql.SQL("{} = NULL").format(sql.Identifier(name))
            for name in f"{columns} firebase_uid, timezone".replace(" ", "").split(",")
        )
        connection.execute(
            sql.SQL("UPDATE users SET {}, is_active = FALSE, delete_time = clock() WHERE id = %s").format(nothing),
            [erased],
        )
    things = Step("things", ("user_id",), lambda each: [(each.id,)])
    outcome = seed(url, 20, 1, steps=(*STEPS, things))
    assert (outcome.added["users"], outcome.added["things"], outcome.left_out) == (0, 20, 0)
    assert added(seed(url, 20, 1, steps=(*STEPS, things))) == 0


def run(capsys: pytest.CaptureFixture[str], *arguments: str, fails: bool = False) -> list[str]:
    """The lines that the command prints, or the one that it complains with."""
    assert main(["seed", *arguments]) == int(fails)
    out, err = capsys.readouterr()
    assert (out if fails else err) == ""
    return (err if fails else out).splitlines()


def test_the_command_tells_how_far_it_is_and_what_it_added(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--users", "2000", "--database-url", url)
    lines = run(capsys, *where)
    assert lines[0] == "2,000 of 2,000 users"
    assert "users: 2,001 added" in lines
    assert re.fullmatch(r"2,001 people of seed 1 are there, after \d+\.\d s", lines[-1])
    assert "users: 0 added" in run(capsys, *where)
    other = "\n".join(run(capsys, *where, "--seed", "2"))
    numbers = re.search(r"users: ([\d,]+) added\n(?:.+\n)+?([\d,]+) left out: .*\n([\d,]+) people of seed 2", other)
    assert numbers is not None
    new, left_out, there = (int(number.replace(",", "")) for number in numbers.groups())
    assert (new, left_out) == (there, 2001 - there)
    assert left_out > 1000, "phone numbers are those of the other seed"


def test_a_database_of_people_who_were_not_made_up_is_left_alone(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SIGN_UP, ["+919000000000"])  # as banter dev does
        seed(url, 10, 1)
        assert not has_strangers(url)
        connection.execute(SIGN_UP, ["+919876500001"])
    before = fingerprint(url)
    (line,) = run(capsys, "--database-url", url, fails=True)
    assert "--force" in line
    assert fingerprint(url) == before
    assert "users: 10 added" in run(capsys, "--users", "20", "--force", "--database-url", url)


def test_a_database_without_its_schema_is_refused_and_an_embedded_one_gets_it(
    new_database: NewDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = run(capsys, "--database-url", new_database(migrated=False).owner_url, fails=True)
    assert "banter migrate up" in line
    with embedded_folder() as folder:
        assert "users: 11 added" in run(capsys, "--users", "10", "--data-dir", str(folder))


def test_it_takes_no_less_than_the_people_who_are_always_there() -> None:
    assert main(["seed", "--users", "9"]) == 2


def test_progress_is_a_line_per_tenth_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("users", 1000) as done:
        for number in range(1, 1001):
            done(number)
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [f"{number:,} of 1,000 users" for number in range(100, 1001, 100)]
    assert shown.err == ""


def test_progress_is_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress("users", 1000) as done:
        done(1000)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "1000/1000" in shown.err
