"""The metrics of all workers on one port, and whether the service is ready.

GET /metrics   every worker's metrics, each sample with a label `worker`
GET /ready     200 while at least one worker is ready, else 503
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

_REQUEST_SECONDS = 5.0
_MOST_BYTES = 16 * 1024
_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def merge(texts: Mapping[int, str]) -> str:
    """The workers' expositions as one: each family once, its samples labelled with their worker."""
    families: dict[str, tuple[list[str], list[str]]] = {}
    for worker, text in texts.items():
        head, samples = [], list[str]()
        for line in text.splitlines():
            if line.startswith("# HELP "):
                head, samples = families.setdefault(line.split(" ", 3)[2], ([], []))
                head[:] = [line]
            elif line.startswith("#"):
                head[1:] = [line]
            elif line:
                samples.append(_labelled(line, worker))
    return "".join(f"{line}\n" for head, samples in families.values() for line in [*head, *samples])


def _labelled(line: str, worker: int) -> str:
    name, brace, rest = line.partition("{")
    if brace:
        return f'{name}{{worker="{worker}",{rest}'
    name, _, value = line.partition(" ")
    return f'{name}{{worker="{worker}"}} {value}'


class MetricsEndpoint:
    """A small HTTP server: one request a connection, bounded in size and time."""

    def __init__(self, collect: Callable[[], Awaitable[str]], is_ready: Callable[[], bool]) -> None:
        self._collect = collect
        self._is_ready = is_ready
        self._server: asyncio.Server | None = None

    async def open(self, host: str, port: int) -> int:
        """Listen; the port, which for 0 is a free one. Raises `OSError`."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=_MOST_BYTES)
        return self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                status, body = await self._answer(head.split(b"\r\n", 1)[0].decode("latin-1").split(" "))
                text = body.encode()
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: {_TYPE}\r\nContent-Length: {len(text)}\r\n"
                    "Connection: close\r\n\r\n".encode()
                )
                writer.write(text)
                await writer.drain()
        writer.close()

    async def _answer(self, request: list[str]) -> tuple[str, str]:
        match request:
            case ["GET", "/metrics", _]:
                return "200 OK", await self._collect()
            case ["GET", "/ready", _]:
                return ("200 OK", "ready\n") if self._is_ready() else ("503 Service Unavailable", "not ready\n")
            case _:
                return "404 Not Found", "ask for /metrics or /ready\n"
