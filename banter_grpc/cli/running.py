"""Working in the foreground, and keeping the embedded PostgreSQL alive meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from banter_grpc import loop
from banter_grpc.cli import signals
from banter_grpc.config import Settings
from banter_grpc.database.embedded import EmbeddedError, EmbeddedPostgres
from banter_grpc.rpc.telemetry.logs import Log, make_log, take_over_libraries

_WATCH_SECONDS = 0.5


def run(settings: Settings, embedded: EmbeddedPostgres | None, work: Callable[[Log], Awaitable[None]]) -> None:
    """Do the work, which ends at SIGINT or SIGTERM, in an event loop and with a log."""
    loop.run(_beside(embedded, settings, work))


async def _beside(
    embedded: EmbeddedPostgres | None, settings: Settings, work: Callable[[Log], Awaitable[None]]
) -> None:
    """Do the work, with the embedded PostgreSQL kept alive meanwhile."""
    take_over_libraries(settings.log_format)
    log = make_log(settings.log_format, settings.log_level)
    keeper = asyncio.create_task(_keep_alive(embedded, log), name="embedded PostgreSQL") if embedded else None
    try:
        await work(log)
    finally:
        if keeper is not None:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper
        log.flush()
        signals.ignore()  # until PostgreSQL has stopped


async def _keep_alive(server: EmbeddedPostgres, log: Log) -> None:
    """Start PostgreSQL again whenever it has died."""
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        if await asyncio.to_thread(server.is_running):
            continue
        log.warning("PostgreSQL died")
        try:
            await asyncio.to_thread(server.start)
        except EmbeddedError as error:
            log.error("PostgreSQL does not start again", reason=str(error))  # noqa: TRY400 - the reason is all there is
        else:
            log.warning("PostgreSQL was started again")
