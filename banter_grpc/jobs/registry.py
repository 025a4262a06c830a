"""All jobs there are.

A new one is one more entry of `JOBS`, such as this::

Job.of_step(
    "purge_read_notifications",  # the name of its query
    HOUR,
    "deletes notifications that were read 90 days ago",
    lambda most: user_notifications.purge_read_notifications(most=most),
)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from banter_grpc.jobs.job import Job

SECOND: Final = 1.0
MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86400.0

JOBS: Final[Sequence[Job]] = ()
"""In the order in which they run where several are due."""
