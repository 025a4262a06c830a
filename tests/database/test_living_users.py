"""Who lives: `living_users` follows `users`, whoever writes at the same time."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

MAKE = (
    "INSERT INTO users (id, phone_number, country_code, full_name, timezone, create_time, update_time)"
    " VALUES (%s, %s, '+91', 'A', 'UTC', clock(), clock())"
)
ERASE = (
    "UPDATE users SET phone_number = NULL, country_code = NULL, full_name = NULL, timezone = NULL, is_active = FALSE,"
    " delete_time = clock() WHERE id = %s"
)


def phone() -> str:
    return f"+91{uuid.uuid4().int % 10**10:010d}"


@pytest.fixture
def possessions(owner_url: str) -> Iterator[str]:
    """A table of what living people own."""
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute(
            "CREATE TABLE possessions (user_id uuid NOT NULL REFERENCES living_users ON DELETE CASCADE, what text)"
        )
        owner.execute("GRANT INSERT, SELECT ON possessions TO banter_service")
        yield "possessions"
        owner.execute("DROP TABLE possessions")


def test_who_is_made_lives_until_he_is_erased(service_url: str) -> None:
    user = uuid.uuid4()
    with psycopg.connect(service_url) as service:
        service.execute(MAKE, (user, phone()))
        assert service.execute("SELECT FROM living_users WHERE user_id = %s", [user]).rowcount == 1
        service.execute(ERASE, [user])
        assert service.execute("SELECT FROM living_users WHERE user_id = %s", [user]).rowcount == 0
        service.rollback()


@pytest.mark.parametrize("statement", ["INSERT INTO living_users VALUES (%s)", "DELETE FROM living_users"])
def test_the_service_cannot_say_otherwise(service_url: str, statement: str) -> None:
    parameters = [uuid.uuid4()] if "%s" in statement else None
    with psycopg.connect(service_url) as service, pytest.raises(errors.InsufficientPrivilege):
        service.execute(statement, parameters)


@pytest.mark.parametrize("first", ["writer", "eraser"])
def test_nothing_of_an_erased_person_is_left_whoever_comes_first(
    service_url: str, possessions: str, first: str
) -> None:
    """One transaction is open while the other one starts: it waits, and then finds what the first one did."""
    user = uuid.uuid4()
    own = f"INSERT INTO {possessions} VALUES (%s, 'a secret')"
    with psycopg.connect(service_url, autocommit=True) as service:
        service.execute(MAKE, (user, phone()))
    with psycopg.connect(service_url) as one, psycopg.connect(service_url) as other:
        other.execute("SET lock_timeout = '20s'")
        other.commit()
        one.execute(own if first == "writer" else ERASE, [user])
        refused: list[Exception] = []

        def second() -> None:
            try:
                other.execute(ERASE if first == "writer" else own, [user])
                other.commit()
            except psycopg.Error as error:
                refused.append(error)

        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        assert thread.is_alive(), "the second one waits for the first"
        one.commit()
        thread.join(20)
        assert not thread.is_alive()
        assert [type(error) for error in refused] == ([] if first == "writer" else [errors.ForeignKeyViolation])
        other.rollback()
        assert one.execute(f"SELECT FROM {possessions} WHERE user_id = %s", [user]).rowcount == 0
