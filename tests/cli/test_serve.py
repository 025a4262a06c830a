from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import psycopg
import pytest

from tests.conftest import NewDatabase
from tests.rpc.signing import jwks, signer
from tests.support.command import PHONE_HASH_KEY, Serving, complaint_of, environment


@pytest.fixture
def issuers(tmp_path: Path) -> str:
    keys = tmp_path / "jwks.json"
    keys.write_bytes(jwks(signer()))
    issuer = {"issuer": "https://tests.invalid", "audience": "banter", "subject": "service", "keys": str(keys)}
    return json.dumps([issuer])


def services(port: int) -> subprocess.CompletedProcess[str]:
    """Ask a server what it serves."""
    return subprocess.run(
        ["buf", "curl", "--protocol", "grpc", "--http2-prior-knowledge", "--list-services", f"http://127.0.0.1:{port}"],
        check=False,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_it_names_what_is_not_set(issuers: str, new_database: NewDatabase) -> None:
    url = new_database().service_url
    assert "BANTER_DATABASE_URL" in complaint_of("serve", issuers=issuers)
    assert "BANTER_PHONE_HASH_KEY" in complaint_of("serve", database_url=url, issuers=issuers)
    assert "BANTER_ISSUERS" in complaint_of("serve", database_url=url)
    assert "BANTER_MIGRATION_DATABASE_URL" in complaint_of(
        "serve", "--migrate", database_url=url, issuers=issuers, phone_hash_key=PHONE_HASH_KEY
    )


def test_it_refuses_a_database_that_is_not_there(issuers: str) -> None:
    url = "postgresql://banter_service:secret@127.0.0.1:1/banter"
    line = complaint_of("serve", database_url=url, issuers=issuers, phone_hash_key=PHONE_HASH_KEY)
    assert "check the URL" in line
    assert "secret" not in line


def test_it_refuses_a_database_without_migrations_and_names_them(issuers: str, new_database: NewDatabase) -> None:
    line = complaint_of(
        "serve", database_url=new_database(migrated=False).service_url, issuers=issuers, phone_hash_key=PHONE_HASH_KEY
    )
    assert "0001_clock, 0002_users" in line
    assert "banter migrate up" in line


def test_it_refuses_a_database_whose_migration_was_edited(issuers: str, new_database: NewDatabase) -> None:
    database = new_database()
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        connection.execute("UPDATE migration_checksums SET sha256 = 'other' WHERE id = '0001_clock'")
    assert "0001_clock was edited" in complaint_of(
        "serve", database_url=database.service_url, issuers=issuers, phone_hash_key=PHONE_HASH_KEY
    )


def test_it_refuses_a_database_that_may_lose_commits_unless_it_is_for_tests(
    issuers: str, new_database: NewDatabase
) -> None:
    database = new_database()
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {database.name} SET synchronous_commit = off")
    settings = {"database_url": database.service_url, "issuers": issuers, "phone_hash_key": PHONE_HASH_KEY}
    line = complaint_of("serve", **settings)
    assert "synchronous_commit" in line
    assert "fsync" not in line
    assert "99 workers" in complaint_of("serve", "--workers", "99", database_test=True, **settings)  # it goes on


def test_it_migrates_when_asked_and_describes_nothing_unless_asked(issuers: str, new_database: NewDatabase) -> None:
    database = new_database(migrated=False)
    settings = {
        "database_url": database.service_url,
        "migration_database_url": database.owner_url,
        "issuers": issuers,
        "phone_hash_key": PHONE_HASH_KEY,
    }
    with Serving("serve", "--migrate", **settings) as running:
        assert services(running.port).returncode != 0
        assert running.printed == ""
        running.interrupt(signal.SIGTERM)
        assert running.wait() == 0
    with Serving("serve", "--reflection", **settings) as running:
        assert "banter.v1.UserService" in services(running.port).stdout.split()
        running.interrupt()
        running.interrupt()
        assert running.wait() == 0
