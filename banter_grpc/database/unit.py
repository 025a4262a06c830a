"""What travels on a lane: units, and the preparation of their statements."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result
from psycopg.pq.abc import PGresult

from banter_grpc.database import errors
from banter_grpc.database.connection import ConnectionEnded
from banter_grpc.database.exchange import Dumped, Known
from banter_grpc.database.statement import Statement


class Prepared(Known):
    """A statement as one lane's connection knows it; `refused` is why it could not be prepared, if so."""

    __slots__ = ("refused", "statement")

    def __init__(self, statement: Statement[Any], name: bytes, connection: psycopg.AsyncConnection[Any]) -> None:
        super().__init__(statement, name, connection)
        self.statement = statement
        self.refused: PGresult | None = None


class Unit:
    """Dumped steps up to one Sync, the future of their answers, and what came of it so far."""

    __slots__ = ("future", "known", "refused", "repeats", "results", "steps")

    def __init__(self, steps: Sequence[Dumped], future: asyncio.Future[list[Any]]) -> None:
        self.steps, self.future, self.repeats = steps, future, 0
        self.known: list[Prepared] = []
        self.results: list[PGresult] = []
        self.refused: PGresult | None = None

    def rewind(self) -> None:
        """Forget what came of it, to be sent again."""
        self.known, self.results, self.refused = [], [], None

    def answer(self) -> None:
        """Its Sync came back without an error: it is committed, whatever becomes of its answers here."""
        if self.future.done():  # the caller has gone
            return
        try:
            both = zip(self.known, self.steps, self.results, strict=True)
            self.future.set_result([known.load(result, step.statement) for known, step, result in both])
        except Exception as error:  # a loader's or a row maker's: this caller's alone
            self.fail(errors.DefectError("an answer could not be read"), error)

    def refuse(self, refused: PGresult) -> None:
        """The server rolled it back."""
        if not self.future.done():
            self.future.set_exception(error_from_result(refused))

    def lose(self, cause: BaseException | None, *, ended: bool) -> None:
        """The connection broke after it was sent; `ended` if the server itself ended it, in this unit or before it."""
        if self.refused is not None and self.refused.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED) == b"ERROR":
            self.refuse(self.refused)
        else:
            # Nothing commits before the Sync, which the server comes to when each statement has its answer.
            self.fail(ConnectionEnded(rolled_back=ended and len(self.results) < len(self.steps)), cause)

    def fail(self, error: Exception, cause: BaseException | None) -> None:
        """Tell the caller, unless he has gone."""
        if not self.future.done():
            error.__cause__ = cause
            self.future.set_exception(error)


def is_last_word(result: PGresult) -> bool:
    """Whether PostgreSQL itself ended the connection with this error: neither libpq, nor a pooler between them."""
    return (
        result.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED) != b"ERROR"
        and result.error_field(pq.DiagnosticField.SOURCE_FUNCTION) is not None
    )
