"""What can be set of lanes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST_STEPS: Final = 5
"""The most statements of a unit, as `Database.run` takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSettings:
    """The settings of all lanes of a process; times in seconds.

    Nothing that was sent can be cancelled: `statement_timeout` and `lock_timeout` bound each statement, and with it
    the time that the units behind it on its lane wait. None leaves one out, as behind PgBouncer, where both are the
    login's own settings.
    """

    read_lanes: int = 4
    """Lanes for units that only read."""
    write_lanes: int = 32
    """Lanes for units that write. Each commits one unit per flush of the log: a slow disk needs many."""
    statement_timeout: float | None = 5.0
    lock_timeout: float | None = 1.0
    window: int = 64
    """The most units of a lane that are sent and unanswered: those in doubt when its connection breaks."""
    queue: int = 1024
    """The most that wait their turn on a lane; any more are refused."""
    patience: float = 2.0
    """How long a unit waits for a lane when none is up."""
    silence: float = 30.0
    """When a connection that owes answers and says nothing is given up."""
    connect_timeout: float = 5.0
    max_lifetime: float = 1800.0
    """When a connection is replaced, so that no server process grows old."""

    def __post_init__(self) -> None:
        if self.read_lanes < 1 or self.write_lanes < 1:
            raise ValueError("there is at least one lane for reads, and one for writes")
        if self.window < 1 or self.queue < 1:
            raise ValueError("window and queue are at least 1")
        # A unit's answers may all come at its end.
        if self.statement_timeout is not None and self.silence <= MOST_STEPS * self.statement_timeout:
            raise ValueError(f"silence is longer than {MOST_STEPS} times statement_timeout")
