"""The fork server and its workers, as the supervisor sees them."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

from banter_grpc.workers.link import Link

_METRICS_SECONDS = 2.0


class ForkServer:
    """The process that workers are forked from. It runs the code that was installed when it was launched."""

    def __init__(self, process: asyncio.subprocess.Process, orders: socket.socket, reports: Link) -> None:
        self._process = process
        self._orders = orders
        self._reports = reports
        self._ended: dict[int, asyncio.Future[int | None]] = {}
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def launch(cls) -> Self:
        """Start one; it forks as soon as it has imported what workers need. Raises `OSError`."""
        orders, taken = socket.socketpair()
        reports, told = socket.socketpair()
        orders.setblocking(False)
        with taken, told:
            descriptors = taken.fileno(), told.fileno()
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "banter_grpc.workers.fork_server",
                *map(str, descriptors),
                pass_fds=descriptors,
                stdin=asyncio.subprocess.DEVNULL,
            )
        return cls(process, orders, await Link.over(reports))

    @property
    def is_gone(self) -> bool:
        """Whether it forks no more."""
        return self._listening.done()

    async def fork(self) -> Worker:
        """Order a worker. Raises `OSError` if the fork server is gone."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._orders, [b"\0"], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        return Worker(self, await Link.over(ours))

    async def exit_status(self, pid: int) -> int | None:
        """How this worker ended, once it has; negative for a signal, None if nobody is there any more to tell."""
        try:
            return await self._outcome(pid)
        finally:
            del self._ended[pid]

    def hang_up(self) -> None:
        """Order no more: it ends after the last of its workers."""
        self._orders.close()

    async def end(self) -> None:
        """Kill it. Its workers live on."""
        self.hang_up()
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._listening

    async def _listen(self) -> None:
        async for message in self._reports.messages():
            outcome = self._outcome(int(message["ended"]))
            if not outcome.done():
                outcome.set_result(int(message["exit_status"]))
        for outcome in self._ended.values():
            if not outcome.done():
                outcome.set_result(None)
        self.hang_up()
        self._reports.close()

    def _outcome(self, pid: int) -> asyncio.Future[int | None]:
        outcome = self._ended.get(pid)
        if outcome is None:
            outcome = self._ended[pid] = asyncio.get_running_loop().create_future()
            if self.is_gone:
                outcome.set_result(None)
        return outcome


class Worker:
    """A process that serves when it is told to, then drains."""

    def __init__(self, origin: ForkServer, link: Link) -> None:
        self._origin = origin
        self._link = link
        self._asked: dict[int, asyncio.Future[str]] = {}
        self._numbers = itertools.count()
        self.pid: int | None = None
        """The process's id; None until it says so."""
        self.exit_status: int | None = None
        """How it ended; negative for a signal; None while it lives, or if nobody knows."""
        self.heard = time.monotonic()
        self.serving = asyncio.Event()
        self.ended = asyncio.Event()
        self.ready = False
        self._listening = asyncio.create_task(self._listen())

    async def serve(self, settings: Mapping[str, Any], seconds: float) -> bool:
        """Have it serve. Whether it did within `seconds`; if not, or if nobody waits for it any more, it is killed."""
        self._link.send({"settings": dict(settings)})
        serving = asyncio.create_task(self.serving.wait())
        ended = asyncio.create_task(self.ended.wait())
        try:
            await asyncio.wait([serving, ended], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self.kill()
            raise
        finally:
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
        if self.pid is not None:
            await self.ended.wait()
        self._listening.cancel()
        self._link.close()

    def kill(self) -> None:
        """End it at once."""
        if self.pid is None:
            self._link.close()  # which it finds when it comes to be
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

    async def _listen(self) -> None:
        async for message in self._link.messages():
            self.heard = time.monotonic()
            match message:
                case {"pid": int(pid)}:
                    self.pid = pid
                case {"serving": True}:
                    self.serving.set()
                case {"ready": bool(ready)}:
                    self.ready = ready
                case {"metrics": int(number), "text": str(text)}:
                    if (answer := self._asked.get(number)) is not None and not answer.done():
                        answer.set_result(text)
                case _:
                    pass
        self.ready = False
        if self.pid is not None:
            self.exit_status = await self._origin.exit_status(self.pid)
        self.ended.set()

    def _signal(self, number: signal.Signals) -> None:
        if self.pid is not None and not self.ended.is_set():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)
