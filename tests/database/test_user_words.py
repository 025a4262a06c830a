"""`user_words` follows `users`, whoever writes them."""

# ruff: noqa: RUF001 - names are written as people write them

from __future__ import annotations

import uuid

import psycopg
import pytest
from psycopg import errors

from banter_grpc.database.migrations import Migrations
from tests.conftest import NewDatabase
from tests.database.test_living_users import ERASE, MAKE, phone


def words_of(connection: psycopg.Connection, user: uuid.UUID) -> list[tuple[str, str]]:
    rows = connection.execute("SELECT word, words FROM user_words WHERE user_id = %s ORDER BY word", [user])
    return rows.fetchall()


def test_who_was_there_before_the_migration_is_found_too(new_database: NewDatabase) -> None:
    url, user, gone = new_database().owner_url, uuid.uuid4(), uuid.uuid4()
    migrations = Migrations()
    names = [status.name for status in migrations.status(url)]
    migrations.down(url, len(names) - next(number for number, name in enumerate(names) if name.endswith("_user_words")))
    with psycopg.connect(url, autocommit=True) as owner:
        for id_ in (user, gone):
            owner.execute(MAKE, (id_, phone()))
        owner.execute("UPDATE users SET full_name = 'José Rao', username = 'jose.99' WHERE id = %s", [user])
        owner.execute(ERASE, [gone])
        migrations.up(url)
        everything = " 99 jose rao "
        assert words_of(owner, user) == [(word, everything) for word in ("99", "jose", "rao")]
        assert words_of(owner, gone) == []


def test_an_erased_person_leaves_no_word(service_url: str) -> None:
    user = uuid.uuid4()
    with psycopg.connect(service_url, autocommit=True) as service:
        service.execute(MAKE, (user, phone()))
        assert words_of(service, user) == [("a", " a ")]
        service.execute(ERASE, [user])
        assert words_of(service, user) == []


@pytest.mark.parametrize(
    "statement", ["INSERT INTO user_words SELECT id, 'x', ' x ' FROM users", "DELETE FROM user_words"]
)
def test_the_service_cannot_say_otherwise(service_url: str, statement: str) -> None:
    with psycopg.connect(service_url) as service, pytest.raises(errors.InsufficientPrivilege):
        service.execute(statement.encode())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("b a  B", ["a", "b"]),
        ("O’Brien-Łę", ["brien", "o", "łe"]),
        ("x²+½", ["1", "2", "x2"]),
        ("", []),
        ("." * 50, []),
        (" ".join(chr(ord("z") - n) for n in range(25)), sorted(chr(ord("z") - n) for n in range(20))),
        ("x" * 101, ["x" * 100]),
    ],
    ids=str,
)
def test_words_are_distinct_sorted_few_and_short(service_url: str, text: str, words: list[str]) -> None:
    with psycopg.connect(service_url) as service:
        assert service.execute("SELECT search_words(%s)", [text]).fetchone() == (words,)
