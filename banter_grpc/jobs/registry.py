"""All jobs there are.

A new one is one more entry of `JOBS`, with the name of its query: the first that is due runs first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from banter_grpc.database.queries import user_activity, user_hosts, user_notifications, wallet
from banter_grpc.jobs import subscriptions
from banter_grpc.jobs.job import Job

SECOND: Final = 1.0
MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86400.0

JOBS: Final[Sequence[Job]] = (
    Job(
        name="renew_subscriptions",
        every=MINUTE,
        about="charges the next period of subscriptions that end within 24 hours",
        run=subscriptions.renew,
        batch=subscriptions.BATCH,
    ),
    Job.of_step(
        "make_activity_partitions",
        HOUR,
        "makes the tables of activities for the months to come",
        lambda _: user_activity.make_activity_partitions(),
    ),
    Job.of_step(
        "fold_activity_tallies",
        5 * SECOND,
        "adds what was counted of activities to the totals of their days",
        lambda most: user_activity.fold_activity_tallies(at_most=most),
    ),
    Job.of_step(
        "clear_seen_lately",
        MINUTE,
        "takes hosts who have been away for an hour out of the way of those who are online",
        lambda most: user_hosts.clear_seen_lately(most=most),
    ),
    Job.of_step(
        "purge_read_notifications",
        HOUR,
        "deletes notifications that were read 90 days ago",
        lambda most: user_notifications.purge_read_notifications(at_most=most),
    ),
    Job.of_step(
        "purge_notification_sends",
        HOUR,
        "forgets what was answered to senders of notifications 30 days ago",
        lambda most: user_notifications.purge_notification_sends(at_most=most),
    ),
    Job.of_step(
        "purge_idempotency_keys",
        HOUR,
        "forgets the keys of money requests that are 30 days old",
        lambda most: wallet.purge_idempotency_keys(at_most=most),
    ),
    Job.of_step(
        "drop_activity_partitions",
        DAY,
        "drops the tables of activities that are older than 13 months",
        lambda _: user_activity.drop_activity_partitions(),
    ),
)
"""In the order in which they run where several are due."""
