"""One connection of a lane, and the units in flight on it. It speaks libpq."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Self

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result
from psycopg.pq.abc import PGresult

from banter_grpc.database.exchange import is_stale
from banter_grpc.database.statement import Statement
from banter_grpc.database.unit import Prepared, Unit, is_last_word

# Plain ints: `result.status` is one, and comparing it with an enum's member costs more than reading it.
_RESULTS: Final = frozenset({int(pq.ExecStatus.TUPLES_OK), int(pq.ExecStatus.COMMAND_OK)})
_FAILED: Final = int(pq.ExecStatus.FATAL_ERROR)
_SYNC: Final = int(pq.ExecStatus.PIPELINE_SYNC)
_ABORTED: Final = int(pq.ExecStatus.PIPELINE_ABORTED)
_BAD: Final = int(pq.ConnStatus.BAD)
_READ_ONLY: Final = b"25006"
_REPEATS: Final = 2


class LaneConnection:
    """A connection in libpq's pipeline mode, watched by the loop. Whatever a method raises has broken it: `end` it.

    `flying` has what was sent, in the order of its answers. `again` takes a unit back that found its prepared statement
    gone, and is to be sent once more.
    """

    def __init__(
        self,
        connection: psycopg.AsyncConnection[Any],
        prepares: bool,
        flying: deque[Unit | Prepared],
        again: Callable[[Unit], object],
    ) -> None:
        self._connection = connection
        self._pg = connection.pgconn
        self._again = again
        self._prepares = prepares
        self._prefix = os.urandom(4).hex().encode()
        self._serial = 0
        self._known: dict[Statement[Any], Prepared] = {}
        self._last_word: PGresult | None = None
        self._loop = asyncio.get_running_loop()
        self._flying = flying
        self.blocked = False
        """Whether the socket takes no more at the moment."""
        self.born = self.heard = self._loop.time()
        """When it was made, and when the server was last heard of."""
        self.read_only = False
        """Whether the server has refused a write because it takes none."""
        self._pg.enter_pipeline_mode()
        # A duplicate: libpq closes its own when the connection breaks, and the number could be another socket's by the
        # time that the loop forgets it.
        self._socket = os.dup(self._pg.socket)

    @classmethod
    async def connect(
        cls, conninfo: str, prepares: bool, flying: deque[Unit | Prepared], again: Callable[[Unit], object]
    ) -> Self:
        """Connect, or raise what the attempt raised."""
        connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True, prepare_threshold=None)
        try:
            return cls(connection, prepares, flying, again)
        except BaseException:
            connection.pgconn.finish()
            raise

    @property
    def backend(self) -> int:
        """The server's process."""
        return self._pg.backend_pid

    @property
    def broken(self) -> bool:
        """Whether libpq has given it up."""
        return self._pg.status == _BAD

    def watch(self, readable: Callable[[], object], writable: Callable[[], object]) -> None:
        """Have the loop call `readable` when there is something to read, `writable` when a blocked socket is free."""
        self._writable = writable
        self._loop.add_reader(self._socket, readable)

    def send(self, unit: Unit) -> None:
        """Hand a unit to libpq, which may go on sending it later: `blocked` tells."""
        pg, known = self._pg, self._known
        for step in unit.steps:
            unit.known.append(known.get(step.statement) or self._prepare(step.statement))
        if not self._flying:
            self.heard = self._loop.time()
        self._flying.append(unit)
        for prepared, (_, values, formats) in zip(unit.known, unit.steps, strict=True):
            if prepared.name:
                pg.send_query_prepared(prepared.name, values, formats, pq.Format.BINARY)
            else:
                pg.send_query_params(prepared.sql, values, None, formats, pq.Format.BINARY)
        pg.pipeline_sync()
        self.flush()

    def flush(self) -> None:
        """Send what libpq still holds, as far as the socket takes it."""
        blocked = bool(self._pg.flush())
        if blocked and not self.blocked:
            self._loop.add_writer(self._socket, self._writable)
        elif self.blocked and not blocked:
            self._loop.remove_writer(self._socket)
        self.blocked = blocked

    def read(self) -> None:
        """Take what the socket has."""
        self.heard = self._loop.time()
        self._pg.consume_input()

    def read_unasked(self) -> None:
        """The same, when the loop did not say that there is anything."""
        self._pg.consume_input()

    def settle(self) -> None:
        """Take every answer that is complete. Call it after whatever may touch the socket: libpq reads also while it
        writes, and the loop never reports what it has read.
        """
        pg, flying, separators = self._pg, self._flying, 0
        owed = len(flying)
        while flying and not pg.is_busy():
            if (result := pg.get_result()) is None:  # ends the results of one statement
                separators += 1
                if separators > 1:
                    raise psycopg.OperationalError("the answers ended before the units in flight")
                continue
            separators, unit = 0, flying[0]
            if result.status == _SYNC:
                flying.popleft()
                self._settled(unit)
            else:
                self._take(unit, result)
        if len(flying) != owed:
            self.heard = self._loop.time()
        while pg.notifies() is not None:  # they would pile up in libpq
            pass

    def end(self, error: BaseException | None) -> None:
        """Close it, and tell the caller of each unit in flight what is known of it."""
        with suppress(Exception):
            self.settle()  # answers that arrived before the end count
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        os.close(self._socket)
        self._pg.finish()
        last = self._last_word
        cause = error if last is None else error_from_result(last)
        for unit in self._flying:
            if isinstance(unit, Unit):
                unit.lose(cause, ended=last is not None)
        self._flying.clear()

    def _prepare(self, statement: Statement[Any]) -> Prepared:
        """Prepare it under a Sync of its own, so that no unit's error can skip it."""
        self._serial += 1
        name = b"banter_%s_%d" % (self._prefix, self._serial) if self._prepares else b""
        prepared = self._known[statement] = Prepared(statement, name, self._connection)
        if name:
            self._flying.append(prepared)
            self._pg.send_prepare(name, prepared.sql)
            self._pg.pipeline_sync()
        return prepared

    def _take(self, unit: Unit | Prepared, result: PGresult) -> None:
        """One answer of a unit, or of a preparation."""
        status = result.status
        if status in _RESULTS:
            if isinstance(unit, Unit):
                unit.results.append(result)
        elif status == _FAILED:
            self._refused(unit, result)
        elif status != _ABORTED:
            raise psycopg.OperationalError(f"a lane cannot go on after {pq.ExecStatus(status).name}")

    def _refused(self, unit: Unit | Prepared, result: PGresult) -> None:
        unit.refused = unit.refused or result  # the first explains the most
        if is_last_word(result):
            self._last_word = result
        elif result.error_field(pq.DiagnosticField.SQLSTATE) == _READ_ONLY:
            self.read_only = True

    def _settled(self, unit: Unit | Prepared) -> None:
        """Its Sync came back: only now has it committed, or been rolled back."""
        if isinstance(unit, Prepared):
            if unit.refused is not None:
                self._forget(unit)
        elif unit.refused is None:
            unit.answer()
        else:
            self._repair(unit, unit.refused)

    def _repair(self, unit: Unit, refused: PGresult) -> None:
        """Have a unit sent again whose prepared statement is gone; refuse it otherwise."""
        if len(unit.results) < len(unit.steps) and is_stale(refused):
            prepared = unit.known[len(unit.results)]
            if prepared.refused is not None:
                refused = prepared.refused  # it was never prepared, and this says why
            elif unit.repeats < _REPEATS:
                self._forget(prepared)
                unit.rewind()
                unit.repeats += 1
                self._again(unit)
                return
        unit.refuse(refused)

    def _forget(self, prepared: Prepared) -> None:
        if self._known.get(prepared.statement) is prepared:
            del self._known[prepared.statement]
