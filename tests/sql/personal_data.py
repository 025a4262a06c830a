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
    "transactions.actor_id": "who did it, for the history of money",
    "entries.user_id": "the history of money stays, without a name",
    "earnings.user_id": "the history of money stays, without a name",
    "payments.user_id": "a payment stays credited once",
    "idempotency_keys.actor_id": "a request stays done once",
}
"""Columns that refer to users: their rows outlive the person. Such a row says nothing about him but his id."""
