"""How a unit goes over a connection: all of it at once, then all of its answers. It speaks libpq."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import generators, pq
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq.abc import PGconn, PGresult

from banter_grpc.database.statement import Statement

# Plain ints: `result.status` is one, and comparing it with an enum's member costs more than reading it.
_ROWS: Final = int(pq.ExecStatus.TUPLES_OK)
_FAILED: Final = int(pq.ExecStatus.FATAL_ERROR)
_ABORTED: Final = int(pq.ExecStatus.PIPELINE_ABORTED)


class Dumped(NamedTuple):
    """A step as it is sent. `formats` is None where every value is text."""

    statement: Statement[Any]
    values: Sequence[Buffer | None]
    formats: Sequence[int] | None


class Known:
    """A statement as one connection knows it: its name there, if it is prepared, and the loaders of its columns."""

    __slots__ = ("_loads", "_transformer", "name", "prepared", "sql")

    def __init__(self, statement: Statement[Any], name: bytes, connection: psycopg.AsyncConnection[Any]) -> None:
        self.sql, self.name = statement.sql.encode(), name
        self.prepared = not name
        self._transformer = Transformer(connection)
        self._loads = False

    def load(self, result: PGresult, statement: Statement[Any]) -> Any:
        """The answer that the caller gets."""
        if result.status != _ROWS:
            return statement.answer((), result.command_tuples or 0)
        count = result.ntuples
        self._transformer.set_pgresult(result, set_loaders=not self._loads)
        self._loads = True
        try:
            rows = self._transformer.load_rows(0, count, statement.row)
        finally:
            self._transformer.set_pgresult(None, set_loaders=False)  # or a large result stays alive
        return statement.answer(rows, count)


class Exchange:
    """One sending of a unit.

    `results` are those of the steps that were executed. `refused` is the server's first error: of a step, or of the
    preparation of its statement, which explains more.
    """

    __slots__ = ("_steps", "_to_prepare", "refused", "results")

    def __init__(self, steps: Sequence[tuple[Known, Dumped]]) -> None:
        self._steps = steps
        self._to_prepare = list(dict.fromkeys(known for known, _ in steps if not known.prepared))
        self.results: list[PGresult] = []
        self.refused: PGresult | None = None

    def run(self, pg: PGconn) -> PQGen[None]:
        """Send everything, then take every answer: one round trip.

        Raises `psycopg.Error` only when the connection breaks: what the server refuses is left in `refused`, so that
        psycopg, when it has cancelled the unit, can go on with this generator to its end.
        """
        for known in self._to_prepare:  # each under a Sync of its own, so that no step's error can skip it
            pg.send_prepare(known.name, known.sql)
            pg.pipeline_sync()
        for known, step in self._steps:
            if known.name:
                pg.send_query_prepared(known.name, step.values, step.formats, pq.Format.BINARY)
            else:
                pg.send_query_params(known.sql, step.values, None, step.formats, pq.Format.BINARY)
        pg.pipeline_sync()
        yield from generators.send(pg)
        for known in self._to_prepare:
            known.prepared = self._accepts((yield from _next(pg)))
            self._accepts((yield from _next(pg)))
        for _ in self._steps:
            result = yield from _next(pg)
            if self._accepts(result) and result.status != _ABORTED:
                self.results.append(result)
        # Before this last Sync comes back, the unit may or may not have been committed.
        result = yield from _next(pg)
        if result.status == _FAILED:
            raise error_from_result(result)

    def _accepts(self, result: PGresult) -> bool:
        """Whether this is no error; the first that is one is kept."""
        if result.status != _FAILED:
            return True
        self.refused = self.refused or result
        return False


def _next(pg: PGconn) -> PQGen[PGresult]:
    results = yield from generators.fetch_many(pg)
    if not results:
        raise psycopg.OperationalError("the connection ended before the answers did")
    return results[0]


def is_fatal(result: PGresult) -> bool:
    """Whether the server ended the connection with this error."""
    return result.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED) != b"ERROR"


def is_stale(result: PGresult) -> bool:
    """Whether a prepared statement is gone (DISCARD, a pooler), or a migration changed its columns."""
    state = result.error_field(pq.DiagnosticField.SQLSTATE)
    function = result.error_field(pq.DiagnosticField.SOURCE_FUNCTION)
    return state == b"26000" or (state == b"0A000" and function == b"RevalidateCachedQuery")
