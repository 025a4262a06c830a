"""One worker, in a fork of the fork server.

It says which process it is, and serves when told to. It drains on SIGTERM, and when the supervisor is gone. SIGINT is
the supervisor's business: a terminal sends it to both.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator

from prometheus_client import generate_latest

from banter_grpc import loop
from banter_grpc.config import Settings
from banter_grpc.rpc.telemetry.logs import make_log, take_over_libraries
from banter_grpc.server import Server, spare_collector
from banter_grpc.workers.link import Link, Message

_BEAT_SECONDS = 0.5


def main(end: socket.socket) -> int:
    """Serve what comes over this end of the line to the supervisor, and drain; the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return loop.run(_work(end))


async def _work(end: socket.socket) -> int:
    link, stop = await Link.over(end), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    link.send({"pid": os.getpid()})
    messages = link.messages()
    order = await _first(messages, stop)
    if order is None:
        return 0
    settings = Settings(**order["settings"])
    take_over_libraries(settings.log_format)
    log = make_log(settings.log_format, settings.log_level)
    async with Server(settings, log, share_port=True) as server:
        spare_collector()
        log.info("serving", host=settings.host, port=server.port, pid=os.getpid())
        link.send({"ready": server.health.is_ready})
        link.send({"serving": True})
        background = [
            asyncio.create_task(_beat(link, server)),
            asyncio.create_task(_answer(link, messages, server, stop)),
        ]
        if not await server.serve_until(stop):
            return 1
    for task in background:
        task.cancel()
    log.info("worker stopped", pid=os.getpid())
    log.flush()
    return 0


async def _first(messages: AsyncIterator[Message], stop: asyncio.Event) -> Message | None:
    """The order to serve; None if there is none any more."""
    order = asyncio.ensure_future(anext(messages, None))
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait([order, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if order.done():
        return order.result()
    order.cancel()
    return None


async def _beat(link: Link, server: Server) -> None:
    """Show that the loop turns, and whether the services are ready."""
    while True:
        link.send({"ready": server.health.is_ready})
        await asyncio.sleep(_BEAT_SECONDS)


async def _answer(link: Link, messages: AsyncIterator[Message], server: Server, stop: asyncio.Event) -> None:
    """Give metrics when asked; stop when nobody is left to ask."""
    with contextlib.suppress(asyncio.CancelledError):
        async for message in messages:
            if "metrics" in message:
                text = generate_latest(server.metrics.registry).decode()
                link.send({"metrics": message["metrics"], "text": text})
        stop.set()
