from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from banter_grpc.cli import main
from tests.support.clusters import Cluster, Database
from tests.support.command import COMMAND, banter, environment
from tests.support.ledger import CALLER, HOST, IDLE, MOVES, PURCHASE, USERS, rewrite_history
from tests.support.processes import ROOT

KEY = "a key that no database has ever seen"

Ledger = Callable[..., tuple[int, str, str]]


@pytest.fixture
def database(cluster: Cluster) -> Iterator[Database]:
    made = cluster.new_database()
    with psycopg.connect(made.owner_url, autocommit=True) as connection:
        connection.execute((USERS + MOVES).encode())
    yield made
    cluster.drop_database(made.name)


@pytest.fixture
def ledger(database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ledger:
    """Runs `banter ledger` in this process, with a key; its exit status, and what it says on both ways."""
    monkeypatch.setenv("BANTER_SEAL_KEY", KEY)

    def run(*words: str | Path) -> tuple[int, str, str]:
        status = main(["ledger", *map(str, words), "--database-url", database.service_url])
        return status, *capsys.readouterr()

    return run


def test_a_whole_ledger_is_said_to_be(ledger: Ledger) -> None:
    status, said, complaint = ledger("verify")
    assert (status, complaint) == (0, "")
    assert "wallets: 6 rows" in said.splitlines()
    assert re.fullmatch(r"the ledger is whole: \d+ rows", said.splitlines()[-1])
    assert "wallets: 2 rows" in ledger("verify", "--user", HOST)[1]


def test_what_was_changed_by_hand_is_named_and_shows_in_the_exit_status(database: Database) -> None:
    where = f"user_id = '{CALLER}' AND kind = 'coins'"
    as_superuser(database, f"UPDATE wallets SET available = 895 WHERE {where}")
    done = banter("ledger", "verify", "--database-url", database.service_url)
    assert (done.returncode, done.stderr) == (3, "")
    assert f"wallets where {where}: available + held is 895, and should be 890\n" in done.stdout
    assert re.search(r"^the ledger is not whole: 1 discrepancy in \d+ rows$", done.stdout, re.MULTILINE)


def test_a_terminal_shows_how_far_it_is(database: Database) -> None:
    terminal, end = os.openpty()
    process = subprocess.Popen(
        [*COMMAND, "ledger", "verify", "--database-url", database.service_url],
        env={**environment(), "TERM": "xterm"},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=end,
    )
    os.close(end)
    shown = b""
    with suppress(OSError):  # how a terminal ends
        while part := os.read(terminal, 1000):
            shown += part
    os.close(terminal)
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, b"the ledger is whole: 31 rows\n")
    assert re.search(r"payments .* 1/", re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()))


def test_who_writes_history_anew_passes_verify_but_not_the_seal(
    database: Database, ledger: Ledger, tmp_path: Path
) -> None:
    sealed = tmp_path / "today.seal"
    assert ledger("seal", sealed) == (0, f"wallets: 2 rows\nwrote {sealed}: 2 wallets\n", "")
    with psycopg.connect(database.owner_url, autocommit=True) as connection:  # life goes on
        connection.execute(
            f"SELECT post(gen_random_uuid(), 'adjustment', '{CALLER}', NULL, '{CALLER}', ARRAY["
            f"('{CALLER}', 'coins', 7, 0)::leg, ('{CALLER}', 'promotions', -7, 0)::leg])".encode()
        )
    status, said, _ = ledger("verify", "--seal", sealed)
    assert status == 0
    assert re.fullmatch(r"compared with the seal of \d{4}-\S+Z: 2 wallets", said.splitlines()[-2])
    rewrite_history(database.owner_url, CALLER, PURCHASE, 500)
    assert ledger("verify")[0] == 0
    status, said, _ = ledger("verify", "--seal", sealed)
    assert status == 3
    key = f"user_id = '{CALLER}' AND account = 'coins' AND version = '3'"
    assert re.search(r"^the ledger is not whole: \d+ discrepancies in \d+ rows$", said, re.MULTILINE)
    assert re.search(f"^entries where {key}: hash is [0-9a-f]{{64}}, and should be", said, re.MULTILINE)
    assert ledger("verify", "--seal", sealed, "--user", IDLE)[0] == 0


def test_a_sealed_history_that_is_gone_is_found(database: Database, ledger: Ledger, tmp_path: Path) -> None:
    sealed = tmp_path / "today.seal"
    ledger("seal", sealed)
    as_superuser(
        database,
        "DELETE FROM entries; DELETE FROM transactions; DELETE FROM earnings; DELETE FROM payments;"
        " UPDATE wallets SET available = 0, version = 0, head_hash = ''",
    )
    assert ledger("verify")[0] == 0
    status, said, _ = ledger("verify", "--seal", sealed)
    assert (status, said.count("hash is nothing, and should be")) == (3, 2)


def test_a_seal_is_trusted_only_as_it_was_signed(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = tmp_path / "today.seal"
    ledger("seal", sealed)
    status, _, complaint = ledger("seal", sealed)
    assert (status, "never overwritten" in complaint) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["today.seal"]
    text = sealed.read_bytes()
    lines = text.splitlines(keepends=True)
    assert lines[-1].startswith(b"hmac-sha256 ")
    forged = {
        "changed": text.replace(b" coins 3 ", b" coins 2 "),
        "shorter": b"".join(line for line in lines if b" earnings " not in line),
        "cut": text[:-2],
        "unsigned": b"".join(lines[:-1]),
        "longer": text + text,
    }
    for name, content in forged.items():
        assert content != text
        (tmp_path / name).write_bytes(content)
        status, said, complaint = ledger("verify", "--seal", tmp_path / name)
        assert (status, said, "trust another seal" in complaint) == (1, "", True)
    monkeypatch.setenv("BANTER_SEAL_KEY", KEY[::-1])
    assert "signed with another key" in ledger("verify", "--seal", sealed)[2]


def test_what_can_not_be_done_is_said_in_one_line(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "none").write_text("hello")
    assert "is no seal" in ledger("verify", "--seal", tmp_path / "none")[2]
    assert "missing: no such file" in ledger("verify", "--seal", tmp_path / "missing")[2]
    assert "no such file" in ledger("seal", tmp_path / "missing" / "new")[2]
    unknown = CALLER.replace("a1", "ff")
    assert f"there is no user {unknown}" in ledger("verify", "--user", unknown)[2]
    monkeypatch.delenv("BANTER_SEAL_KEY")
    assert ledger("seal", tmp_path / "new")[2].startswith("banter: seals need BANTER_SEAL_KEY: set it")


def as_superuser(database: Database, statements: str) -> None:
    """With every trigger and foreign key switched off."""
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(statements.encode())
