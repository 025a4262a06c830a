"""Erasing a user behind the server's back."""

from __future__ import annotations

ERASE = (
    "UPDATE users SET phone_number = NULL, country_code = NULL, full_name = NULL, timezone = NULL, firebase_uid = NULL,"
    " is_active = FALSE, delete_time = clock() WHERE id = %s"
)
"""Takes the user's id."""
