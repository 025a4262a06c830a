"""Competes for the lease, and runs the jobs while it is held."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from banter_grpc.database.database import Database
from banter_grpc.database.errors import DatabaseError
from banter_grpc.jobs.job import Job
from banter_grpc.jobs.lease import Lease
from banter_grpc.loop import is_cancelled
from banter_grpc.rpc.telemetry.jobs import JobObserver, Outcome

_LOOK_SECONDS: Final = 1.0
"""How often a process looks whether the lease is free, and the holder asks again where it got no answer."""
_BREAK_SECONDS: Final = 5.0
"""How long a job that is broken off may take to end, when the process does."""
_DONE: Final[Outcome] = "done"


class JobRunner:
    """The jobs of one process, one after another over `database`, while `lease` is held. Start it, then close it."""

    def __init__(self, jobs: Sequence[Job], database: Database, lease: Lease, observer: JobObserver) -> None:
        self._jobs = jobs
        self._database = database
        self._lease = lease
        self._observer = observer
        self._look = min(_LOOK_SECONDS, lease.renewal)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Compete from now on, in the running event loop."""
        self._task = asyncio.create_task(self._compete(), name="jobs")

    async def close(self) -> None:
        """Break off the job that runs, and let the lease go."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_BREAK_SECONDS)
        await self._lease.release()

    async def _compete(self) -> None:
        while True:
            await self._ask()
            if self._lease.left:
                await self._hold()
            await asyncio.sleep(self._look)

    async def _ask(self) -> float:
        """Ask for the lease; after how many seconds to ask again. No answer changes nothing."""
        try:
            await self._lease.take()
        except DatabaseError:
            return self._look
        return self._lease.renewal

    async def _hold(self) -> None:
        """Work for as long as the lease is renewed in time."""
        self._observer.lease(held=True)
        work = asyncio.create_task(self._work(), name="jobs at work")
        pause = self._lease.renewal
        try:
            while self._lease.left and not work.done():
                # A timer of its own: a process that was halted stops work before it takes another step.
                alarm = asyncio.get_running_loop().call_later(self._lease.left, work.cancel)
                try:
                    await asyncio.wait([work], timeout=min(pause, self._lease.left))
                    pause = await self._ask()
                finally:
                    alarm.cancel()
        finally:
            work.cancel()
            await asyncio.wait([work])
            self._observer.lease(held=False)
            if not work.cancelled() and (error := work.exception()) is not None:
                self._observer.broke(error)

    async def _work(self) -> None:
        """Run what is due, the longest overdue first. All of it is when a process begins."""
        if not self._jobs:
            await asyncio.Event().wait()
        due = dict.fromkeys(self._jobs, time.monotonic())
        while self._lease.left:
            job, started = min(due, key=due.__getitem__), time.monotonic()
            if due[job] > started:
                await asyncio.sleep(due[job] - started)
                continue
            pause = await self._run(job)
            # Never in the past: what others were waiting for meanwhile comes first.
            due[job] = max(time.monotonic(), started + pause)

    async def _run(self, job: Job) -> float:
        """Run a job once; so many seconds later it is due again. Raises nothing but a cancellation from outside."""
        started, items, outcome = time.monotonic(), 0, _DONE
        fault: BaseException | None = None
        limit = asyncio.timeout(job.limit)
        try:
            async with limit:
                items = await job.run(self._database)
        except asyncio.CancelledError as error:
            if is_cancelled():
                self._observer.ran(job.name, "stopped", time.monotonic() - started)
                raise
            outcome, fault = "failed", error
        except Exception as error:  # whatever it is, the other jobs run
            outcome, fault = ("timed out" if limit.expired() else "failed"), error
        self._observer.ran(job.name, outcome, time.monotonic() - started, items, fault)
        if outcome != _DONE:
            return min(job.every, job.retry)
        return 0.0 if job.is_full(items) else job.every
