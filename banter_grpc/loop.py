"""The event loop that everything runs on, and its tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


def run(work: Coroutine[None, None, T]) -> T:
    """Run to the end: on uvloop, where there is one."""
    try:
        import uvloop  # noqa: PLC0415 - not on every system
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def is_cancelled() -> bool:
    """Whether somebody has cancelled the task that runs: a `CancelledError` without that comes from within."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
