"""One read-only transaction in which long results are read a batch at a time.

A cursor of the server's holds the place: what the reader has not asked for is not computed, not sent and nowhere in
memory, and each batch is a statement with the timeouts of one.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any, Final

from psycopg.pq.abc import PGresult

from banter_grpc.database import errors
from banter_grpc.database.connection import PooledConnection
from banter_grpc.database.exchange import Dumped, Known
from banter_grpc.database.observer import Observer
from banter_grpc.database.statement import Statement, Way, row_count

_BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_PATIENCE: Final = "SET LOCAL idle_in_transaction_session_timeout = {}"
_DECLARE: Final = "DECLARE batches NO SCROLL CURSOR FOR {}"
_FETCH: Final = "FETCH FORWARD {} FROM batches"
_CLOSE: Final = "CLOSE batches"


class Snapshot:
    """The database as it is when the first batch is read, over a connection that nobody else uses meanwhile.

    `patience` is how long, in seconds, the server waits between two batches for the reader. The transaction is left
    open: whoever gets the connection back ends it.
    """

    def __init__(self, connection: PooledConnection, patience: float, observer: Observer | None) -> None:
        self._connection = connection
        self._observer = observer
        # What the next batch takes along on its way, so that no step costs a round trip of its own.
        self._first = [_command(_BEGIN, connection), _command(_PATIENCE.format(round(patience * 1000)), connection)]

    async def read(self, step: Dumped, batch: int) -> AsyncGenerator[list[Any], None]:
        """The rows of a step in batches of so many, none of them empty. One step is read to its end before another.

        Raises `psycopg.Error` when the server refuses it, `ConnectionEnded`, and `DefectError` when a row can't be
        read. When the task is cancelled, so is the query in the server.
        """
        statement = step.statement
        declared = replace(statement, sql=_DECLARE.format(statement.sql))
        fetch = _command(_FETCH.format(batch), self._connection)
        self._first.append((Known(declared, b"", self._connection), step))
        while True:
            result = await self._take(statement.name, fetch)
            rows = _rows(fetch[0], result, statement)
            if rows:
                yield rows
            if len(rows) < batch:
                self._first.append(_command(_CLOSE, self._connection))
                return

    async def _take(self, name: str, fetch: tuple[Known, Dumped]) -> PGresult:
        started = time.perf_counter()
        failed = True
        try:
            *_, result = await self._connection.take([*self._first, fetch])
            self._first.clear()
            failed = False
            return result
        finally:
            if self._observer is not None:
                self._observer.unit([name], time.perf_counter() - started, failed)


def _command(sql: str, connection: PooledConnection) -> tuple[Known, Dumped]:
    """A statement of a snapshot. None is prepared: what a cursor gives is known from its first batch on only."""
    statement = Statement(sql, sql, tuple, row_count, Way.OWN, writes=False, repeatable=True)
    return Known(statement, b"", connection), Dumped(statement, (), None)


def _rows(known: Known, result: PGresult, statement: Statement[Any]) -> list[Any]:
    try:
        return known.load(result, statement)
    except Exception as error:
        raise errors.DefectError("an answer could not be read") from error
