"""A proxy between a client and PostgreSQL that counts round trips and cuts connections where a test wants it.

It reads the frontend/backend protocol just deep enough: messages, not their contents. Unix sockets and TCP without TLS.
"""

from __future__ import annotations

import asyncio
import shutil
import struct
import tempfile
from collections.abc import Iterator
from enum import Enum, auto
from pathlib import Path
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class Cut(Enum):
    """Where a request is cut off."""

    REQUEST = auto()
    """Before it reaches the server: nothing is executed."""
    ANSWER = auto()
    """When the server has answered it, before the client hears of that: all of it is executed."""


class Messages:
    """Splits one direction of a connection into messages; yields their types."""

    def __init__(self, *, startup: bool) -> None:
        self._buffer = bytearray()
        self._startup = startup

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The types of the messages that `data` completes; the startup message has none."""
        self._buffer += data
        while len(self._buffer) >= 8 if self._startup else len(self._buffer) >= 5:
            start = 0 if self._startup else 1
            (length,) = struct.unpack_from("!I", self._buffer, start)
            if len(self._buffer) < start + length:
                return
            kind = b"" if self._startup else bytes(self._buffer[:1])
            del self._buffer[: start + length]
            self._startup = False
            yield kind


class _Link:
    """One client's connection to the server."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.proxy = proxy
        self.writers = (client, server)
        self.cut: Cut | None = None
        self.unanswered = 0
        self.answered = False

    async def to_server(self, reader: asyncio.StreamReader) -> None:
        messages = Messages(startup=True)
        while data := await reader.read(65536):
            asked = sum(kind in (b"S", b"Q") for kind in messages.feed(data))
            if asked:
                self.unanswered += asked
                self.proxy.syncs += asked
                self.proxy.round_trips += self.answered
                self.answered = False
                self.cut = self.cut or self.proxy.take_cut()
                if self.cut is Cut.REQUEST:
                    return
            self.writers[1].write(data)
            await self.writers[1].drain()

    async def to_client(self, reader: asyncio.StreamReader) -> None:
        messages = Messages(startup=False)
        started = False
        while data := await reader.read(65536):
            ready = sum(kind == b"Z" for kind in messages.feed(data))
            self.unanswered -= ready if started else 0
            started = started or ready > 0
            self.answered = True
            if self.cut is None:
                self.writers[0].write(data)
                await self.writers[0].drain()
            elif not self.unanswered:
                return

    def close(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class Proxy:
    """Stands before the server of `url`. Use it as an async context manager, and give clients its `url`.

    `round_trips` counts how often a client asked after it had been answered; `syncs` counts requests.
    """

    def __init__(self, url: str) -> None:
        self._target = conninfo_to_dict(url)
        self._folder = Path(tempfile.mkdtemp(prefix="banter-proxy-"))
        self._cuts: list[Cut] = []
        self.links: dict[_Link, asyncio.Task[None]] = {}
        self.url = make_conninfo(url, host=str(self._folder))
        self.round_trips = 0
        self.syncs = 0
        self.accepted = 0
        self.refuse = False
        """Whether new connections are broken at once."""

    async def __aenter__(self) -> Self:
        path = self._folder / f".s.PGSQL.{self._target.get('port') or 5432}"
        self._server = await asyncio.start_unix_server(self._serve, path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.drop()
        await asyncio.gather(*self.links.values(), return_exceptions=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def cut(self, *cuts: Cut) -> None:
        """Cut the next requests, one each."""
        self._cuts += cuts

    @property
    def uncut(self) -> int:
        """How many of them have not come yet."""
        return len(self._cuts)

    def take_cut(self) -> Cut | None:
        return self._cuts.pop(0) if self._cuts else None

    def drop(self) -> None:
        """Break every connection now."""
        for link in self.links:
            link.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.refuse:
            writer.transport.abort()
            return
        try:
            from_server, to_server = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        link = _Link(self, writer, to_server)
        task = asyncio.current_task()
        assert task is not None
        self.links[link] = task
        ways = [asyncio.create_task(link.to_server(reader)), asyncio.create_task(link.to_client(from_server))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            link.close()
            await asyncio.gather(*ways, return_exceptions=True)
            del self.links[link]

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = str(self._target.get("host") or "/var/run/postgresql"), self._target.get("port") or 5432
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, int(port))
