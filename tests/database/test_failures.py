"""What PostgreSQL's errors mean to a caller, where the code alone does not say it."""

from __future__ import annotations

import psycopg
import pytest

from banter_grpc.database import errors
from banter_grpc.database.failures import failure_of


def refusal_of(connection: psycopg.Connection, statement: str) -> psycopg.Error:
    with pytest.raises(psycopg.Error) as refused:
        connection.execute(statement.encode())
    return refused.value


def test_a_plan_that_a_migration_made_stale_is_a_collision_and_not_a_defect(owner_url: str) -> None:
    """A connection prepares it anew twice in a row; when the schema changes faster, the unit is sent again later."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE shape (a integer)")
        connection.execute("PREPARE whole AS SELECT * FROM shape")
        connection.execute("ALTER TABLE shape ADD COLUMN b integer")
        assert isinstance(failure_of(refusal_of(connection, "EXECUTE whole")), errors.CollisionError)
        connection.execute("DEALLOCATE whole")
        assert isinstance(failure_of(refusal_of(connection, "EXECUTE whole")), errors.CollisionError)


def test_what_postgresql_cannot_do_is_a_defect(owner_url: str) -> None:
    with psycopg.connect(owner_url, autocommit=True) as connection:
        failure = failure_of(refusal_of(connection, "SELECT count(*) FROM users FOR UPDATE"))
        assert isinstance(failure, errors.DefectError)
