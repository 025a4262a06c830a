"""What the schema says of people, where it is neither exported nor erased by itself: each with its reason.

By itself a table is exported that has a query `export_<table>` in `sql/user_data.sql`, and a column is erased that
refers to `living_users` with `ON DELETE CASCADE`. `test_personal_data.py` finds the others, unless they are here.
"""

from __future__ import annotations

from typing import Final

NOT_EXPORTED: Final[dict[str, str]] = {
    "living_users": "an id that the person's row in users has, too",
    "user_words": "the words of names that stand in users, too",
    "notification_sends": "ids of people who were not there to be told something, for 30 days",
    "idempotency_keys": "what became of requests for a month: the transactions tell it, too",
}
"""Tables with rows about one person that ExportUserData leaves out."""

KEPT: Final[dict[str, str]] = {
    "living_users.user_id": "the row is deleted by the trigger users_die, and takes the others along",
    "wallets.user_id": "the history of money stays, without a name",
    "transactions.user_id": "the history of money stays, without a name",
    "entries.user_id": "the history of money stays, without a name",
    "earnings.user_id": "the history of money stays, without a name",
    "payments.user_id": "a payment stays credited once",
    "withdrawals.user_id": "the history of money stays, without a name",
    "withdrawals.reviewer_id": "who decided, for the history of money",
    "subscriptions.user_id": "the history of money stays, without a name",
    "subscription_periods.user_id": "what was paid for stays, without a name",
    "refunds.user_id": "the history of money stays, without a name",
    "host_bonuses.user_id": "a bonus stays given once",
    "host_verifications.reviewer_id": "who decided, for as long as the applicant is there",
}
"""Columns that refer to users: their rows outlive the person. Such a row says nothing about him but his id."""

UNREFERRED: Final[dict[str, str]] = {
    "refunds.host_id": "the host of the earnings that were taken back: it refers to those",
    "transactions.actor_id": "a user or a service, who did it: for the history of money",
    "idempotency_keys.actor_id": "a user or a service: a request stays done once, for a month",
    "notification_sends.missed_user_ids": "an array, of ids that were nobody's: what was answered, for a month",
}
"""Columns that name a user, and no foreign key can say so. Such a row says nothing about him but his id."""
