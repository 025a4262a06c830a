"""The sessions of the docs: every command does what the page says that it does."""

from __future__ import annotations

import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from banter_grpc.database.embedded import EmbeddedError, EmbeddedPostgres
from tests.conftest import NewDatabase
from tests.support.contract import ROOT
from tests.support.sessions import Command, Session, commands_of, pattern


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short folder that every account can enter: a session runs in it, and its embedded PostgreSQL ends with it."""
    with tempfile.TemporaryDirectory(prefix="banter-docs-", ignore_cleanup_errors=True) as made:
        path = Path(made).resolve()
        path.chmod(0o755)
        yield path
        with suppress(EmbeddedError):
            EmbeddedPostgres(path / "pg").stop()


def free_port() -> str:
    """A port that nobody listens on, below those that are handed out for connections and `--port 0`."""
    for port in random.sample(range(20000, 32000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return str(port)
    raise AssertionError("no port is free")


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


@pytest.mark.parametrize("name", ["first-session-bff.md", "first-session-ci.md", "tour-money.md"])
def test_a_session_with_banter_dev_goes_as_its_page_says(name: str, folder: Path) -> None:
    port, data = free_port(), folder / "pg"
    replaced = {"50051": port, "~/.local/share/banter": str(data)}
    with Session(folder, replaced, data_dir=data, port=port) as session:
        session.run(page(name))


def test_the_operators_session_goes_as_its_page_says(folder: Path, new_database: NewDatabase) -> None:
    database = new_database(migrated=False)
    replaced = {
        "postgresql://banter_owner@db.internal/banter": database.owner_url,
        "postgresql://banter_service@db.internal/banter": database.service_url,
        "50051": free_port(),
        "9090": free_port(),
    }
    # The database of the tests does not flush.
    with Session(
        folder, replaced, data_dir=folder / "pg", database_test=True, read_lanes=2, write_lanes=2, connections=8
    ) as session:
        session.run(page("first-session-operator.md"))


def test_commands_are_read_with_their_lines_and_their_output() -> None:
    text = (
        "Text\n\n```console\n$ echo a \\\n    b\na b\n$ true\n```\n\n```console server\n$ sleep 5\n```\n"
        "```sh\n$ no\n```\n```python a.py\npass\n```\n"
    )
    assert list(commands_of(text)) == [
        Command(4, "", "echo a \\\n    b", "a b\n"),
        Command(7, "", "true", ""),
        Command(11, "server", "sleep 5", ""),
        Command(17, "file", "a.py", "pass\n"),
    ]


@pytest.mark.parametrize(
    ("page", "printed", "fits"),
    [
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("a\n...\nd\n", "a\nd\n", True),
        ("a\n...\nd\n", "a\nb\nc\n", False),
        ("took ... ms\n", "took 12 ms\n", True),
        ("took ... ms\n", "took 12\n34 ms\n", False),
        ("a.c\n", "abc\n", False),
        ("a\n", "a\nb\n", False),
        ("", "a\n", False),
    ],
)
def test_output_fits_a_page_or_does_not(page: str, printed: str, fits: bool) -> None:
    assert (pattern(page).fullmatch(printed) is not None) is fits


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ("$ echo one\ntwo\n", r"line 2: echo one\nstatus 0; it printed\none"),
        ("$ true\n$ false\n", "line 3: false"),
        ("$ exit 3\n", "ended the shell"),
    ],
)
def test_a_page_that_says_otherwise_is_named_with_its_line(block: str, complaint: str, folder: Path) -> None:
    with Session(folder, {}) as session, pytest.raises(AssertionError, match=complaint):
        session.run(f"```console\n{block}```\n")


def test_what_a_session_started_ends_with_it(folder: Path) -> None:
    from tests.support.processes import eventually, lives

    with Session(folder, {}) as session:
        session.run("```console server\n$ bash -c 'echo $$ > one; echo up; sleep 60'\nup\n```\n")
        session.run("```console\n$ sleep 60 &\n$ echo $! > two\n```\n")
        pids = [int((folder / "clone" / name).read_text()) for name in ("one", "two")]
        assert all(lives(pid) for pid in pids)
    eventually(lambda: not any(lives(pid) for pid in pids), 10)
