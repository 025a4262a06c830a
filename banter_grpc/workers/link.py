"""The line between supervisor and worker: JSON objects, one a line, over a pair of sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

Message = dict[str, Any]

_MOST_BYTES = 16 * 1024 * 1024
"""The longest line: a worker's metrics."""


class Link:
    """One end of the line. The other end's death is the end of the messages."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Link:
        """The link of one end of a pair."""
        return cls(*await asyncio.open_unix_connection(sock=end, limit=_MOST_BYTES))

    def send(self, message: Message) -> None:
        """Send a message; nothing happens if the other end is gone."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def messages(self) -> AsyncIterator[Message]:
        """The other end's messages, until it is gone."""
        while True:
            try:
                line = await self._reader.readline()
            except (ConnectionError, ValueError):
                return
            if not line.endswith(b"\n"):
                return
            yield json.loads(line)

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
