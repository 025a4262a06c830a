"""One worker as its supervisor sees it."""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from banter_grpc.workers.link import Link

_METRICS_SECONDS = 2.0


class Worker:
    """A process that stands by, then serves, then drains."""

    def __init__(self, process: asyncio.subprocess.Process, link: Link) -> None:
        self._process = process
        self._link = link
        self._asked: dict[int, asyncio.Future[str]] = {}
        self._numbers = itertools.count()
        self.heard = time.monotonic()
        self.standing_by = asyncio.Event()
        self.serving = asyncio.Event()
        self.ended = asyncio.Event()
        self.ready = False
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._wait())]

    @classmethod
    async def launch(cls) -> Worker:
        """Start a process; it stands by as soon as it has imported what it needs."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "banter_grpc.workers.worker",
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
            )
        return cls(process, await Link.over(ours))

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """How it ended; negative for a signal; None while it lives."""
        return self._process.returncode

    async def serve(self, settings: Mapping[str, Any], seconds: float) -> bool:
        """Have it serve. Whether it did within `seconds`; if not it is killed."""
        serving = asyncio.create_task(self._serve(settings))
        ended = asyncio.create_task(self.ended.wait())
        await asyncio.wait([serving, ended], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        serving.cancel()
        ended.cancel()
        if self.serving.is_set() and not self.ended.is_set():
            return True
        await self.stop(0.0)
        return False

    async def stop(self, drain: float) -> None:
        """Have it drain, and kill it if that takes longer than `drain` seconds."""
        if drain:
            self._signal(signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(drain):
                    await self.ended.wait()
        self.kill()
        await self.ended.wait()
        for task in self._tasks:
            task.cancel()
        self._link.close()

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    async def metrics(self) -> str:
        """Its metrics as text; nothing if it does not answer in time."""
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self._link.send({"metrics": number})
        try:
            async with asyncio.timeout(_METRICS_SECONDS):
                return await answer
        except TimeoutError:
            return ""
        finally:
            del self._asked[number]

    async def _serve(self, settings: Mapping[str, Any]) -> None:
        await self.standing_by.wait()
        self._link.send({"settings": dict(settings)})
        await self.serving.wait()

    async def _listen(self) -> None:
        async for message in self._link.messages():
            self.heard = time.monotonic()
            match message:
                case {"standing_by": True}:
                    self.standing_by.set()
                case {"serving": True}:
                    self.serving.set()
                case {"ready": bool(ready)}:
                    self.ready = ready
                case {"metrics": int(number), "text": str(text)}:
                    if (answer := self._asked.get(number)) is not None and not answer.done():
                        answer.set_result(text)
                case _:
                    pass

    async def _wait(self) -> None:
        await self._process.wait()
        self.ready = False
        self.ended.set()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
