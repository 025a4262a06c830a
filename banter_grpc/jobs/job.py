"""One job: a name, how often, and what it does to the database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Self

from banter_grpc.database.database import Database
from banter_grpc.database.statement import Step

Run = Callable[[Database], Awaitable[int]]
"""Does at most a batch of what is to be done, and says how many items that were."""
StepMaker = Callable[[int], Step[int] | Step[tuple[Any, ...] | None]]
"""Makes the step that does at most so many items, and answers how many: a count, or the first column of its row."""

BATCH: Final = 1000
LIMIT: Final = 60.0
RETRY: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work that is due every so many seconds, at once again after a full batch, and sooner after a failure.

    `about` is one line that says what it does; `limit` is the longest that one run may take, and `retry` after how long
    one that failed is tried again, both in seconds.
    """

    name: str
    every: float
    about: str
    run: Run
    batch: int = BATCH
    limit: float = LIMIT
    retry: float = RETRY

    @classmethod
    def of_step(
        cls, name: str, every: float, about: str, step: StepMaker, *, batch: int = BATCH, limit: float = LIMIT
    ) -> Self:
        """A job whose batch is one step."""

        async def run(database: Database) -> int:
            answer = await database.run(step(batch))
            return answer if isinstance(answer, int) else int((answer or (0,))[0] or 0)

        return cls(name=name, every=every, about=about, run=run, batch=batch, limit=limit)

    def is_full(self, items: int) -> bool:
        """Whether a run that did so many items may have left some."""
        return items >= self.batch


async def run_to_end(job: Job, database: Database, done: Callable[[int], None]) -> int:
    """Run a job until a batch is not full: how many items that were. `done` is told of as many after each batch."""
    total = 0
    while True:
        items = await job.run(database)
        total += items
        done(total)
        if not job.is_full(items):
            return total
        await asyncio.sleep(0)
