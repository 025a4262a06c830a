"""Deadlines: no call works longer than its policy allows, whatever its client asks for."""

from __future__ import annotations

import asyncio
from types import TracebackType

from banter_grpc.rpc.policy import Policy


class DeadlineExceeded(Exception):
    """The time of the call is over, and its work was cancelled."""


def time_for(policy: Policy, remaining: float | None) -> float | None:
    """Seconds that a call gets, of which its client still waits `remaining`; None where nothing limits it."""
    if remaining is None:
        return policy.default_deadline
    return remaining if policy.max_deadline is None else min(remaining, policy.max_deadline)


class Deadline:
    """Cancels the task in it after `seconds` and then raises `DeadlineExceeded`; with None it does nothing.

    One timer: half of what `asyncio.timeout` costs.
    """

    __slots__ = ("_cancelling", "_expired", "_handle", "_seconds", "_task")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._expired = False

    def __enter__(self) -> None:
        if self._seconds is None:
            return
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._handle = asyncio.get_running_loop().call_later(self._seconds, self._expire)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._seconds is None:
            return
        self._handle.cancel()
        # Taken back even if the work ended without an error: a cancellation left over would hit what follows.
        if self._expired and self._task.uncancel() <= self._cancelling and kind is not None:
            if issubclass(kind, asyncio.CancelledError):
                raise DeadlineExceeded from error

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()
