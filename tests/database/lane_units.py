"""What the tests of lanes share: statements, units of them, and lanes that are closed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
import uvloop

from banter_grpc.database.dumping import Dumper
from banter_grpc.database.exchange import Dumped
from banter_grpc.database.lane import Lane
from banter_grpc.database.lane_settings import LaneSettings
from banter_grpc.database.settings import PoolSettings, connection_string
from banter_grpc.database.statement import Statement, Step, Way

T = TypeVar("T")
_DUMPER = Dumper()

SCHEMA = """
CREATE TABLE item (id int8 CONSTRAINT item_id PRIMARY KEY, v int8);
CREATE TABLE late (id int8, CONSTRAINT late_id UNIQUE (id) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE shape (a int4, b text);
INSERT INTO shape VALUES (1, 'x');
CREATE TABLE ledger_a (id uuid, who int4);
CREATE TABLE ledger_b (id uuid, who int4);
"""


class Rows(list[Any]):
    """The answer of these tests' statements: the rows, and how many were returned or affected."""

    count = 0


def rows_and_count(rows: Sequence[Any], count: int) -> Rows:
    answer = Rows(rows)
    answer.count = count
    return answer


def statement(
    sql: str,
    row: Callable[[Sequence[Any]], Any] = tuple,
    *,
    name: str = "test",
    way: Way = Way.SHARED,
    writes: bool = True,
    repeatable: bool = False,
) -> Statement[Rows]:
    return Statement(name, sql, row, rows_and_count, way, writes, repeatable)


ONE = statement("SELECT $1::int8", name="one", writes=False, repeatable=True)
DIVIDE = statement("SELECT 1 / $1::int4", name="divide", writes=False, repeatable=True)
SLEEP = statement("SELECT pg_sleep($1::float8)::text", name="sleep", writes=False, repeatable=True)
PID = statement("SELECT pg_backend_pid()", name="pid", writes=False, repeatable=True)
COUNT = statement("SELECT count(*) FROM item", name="count", writes=False, repeatable=True)
PUT = statement("INSERT INTO item (id, v) VALUES ($1::int8, $2::int8)", name="put")
STAR = statement("SELECT * FROM shape", name="star", writes=False, repeatable=True)
LENGTH = statement("SELECT length($1::text)", name="length", writes=False, repeatable=True)
BIG = statement("SELECT repeat('x', $1::int4)", name="big", writes=False, repeatable=True)


def unit(*steps: tuple[Statement[Any], Sequence[object]]) -> list[Dumped]:
    """A unit as a lane takes it."""
    return [_DUMPER.dump(Step(made, parameters)) for made, parameters in steps]


async def within(awaitable: Awaitable[T], seconds: float = 20.0) -> T:
    return await asyncio.wait_for(awaitable, seconds)


async def pid_of(lane: Lane) -> int:
    return (await within(lane.run(unit((PID, ())))))[0][0][0]


async def is_up(lane: Lane, after: int | None = None) -> None:
    """Wait until the lane is up; with a backend other than that of `after`, if there was one."""
    async with asyncio.timeout(20):
        while not lane.is_up or lane.backend == after:
            await asyncio.sleep(0.01)


def lane_to(url: str, **settings: Any) -> Lane:
    """A lane that was not opened."""
    made = LaneSettings(**{"statement_timeout": 20.0, "silence": 101.0, **settings})
    own = PoolSettings(url=url, statement_timeout=made.statement_timeout, lock_timeout=made.lock_timeout)
    return Lane(connection_string(own, "lane"), made)


@asynccontextmanager
async def opened(url: str, **settings: Any) -> AsyncIterator[Lane]:
    lane = lane_to(url, **settings)
    await lane.open()
    try:
        yield lane
    finally:
        await within(lane.close(), 30)


def on_loop(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    scenario: Callable[[], Coroutine[Any, Any, T]],
    seconds: float = 60,
) -> T:
    """Run the scenario on a loop of its own, in a thread of its own: this one's loop belongs to pytest."""
    outcome: Future[T] = Future()
    loops: list[asyncio.AbstractEventLoop] = []

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                loops.append(runner.get_loop())
                outcome.set_result(runner.run(scenario()))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError:
        if outcome.done():
            raise
        for task in asyncio.all_tasks(*loops):
            task.print_stack()
        raise AssertionError("it hangs") from None


LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
