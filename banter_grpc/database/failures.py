"""What PostgreSQL's errors mean to a caller: the one place that knows its codes."""

from __future__ import annotations

from typing import Final

import psycopg

from banter_grpc.database import errors
from banter_grpc.database.errors import ConstraintError, ConstraintKind, DatabaseError

_CONSTRAINTS: Final = {
    "23001": ConstraintKind.FOREIGN_KEY,
    "23502": ConstraintKind.NOT_NULL,
    "23503": ConstraintKind.FOREIGN_KEY,
    "23505": ConstraintKind.UNIQUE,
    "23514": ConstraintKind.CHECK,
    "23P01": ConstraintKind.EXCLUSION,
}
_COLLISIONS: Final = frozenset({"40001", "40P01"})
_STALE: Final = {"0A000": {"RevalidateCachedQuery"}, "26000": {"FetchPreparedStatement"}}
"""A prepared statement that a migration has changed or a pooler lost: connections prepare it anew, but not for ever."""
_TIMEOUTS: Final = frozenset({"55P03", "57014"})
"""The lock's and the statement's. An administrator's cancel looks like the latter, and is as safe to try again."""
_NO_PARTITION: Final = "ExecFindPartition"
"""What PostgreSQL's function says with the code of a CHECK: the partition of this row is still to be made, by a job."""
_READ_ONLY: Final = "25006"
_UNAVAILABLE: Final = frozenset({"53000", "53100", "53200", "53300", "53400", "57P01", "57P02", "57P03", _READ_ONLY})
"""Out of room, memory or connections, starting, stopping, or no longer the primary."""


def failure_of(error: psycopg.Error) -> DatabaseError:
    """What the server's refusal of a unit means; the unit was rolled back."""
    state = error.sqlstate or ""
    if error.diag.source_function == _NO_PARTITION:
        return errors.UnavailableError("the partition of a row is not made yet")
    if kind := _CONSTRAINTS.get(state):
        return ConstraintError(kind, _constraint(error))
    if state.startswith("22"):
        return errors.BadValueError(f"a value was refused ({state})")
    if state in _COLLISIONS:
        return errors.CollisionError("it collided with another unit, again after every retry")
    if state in _STALE and error.diag.source_function in _STALE[state]:
        return errors.CollisionError("the schema changed under it, again after every retry")
    if state in _TIMEOUTS:
        return errors.TimeoutError("it took longer than the database allows")
    if state in _UNAVAILABLE:
        return errors.UnavailableError(f"the database can't do it now ({state})")
    return errors.DefectError(f"the database refused a query ({state or type(error).__name__})")


def is_read_only(error: psycopg.Error) -> bool:
    """Whether the server took writes once and takes none now: a standby, or a primary that became one."""
    return error.sqlstate == _READ_ONLY


def _constraint(error: psycopg.Error) -> str:
    """Its name; PostgreSQL does not tell that of a NOT NULL, which is by our rule (and its own, from 18) this one."""
    diagnosis = error.diag
    return diagnosis.constraint_name or f"{diagnosis.table_name}_{diagnosis.column_name}_not_null"
