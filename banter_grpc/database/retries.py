"""Which failures of a unit are tried again, and what the caller gets of the others."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import psycopg

from banter_grpc.database import errors
from banter_grpc.database.connection import ConnectionEnded
from banter_grpc.database.failures import failure_of
from banter_grpc.database.statement import Statement

_COLLISIONS: Final = 3
_LOSSES: Final = 3
_PAUSE: Final = 0.005
Failed = psycopg.Error | ConnectionEnded | errors.UnavailableError
"""What a unit fails with that may be tried again."""
_TRANSIENT: Final = (errors.CollisionError, errors.TimeoutError, errors.UnavailableError)


class Retries:
    """The failures of one unit so far."""

    def __init__(self, statements: Sequence[Statement[Any]]) -> None:
        self._writes = any(statement.writes for statement in statements)
        self._repeatable = all(statement.repeatable for statement in statements)
        self._keys = {key for statement in statements for key in statement.collides}
        self._in_doubt = False
        self._collisions = 0
        self._losses = 0

    async def consider(self, error: Failed) -> None:
        """Return when the unit is to be sent again, else raise a `DatabaseError` with its cause."""
        match error:
            case ConnectionEnded():
                if not self._is_lost_for_good(error):
                    return
                cause = error.__cause__
                failure = errors.UnavailableError("the connection broke, again after every retry")
            case errors.UnavailableError():
                failure, cause = error, error.__cause__
            case _:
                failure, cause = failure_of(error), error
                if isinstance(failure, errors.ConstraintError) and failure.constraint in self._keys:
                    failure = errors.CollisionError("another unit did the same at once, again after every retry")
                if isinstance(failure, errors.CollisionError) and self._collisions < _COLLISIONS:
                    self._collisions += 1
                    await asyncio.sleep(_PAUSE * 3**self._collisions * random.uniform(0.3, 1.0))
                    return
        if self._in_doubt and isinstance(failure, _TRANSIENT):
            failure = errors.OutcomeUnknownError("the connection broke before the answer came")
        raise failure from cause

    def _is_lost_for_good(self, error: ConnectionEnded) -> bool:
        self._losses += 1
        if not error.rolled_back and self._writes:
            self._in_doubt = True
            if not self._repeatable:
                return True
        return self._losses > _LOSSES


def end_of_stream(error: Failed) -> NoReturn:
    """Raise what the reader of a stream gets when it breaks after its first rows: they can't be taken back."""
    match error:
        case ConnectionEnded():
            raise errors.UnavailableError("the connection broke in the middle of a stream") from error.__cause__
        case errors.UnavailableError():
            raise error
        case _:
            raise failure_of(error) from error
