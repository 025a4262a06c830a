"""Whether PostgreSQL can be reached, as the attempts to connect to it tell."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

_log = logging.getLogger(__name__)
_PAUSE: Final = 0.25
_PATIENCE: Final = 1.0


class Reach:
    """What the latest attempt to connect came to. It says so in the log once for each change."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        """Why the latest attempt failed; None after one that did not."""
        self._failed_at = 0.0
        self._lost_at = 0.0

    @property
    def is_lost(self) -> bool:
        """Whether it has failed for so long that waiting for the next attempt is in vain."""
        return self.error is not None and time.monotonic() - self._lost_at > _PATIENCE

    async def pause(self) -> None:
        """Let some time pass between a failure and the next attempt, whoever makes it."""
        if self.error is not None:
            await asyncio.sleep(max(0.0, self._failed_at + _PAUSE - time.monotonic()))

    def failed(self, error: Exception) -> None:
        """An attempt failed."""
        self._failed_at = time.monotonic()
        if self.error is None:
            self._lost_at = self._failed_at
            reason = str(error).strip().splitlines() or [type(error).__name__]
            _log.warning("cannot connect to PostgreSQL: %s", reason[0])
        self.error = error

    def connected(self) -> None:
        """An attempt succeeded."""
        if self.error is not None:
            _log.warning("connected to PostgreSQL again, after %.1f s", time.monotonic() - self._lost_at)
        self.error = None
