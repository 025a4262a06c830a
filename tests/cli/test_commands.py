from __future__ import annotations

import logging
import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from psycopg.conninfo import make_conninfo

from banter_grpc import resources
from banter_grpc.cli import main, signals, version
from banter_grpc.config import Settings
from banter_grpc.database import access
from banter_grpc.database.roles import RoleError
from tests.conftest import NewDatabase
from tests.support.command import (
    COMMAND,
    PHONE_HASH_KEY,
    banter,
    banter_here,
    complaint,
    complaint_of,
    environment,
    output_of,
)
from tests.support.processes import ROOT

COMMANDS = [
    "dev",
    "serve",
    "migrate up",
    "migrate down",
    "migrate status",
    "migrate new",
    "jobs list",
    "jobs run",
    "ledger verify",
    "ledger seal",
    "user role",
    "token",
    "contract export",
    "queries generate",
    "seed",
    "config",
    "psql",
    "version",
]
NOBODY = "01990a2b-5c1e-7d3f-8a4b-0123456789ab"
NOWHERE = "postgresql://banter:secret@127.0.0.1:1/banter"
ISSUERS = '[{"issuer": "https://tests.invalid", "audience": "banter", "subject": "service", "keys": "/none"}]'
HEAVY = {
    "asyncio",
    "google.protobuf.descriptor",
    "grpc",
    "jwt",
    "phonenumbers",
    "prometheus_client",
    "protovalidate",
    "psycopg",
    "pydantic_settings",
    "rich",
    "structlog",
    "uvloop",
    "yoyo",
}
OF_DATABASE = "asyncio psycopg pydantic_settings"
"""What every command with a database needs of these."""
OF_SERVER = "google.protobuf.descriptor grpc jwt phonenumbers prometheus_client protovalidate"


def help_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main([*words, "--help"]) == 0
    return capsys.readouterr().out


def run_process(*command: str, **settings: object) -> subprocess.CompletedProcess[str]:
    env = environment(**settings)
    return subprocess.run(command, check=False, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("command", ["", "migrate", "jobs", "ledger", "user", "contract", "queries", *COMMANDS])
def test_the_help_of_each_command_has_an_example_that_names_it(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = re.findall(
        r"^ \$ (?:\w+=\S+ )?(?:TOKEN=\$\()?banter (.*?) *$", help_of(capsys, *command.split()), re.MULTILINE
    )
    assert examples
    for example in examples:
        assert example.startswith(command)
        assert any(example.startswith(known) for known in COMMANDS)


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    listed = help_of(capsys)
    for command in COMMANDS:
        first, *_ = command.split()
        assert re.search(rf"^│ {first} ", listed, re.MULTILINE), first


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        ("version", ""),
        ("--help", "rich"),
        ("config", "asyncio pydantic_settings"),
        ("serve", "asyncio pydantic_settings"),
        ("token --service push --data-dir {folder}", "asyncio pydantic_settings jwt"),
        ("psql --database-url {owner} -- -c \\q", OF_DATABASE),
        ("ledger verify --database-url {service}", f"{OF_DATABASE} yoyo"),
        (f"user role {NOBODY} admin --database-url {{service}}", f"{OF_DATABASE} yoyo"),
        (f"seed --database-url {NOWHERE}", f"{OF_DATABASE} yoyo"),
        ("serve --port {taken} --database-url {service}", f"{OF_DATABASE} yoyo uvloop"),
        (f"dev --database-url {NOWHERE} --data-dir {{folder}}", f"{OF_DATABASE} yoyo {OF_SERVER}"),
    ],
)
def test_a_command_waits_for_no_heavy_import_that_it_does_not_need(
    command: str, needed: str, owner_url: str, service_url: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        arguments = command.format(owner=owner_url, service=service_url, folder=tmp_path / "new", taken=taken).split()
        code = f"import sys; from banter_grpc.cli import main; main({arguments!r}); print(*sys.modules)"
        settings = {"issuers": ISSUERS, "phone_hash_key": PHONE_HASH_KEY} if "{taken}" in command else {}
        done = run_process(sys.executable, "-c", code, workers=1, database_test=True, **settings)
    imported = done.stdout.splitlines()[-1].split()
    assert {"typer", "banter_grpc.cli"} <= set(imported)
    assert HEAVY.intersection(imported) == set(needed.split()), done.stderr


@pytest.mark.parametrize("program", [COMMAND, ["banter"]], ids=["python -m", "banter"])
def test_the_status_and_the_line_of_a_command_are_those_of_its_process(program: list[str]) -> None:
    assert "'fly'" in complaint(run_process(*program, "fly"), status=2)
    assert run_process(*program, "version").returncode == 0


def test_the_version_is_that_of_the_package() -> None:
    assert output_of("version").startswith("banter 0.1.0 (Python 3.")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dev", "--prt", "1"], "no such option: --prt"),
        (["dev", "--port", "65536"], "--port"),
        (["fly"], "no such command 'fly'"),
        (["user", "role", "17", "admin"], "'ID'"),
        (["user", "role", NOBODY, "king"], "'user', 'moderator', 'admin'"),
        (["token"], "one of --user, --phone and --service"),
        (["token", "--user", NOBODY, "--service", "push"], "one of --user, --phone and --service"),
        (["token", "--service", "push", "--ttl", "soon"], "30d"),
        (["token", "--phone", "none"], "+919876543210"),
        (["migrate", "down", "0"], "'[N]'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_that_makes_no_sense_is_told_so_in_one_line(arguments: list[str], words: str) -> None:
    line = complaint_of(*arguments, status=2)
    assert words in line
    assert line.endswith("--help)")


def test_a_command_that_is_run_here_leaves_no_trace_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def state() -> list[object]:
        return [dict(os.environ), Path.cwd(), logging.getLogger().handlers[:], signal.getsignal(signal.SIGINT)]

    def ends() -> str:
        signals.ignore()
        os.chdir("/")
        raise BrokenPipeError

    monkeypatch.setattr(version.platform, "python_version", ends)
    before = state()
    assert banter_here("version", port=1).returncode == 1
    assert state() == before


def test_the_command_alone_shows_its_help() -> None:
    done = banter_here()
    assert "Usage: banter" in done.stdout + done.stderr
    assert "banter: " not in done.stderr


@pytest.mark.parametrize(
    "command", [["dev"], ["migrate", "up"], ["migrate", "status"], ["user", "role", NOBODY, "user"]]
)
def test_a_database_that_is_not_there_is_said_in_one_line_without_the_password(command: list[str]) -> None:
    line = complaint_of(*command, "--database-url", NOWHERE)
    assert "check the URL" in line
    assert "secret" not in line


def test_a_process_says_no_more_of_it_than_that_line() -> None:
    line = complaint(banter("user", "role", NOBODY, "user", "--database-url", NOWHERE))
    assert "check the URL" in line
    assert "secret" not in line


def test_a_url_that_is_none_is_said_in_one_line() -> None:
    for command in (["dev"], ["psql"]):
        assert "postgresql://user:password@host/database" in complaint_of(*command, "--database-url", "localhost:5432")


def test_a_folder_that_cannot_be_used_is_said_in_one_line(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.touch()
    for command in (["dev"], ["migrate", "up"]):
        assert "--data-dir" in complaint_of(*command, "--data-dir", occupied / "below")
    assert str(occupied) in complaint_of("token", "--service", "push", "--data-dir", occupied / "below")
    assert str(occupied) in complaint_of("contract", "export", occupied)


def test_a_port_in_use_is_said_in_one_line(new_database: NewDatabase, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        database = ("--database-url", new_database().owner_url, "--data-dir", tmp_path)
        line = complaint(banter("dev", "--port", port, *database, log_level="error"))
        assert f"127.0.0.1:{port}" in line
        assert "--port" in line
        line = complaint(banter("dev", "--port", "0", *database, metrics_port=port, log_level="error"))
        assert "--metrics-port" in line


def test_a_setting_that_is_wrong_is_named_and_its_value_is_not_shown() -> None:
    line = complaint_of("config", port="many", connections=0, issuers='[{"issuer": "x"}]')
    for name in ("BANTER_PORT", "BANTER_CONNECTIONS: 0 connections are too few", "BANTER_ISSUERS[0][audience]"):
        assert name in line
    assert "many" not in line
    assert "BANTER_ISSUERS" in complaint_of("config", issuers="{")


def test_config_shows_every_setting_with_its_source_and_no_secret() -> None:
    rows = {
        line.split("\t")[0]: line.split("\t")[1:3]
        for line in output_of("config", database_url=NOWHERE, port=1).split("\n")
    }
    assert list(rows) == [f"BANTER_{name.upper()}" for name in Settings.model_fields]
    assert rows["BANTER_DATABASE_URL"] == ["(hidden)", "environment"]
    assert rows["BANTER_PORT"] == ["1", "environment"]
    assert rows["BANTER_HOST"] == ["127.0.0.1", "default"]


def test_migrations_go_forth_and_back_and_tell_where_they_are(new_database: NewDatabase) -> None:
    where = ("--database-url", new_database(migrated=False).owner_url)
    names = sorted(path.stem for path in resources.migrations().glob("*.sql") if "rollback" not in path.name)
    assert output_of("migrate", "up", *where).splitlines() == [f"applied {name}" for name in names]
    assert output_of("migrate", "up", *where) == "nothing to apply"
    assert output_of("migrate", "down", *where) == f"rolled back {names[-1]}"
    states = [line.split("\t")[:2] for line in output_of("migrate", "status", *where).splitlines()]
    assert states == [*([name, "applied"] for name in names[:-1]), [names[-1], "pending"]]
    assert names[-1] in complaint_of("user", "role", NOBODY, "admin", *where)
    assert output_of("migrate", "down", "99", *where).splitlines() == [f"rolled back {name}" for name in names[-2::-1]]


def test_a_role_is_given_to_a_user_and_to_nobody_else(new_database: NewDatabase) -> None:
    database = new_database()
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO users (id, phone_number, country_code, full_name, timezone, create_time, update_time)"
            f" VALUES ('{NOBODY}', '+919876500003', '+91', 'Asha', 'Asia/Kolkata', clock(), clock())"
        )
        where = ("--database-url", database.service_url)
        assert output_of("user", "role", NOBODY, "moderator", *where) == f"Asha ({NOBODY}) is now moderator"
        assert connection.execute("SELECT role FROM users").fetchone() == ("moderator",)
    unknown = NOBODY.replace("b", "c")
    assert unknown in complaint_of("user", "role", unknown, "admin", *where)
    assert "+919876500004" in complaint_of("token", "--phone", "+91 98765 00004", *where)


def test_a_token_is_all_that_is_printed_and_its_key_is_for_nobody_else(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    first = output_of("token", "--service", "push", "--data-dir", folder)
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", first)
    assert stat.S_IMODE((folder / "dev.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o711  # the embedded server's account must get through


def test_the_exported_contract_is_whole_and_replaces_the_last_one(tmp_path: Path) -> None:
    folder = tmp_path / "clients" / "banter"
    folder.mkdir(parents=True)
    (folder / "banter.binpb").write_bytes(b"old")
    said = output_of("contract", "export", folder)
    assert said.splitlines() == [f"wrote {folder / 'banter.binpb'}", f"wrote {folder / 'README.md'}"]
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "banter.binpb"]
    files = FileDescriptorSet.FromString((folder / "banter.binpb").read_bytes())
    named = {file.name for file in files.file}
    assert {"banter/v1/user.proto", "buf/validate/validate.proto"} <= named
    assert {wanted for file in files.file for wanted in file.dependency} <= named
    for line in re.findall(r"^    (protoc .*)$", (folder / "README.md").read_text(), re.MULTILINE):
        (folder / "out").mkdir()
        command = [sys.executable, "-m", "grpc_tools.protoc", *shlex.split(line)[1:]]
        subprocess.run(command, cwd=folder, check=True, timeout=60)
        assert (folder / "out" / "banter" / "v1" / "user_pb2.py").exists()


def test_the_query_modules_are_those_of_the_sql_files(owner_url: str) -> None:
    assert output_of("queries", "generate", "--check", "--database-url", owner_url) == "every module is up to date"


def test_query_modules_are_not_made_of_an_old_schema(new_database: NewDatabase) -> None:
    where = ("--database-url", new_database(migrated=False).owner_url)
    assert "banter migrate up" in complaint_of("queries", "generate", "--check", *where)


def test_psql_gets_its_arguments_and_gives_its_status(owner_url: str) -> None:
    assert output_of("psql", "--database-url", owner_url, "--", "-Atc", "SELECT current_user") == "banter"
    failed = banter("psql", "--database-url", owner_url, "--", "-v", "ON_ERROR_STOP=1", "-c", "SELECT 1/0", "-f", "/")
    assert failed.returncode == 1
    assert "division by zero" in failed.stderr


def test_a_password_goes_to_psql_through_its_environment_only() -> None:
    found = access.environment("postgresql://u%20ser:p%40ss@db.example:6432/app?sslmode=require")
    assert found == {
        "PGUSER": "u ser",
        "PGPASSWORD": "p@ss",
        "PGHOST": "db.example",
        "PGPORT": "6432",
        "PGDATABASE": "app",
        "PGSSLMODE": "require",
    }


def test_a_database_is_described_without_its_password() -> None:
    assert access.described("postgresql://u:secret@db.example:6432/app") == "app on db.example:6432"
    with pytest.raises(RoleError):
        access.described("nonsense")


def test_the_owners_url_serves_as_the_services(owner_url: str) -> None:
    url = access.as_service(make_conninfo(owner_url, options="-c search_path=public"))
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT current_user, current_setting('search_path')").fetchone()
    assert found == ("banter_service", "public")


def test_a_defect_is_one_line_and_a_traceback_for_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "platform", None)
    defect = "banter: a defect of banter, AttributeError: report it"
    assert complaint_of("version", log_level="info").startswith(defect)
    done = banter_here("version", log_level="debug")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback ")
    assert done.stderr.splitlines()[-1].startswith(defect)
