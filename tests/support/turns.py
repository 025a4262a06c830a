"""Two at once, without chance: one stops before its commit, and the other begins meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import psycopg

from banter_grpc.database.statement import Step
from tests.support.harness import failure_of


@asynccontextmanager
async def unfinished(service_url: str, *steps: Step[Any]) -> AsyncIterator[psycopg.AsyncConnection]:
    """The connection of another process that has done these steps and not committed; it does when the context ends."""
    connect = psycopg.AsyncConnection.connect(service_url, cursor_factory=psycopg.AsyncRawCursor)
    async with await connect as connection:
        for step in steps:
            await connection.execute(step.statement.sql.encode(), step.parameters)
        yield connection


async def meanwhile(service_url: str, steps: list[Step[Any]], call: Callable[[], Awaitable[Any]]) -> Any:
    """What comes of a call that begins after another's steps and before their commit: its answer, or a reason."""
    async with unfinished(service_url, *steps) as other:
        task = asyncio.ensure_future(outcome(call()))  # a call begins as it is made
        await blocked(other, task)
    async with asyncio.timeout(30):
        return await task


async def outcome(call: Awaitable[Any]) -> Any:
    """The answer, or the reason of a refusal."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        return failure_of(error).reason


async def blocked(blocker: psycopg.AsyncConnection, waiting: asyncio.Future[Any] | None = None) -> None:
    """Returns when somebody waits for what a connection has locked, or when who should wait has not."""
    async with asyncio.timeout(20):
        while waiting is None or not waiting.done():
            rows = await blocker.execute("SELECT FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
            if rows.rowcount:
                return
            await asyncio.sleep(0.01)
