"""One connection of the pool: it runs units, and knows what became of one when it breaks."""

from __future__ import annotations

import select
import sys
from collections.abc import Sequence
from typing import Any, Final, Self

import psycopg
from psycopg import AsyncConnection, pq
from psycopg.errors import error_from_result
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import TupleRow

from banter_grpc.database.exchange import Dumped, Exchange, Known, is_fatal, is_stale
from banter_grpc.database.reach import Reach
from banter_grpc.database.statement import Statement

_OK: Final = int(pq.ConnStatus.OK)
_REPEATS: Final = 2


class ConnectionEnded(Exception):
    """The connection broke under a unit. Its cause is the last word of the server, or else of libpq."""

    def __init__(self, *, rolled_back: bool) -> None:
        super().__init__("the unit was rolled back" if rolled_back else "the unit may have been committed")
        self.rolled_back = rolled_back


class PooledConnection(AsyncConnection[TupleRow]):
    """A connection that runs units. A statement is prepared when it is first used, in the same round trip."""

    def __init__(self, pgconn: PGconn, **options: Any) -> None:
        super().__init__(pgconn, **options)
        self.prepares = True
        self._known: dict[Statement[Any], Known] = {}
        self._serial = 0

    @classmethod
    async def connect(  # pyright: ignore[reportIncompatibleMethodOverride] - only the pool calls it, with these
        cls, conninfo: str = "", *, reach: Reach, prepares: bool, **parameters: Any
    ) -> Self:
        """Connect, not too soon after a failure, and tell `reach` how it went."""
        await reach.pause()
        try:
            connection = await super().connect(conninfo, **parameters)
        except Exception as error:
            reach.failed(error)
            raise
        reach.connected()
        connection.prepares = prepares
        return connection

    def has_ended(self) -> bool:
        """Whether it ended while nobody used it: an idle connection has nothing to say but its end."""
        return self.pgconn.status != _OK or _is_readable(self.pgconn.socket)

    async def run(self, steps: Sequence[Dumped]) -> list[Any]:
        """Run a unit and return the answer of each step.

        Raises `psycopg.Error` when the server refuses it and nothing of it is left, and `ConnectionEnded`. When the
        task is cancelled, so is the unit in the server.
        """
        repeats = _REPEATS
        while True:
            exchange = Exchange([(self._know(step.statement), step) for step in steps])
            await self._exchange(exchange)
            if exchange.refused is None:
                return [
                    self._known[step.statement].load(result, step.statement)
                    for step, result in zip(steps, exchange.results, strict=True)
                ]
            if not repeats or not is_stale(exchange.refused):
                raise error_from_result(exchange.refused)
            repeats -= 1
            self._known.clear()

    async def take(self, steps: Sequence[tuple[Known, Dumped]]) -> list[PGresult]:
        """Run statements that are not prepared as one unit, and return what each gave. Raises as `run` does."""
        exchange = Exchange(steps)
        await self._exchange(exchange)
        if exchange.refused is not None:
            raise error_from_result(exchange.refused)
        return exchange.results

    def _know(self, statement: Statement[Any]) -> Known:
        known = self._known.get(statement)
        if known is None:
            self._serial += 1
            name = b"banter_%d" % self._serial if self.prepares else b""
            known = self._known[statement] = Known(statement, name, self)
        return known

    async def _exchange(self, exchange: Exchange) -> None:
        pg = self.pgconn
        try:
            pg.enter_pipeline_mode()
            await self.wait(exchange.run(pg))
        except psycopg.Error as error:
            pg.finish()
            refused = exchange.refused
            if refused is not None and not is_fatal(refused):
                return  # the connection went afterwards
            cause = error if refused is None else error_from_result(refused)
            # Nothing commits before the last Sync, which the server comes to when each statement has its answer.
            raise ConnectionEnded(rolled_back=refused is not None) from cause
        finally:
            if pg.status == _OK:
                _leave_pipeline(pg)


def _leave_pipeline(pg: PGconn) -> None:
    try:
        pg.exit_pipeline_mode()
    except psycopg.OperationalError:  # answers are still to come: of no use to the next unit
        pg.finish()


if sys.platform == "win32":

    def _is_readable(socket: int) -> bool:
        return bool(select.select([socket], [], [], 0)[0])

else:

    def _is_readable(socket: int) -> bool:
        poll = select.poll()  # select() knows no socket above 1023
        poll.register(socket, select.POLLIN)
        return bool(poll.poll(0))
