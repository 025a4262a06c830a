"""Notifications: hints from the database that something has changed. None of them is sure to arrive."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

import psycopg
from psycopg import sql

from banter_grpc.database.settings import PoolSettings, connection_string

_log = logging.getLogger(__name__)
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_QUIET: Final = 30.0


class Listener:
    """A connection that listens on one channel and is made again whenever it breaks.

    `on_payload` gets the payload of each notification, and None after each time that one may have been missed.
    """

    def __init__(
        self, url: str, channel: str, on_payload: Callable[[str | None], object], *, instance: str = ""
    ) -> None:
        settings = PoolSettings(url=url, instance=instance, client_check_interval=None)
        self._conninfo = connection_string(settings, "listener")
        self._channel = channel
        self._on_payload = on_payload
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._missed = False
        self._listens = False

    async def open(self) -> None:
        """Start, and return when it listens or its first attempt has failed; it goes on trying."""
        self._task = asyncio.create_task(self._keep(), name=f"listener {self._channel}")
        await self._tried.wait()

    async def close(self) -> None:
        """Stop listening."""
        if self._task is None:
            return
        task, self._task = self._task, None
        task.cancel()
        await asyncio.wait([task])

    async def _keep(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            self._listens = False
            try:
                await self._listen()
            except psycopg.Error as error:
                level = logging.WARNING if self._listens or not self._tried.is_set() else logging.DEBUG
                _log.log(level, "not listening on %s: %s", self._channel, type(error).__name__)
            if self._listens:
                pause = _FIRST_PAUSE
            self._missed = True
            self._tried.set()
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(_LONGEST_PAUSE, pause * 2)

    async def _listen(self) -> None:
        """Listen until the connection breaks."""
        async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
            self._listens = True
            if self._missed:
                self._tell(None)
            self._tried.set()
            while True:
                async for notification in connection.notifies(timeout=_QUIET):
                    self._tell(notification.payload)
                await connection.execute("SELECT 1")  # a connection that went without a word does not say so itself

    def _tell(self, payload: str | None) -> None:
        try:
            self._on_payload(payload)
        except Exception:
            _log.exception("a notification on %s was not handled", self._channel)
