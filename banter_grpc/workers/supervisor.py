"""The supervisor: keeps so many workers serving on one port.

A worker that dies is replaced, and so is one whose loop has been silent. SIGHUP replaces them one by one, each by a new
one that serves before the old one drains. SIGTERM and SIGINT drain all.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from banter_grpc import loop
from banter_grpc.foreseen import ForeseenError
from banter_grpc.rpc.telemetry.logs import Log
from banter_grpc.workers.exposition import MetricsEndpoint, merge
from banter_grpc.workers.process import ForkServer, Worker

_LOOK_SECONDS = 0.25
_LONGEST_PAUSE = 5.0


class PortError(ForeseenError):
    """A port can't be listened on; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be kept up; times in seconds."""

    workers: int
    host: str
    port: int
    metrics_port: int | None
    settings: Mapping[str, Any]
    """What differs from the environment in each worker's `Settings`; JSON values."""
    drain: float
    """How long a worker may take to finish its calls and end."""
    silence: float = 10.0
    """How long a serving worker's loop may say nothing."""
    start: float = 60.0
    """How long a worker may take from its order until it serves."""


class Supervisor:
    """Carries out a plan until it is told to stop."""

    def __init__(self, plan: Plan, log: Log) -> None:
        self._plan = plan
        self._log = log
        self._slots: list[Worker | None] = [None] * plan.workers
        self._fork_server: ForkServer | None = None
        self._launching = asyncio.Lock()
        self._retiring: set[Worker] = set()
        self._stop = asyncio.Event()
        self._roll = asyncio.Event()
        self.port = plan.port
        self.metrics_port = plan.metrics_port

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; raises `PortError`."""
        endpoint = MetricsEndpoint(self._metrics, self.is_ready)
        with _reserve(self._plan.host, self._plan.port) as port:
            self.port = port.getsockname()[1]
            if self._plan.metrics_port is not None:
                self.metrics_port = await _open(endpoint, self._plan.host, self._plan.metrics_port)
                self._log.info("metrics", host=self._plan.host, port=self.metrics_port)
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.on_signal(number, self._stop.set)
            loop.on_signal(signal.SIGHUP, self._roll.set)
            tasks = [asyncio.create_task(self._keep(slot)) for slot in range(self._plan.workers)]
            tasks += [asyncio.create_task(self._watch()), asyncio.create_task(self._replace_when_told())]
            await self._stop.wait()
            self._log.info("stopping", workers=self._plan.workers)
            await self._end(tasks)
            await endpoint.close()
        self._log.info("stopped")

    def is_ready(self) -> bool:
        """Whether at least one worker is."""
        return any(worker is not None and worker.ready for worker in self._slots)

    async def _keep(self, slot: int) -> None:
        """Keep a worker in the slot."""
        pause = 0.0
        while True:
            worker = self._slots[slot]
            if worker is None:
                worker = await self._start(slot)
                if worker is None:
                    pause = min(_LONGEST_PAUSE, pause * 2 or 0.25)
                    await asyncio.sleep(pause)
                    continue
                pause = 0.0
                if self._slots[slot] is not None:  # a replacement came first
                    await self._retire(worker)
                    continue
                self._slots[slot] = worker
            await worker.ended.wait()
            if self._slots[slot] is worker:
                self._slots[slot] = None
                self._log.error("worker died", slot=slot, pid=worker.pid, exit_status=worker.exit_status)
                await worker.stop(0.0)

    async def _start(self, slot: int, fork_server: ForkServer | None = None) -> Worker | None:
        """A worker that serves; None if the one that was to does not."""
        settings = {**self._plan.settings, "port": self.port, "metrics_port": None}
        try:
            fork_server = fork_server or await self._living_fork_server()
            worker = await fork_server.fork()
        except OSError as error:
            self._log.error("worker did not start", slot=slot, reason=str(error))
            return None
        if await worker.serve(settings, self._plan.start):
            return worker
        self._log.error("worker did not start", slot=slot, pid=worker.pid, exit_status=worker.exit_status)
        if worker.pid is None:  # nothing was forked in all this time
            await fork_server.end()
        return None

    async def _living_fork_server(self) -> ForkServer:
        """The one there is, or a new one if it is gone. Raises `OSError`."""
        async with self._launching:
            if self._fork_server is None or self._fork_server.is_gone:
                self._fork_server = await ForkServer.launch()
            return self._fork_server

    async def _watch(self) -> None:
        """Kill workers whose loop is silent."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for slot, worker in enumerate(self._slots):
                if worker is not None and time.monotonic() - worker.heard > self._plan.silence:
                    self._log.error("worker is silent, and is killed", slot=slot, pid=worker.pid)
                    worker.kill()

    async def _replace_when_told(self) -> None:
        while True:
            await self._roll.wait()
            self._roll.clear()
            await self._replace()

    async def _replace(self) -> None:
        """Replace all by what is installed now; when that does not start, what was there before goes on."""
        try:
            installed = await ForkServer.launch()
        except OSError as error:
            self._log.error("replacement given up", reason=str(error))
            return
        for slot in range(self._plan.workers):
            new = await self._start(slot, installed)
            if new is None:
                self._log.error("replacement given up: what is installed now does not start", slot=slot)
                installed.hang_up()
                return
            old, self._slots[slot] = self._slots[slot], new
            if old is not None:
                await self._retire(old)
                self._log.info("worker replaced", slot=slot, old=old.pid, new=new.pid)
        if self._fork_server is not None:
            self._fork_server.hang_up()
        self._fork_server = installed

    async def _retire(self, worker: Worker) -> None:
        """Drain a worker that another has replaced."""
        self._retiring.add(worker)
        await worker.stop(self._plan.drain)
        self._retiring.remove(worker)

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        """Drain all workers, and take back what is under way."""
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        left = self._retiring.union(worker for worker in self._slots if worker is not None)
        await asyncio.gather(*(worker.stop(self._plan.drain) for worker in left))
        if self._fork_server is not None:
            await self._fork_server.end()

    async def _metrics(self) -> str:
        serving = [(slot, worker) for slot, worker in enumerate(self._slots) if worker is not None]
        texts = await asyncio.gather(*(worker.metrics() for _, worker in serving))
        return merge({slot: text for (slot, _), text in zip(serving, texts, strict=True)})


def _reserve(host: str, port: int) -> socket.socket:
    """A socket that keeps the port for our workers, who share it; raises `PortError`."""
    reserved: list[socket.socket] = []
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # Without sharing first: with it, another server's workers there would not be noticed.
        with socket.socket(family, socket.SOCK_STREAM) as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind((host, port))
            port = alone.getsockname()[1]
        shared = socket.socket(family, socket.SOCK_STREAM)
        reserved.append(shared)
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind((host, port))
    except OSError as error:
        for left in reserved:
            left.close()
        raise PortError(
            f"{host}:{port} can't be listened on ({error.strerror}); choose another with --host and --port"
        ) from None
    return shared


async def _open(endpoint: MetricsEndpoint, host: str, port: int) -> int:
    try:
        return await endpoint.open(host, port)
    except OSError as error:
        raise PortError(
            f"{host}:{port} can't be listened on for metrics ({error.strerror}); choose another with --metrics-port"
        ) from None
