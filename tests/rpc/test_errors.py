"""From what went wrong to what the client gets, case by case of the table."""

from __future__ import annotations

import asyncio

import pytest
from google.rpc import code_pb2

from banter_grpc.database import errors as database
from banter_grpc.errors import Refusal
from banter_grpc.errors.constraints import CONSTRAINTS
from banter_grpc.rpc.errors import pushback_of, refusal_of, status_of

REQUEST_ID = "0199f3b2"
UNIQUE, CHECK = database.ConstraintKind.UNIQUE, database.ConstraintKind.CHECK


@pytest.mark.parametrize(
    ("error", "code", "reason", "pushback"),
    [
        (database.ConstraintError(UNIQUE, "users_username_key"), code_pb2.ALREADY_EXISTS, "USERNAME_TAKEN", None),
        (database.ConstraintError(UNIQUE, "users_email_key"), code_pb2.ALREADY_EXISTS, "EMAIL_TAKEN", None),
        (
            database.ConstraintError(UNIQUE, "users_phone_number_key"),
            code_pb2.ALREADY_EXISTS,
            "PHONE_NUMBER_TAKEN",
            None,
        ),
        (database.ConstraintError(CHECK, "users_bio_check"), code_pb2.INTERNAL, "INTERNAL", None),
        (database.ConstraintError(UNIQUE, "nobody_knows_key"), code_pb2.INTERNAL, "INTERNAL", None),
        (database.CollisionError(), code_pb2.ABORTED, "COLLISION", "100"),
        (database.TimeoutError(), code_pb2.UNAVAILABLE, "DATABASE_UNAVAILABLE", "1000"),
        (database.UnavailableError(), code_pb2.UNAVAILABLE, "DATABASE_UNAVAILABLE", "1000"),
        (database.OutcomeUnknownError(), code_pb2.UNAVAILABLE, "OUTCOME_UNKNOWN", "-1"),
        (database.DefectError("relation users does not exist"), code_pb2.INTERNAL, "INTERNAL", None),
        (asyncio.CancelledError(), code_pb2.CANCELLED, "CALLER_GONE", None),
        (ValueError("+919876543210"), code_pb2.INTERNAL, "INTERNAL", None),
        (Refusal("NO_SUCH_REASON", "a slip of the pen"), code_pb2.INTERNAL, "INTERNAL", None),
    ],
    ids=lambda value: (
        getattr(value, "constraint", None) or (type(value).__name__ if isinstance(value, BaseException) else None)
    ),
)
def test_an_error_becomes(error: BaseException, code: int, reason: str, pushback: str | None) -> None:
    refusal = refusal_of(error, REQUEST_ID)
    status = status_of(refusal)
    assert (status.code, status.reason, pushback_of(refusal)) == (code, reason, pushback)
    if reason == "INTERNAL":
        assert status.message == f"internal error; report x-request-id {REQUEST_ID}"
    assert "+91" not in status.message
    assert "relation" not in status.message


def test_every_constraint_that_means_something_makes_a_refusal_of_the_contract() -> None:
    for constraint, make in CONSTRAINTS.items():
        if make is not None:
            status = status_of(refusal_of(database.ConstraintError(UNIQUE, constraint), REQUEST_ID))
            assert status.code != code_pb2.INTERNAL
