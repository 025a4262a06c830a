"""The event loop that everything runs on, its tasks, and signals."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from types import FrameType
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


def on_signal(number: signal.Signals, call: Callable[[], None]) -> None:
    """Call this within the loop that runs, at every such signal.

    Unlike the loop's own handlers it stays until another takes its place: no signal in between ends the process.
    """
    loop = asyncio.get_running_loop()

    def handle(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(call)

    signal.signal(number, handle)
