"""What can go wrong between the service and PostgreSQL, said without psycopg's words.

None of these carries SQL, a value or the server's detail: a name of a constraint is all that leaves this package.
"""

from __future__ import annotations

from enum import Enum

from banter_grpc.foreseen import ForeseenError


class DatabaseError(ForeseenError):
    """Base of all that this package raises."""


class ConstraintKind(Enum):
    """The kinds of constraint that a write can break."""

    UNIQUE = "unique"
    FOREIGN_KEY = "foreign key"
    CHECK = "check"
    NOT_NULL = "not null"
    EXCLUSION = "exclusion"


class ConstraintError(DatabaseError):
    """A write would have broken a constraint; the unit was rolled back."""

    def __init__(self, kind: ConstraintKind, constraint: str) -> None:
        super().__init__(f"{kind.value} constraint {constraint}")
        self.kind = kind
        self.constraint = constraint


class BadValueError(DatabaseError):
    """A value that the database can't take as what it is meant to be; nothing of the unit was kept."""


class CollisionError(DatabaseError):
    """Serialization failure or deadlock, again after every retry; the unit was rolled back."""


class TimeoutError(DatabaseError):  # noqa: A001 - always used as errors.TimeoutError
    """The database's own statement or lock timeout ended it; the unit was rolled back."""


class UnavailableError(DatabaseError):
    """No connection in time, or none that works: nothing of the unit was executed."""


class NotExecutedError(UnavailableError):
    """Nothing of the unit was sent."""


class BusyError(NotExecutedError):
    """Too many units wait already."""


class OutcomeUnknownError(DatabaseError):
    """The connection broke after the unit was sent: it may have been committed."""


class DefectError(DatabaseError):
    """Anything else: a query, the schema or a grant is wrong. Its cause is for the log only."""
