"""Erasing a user behind the server's back, and seeing who waits for it."""

from __future__ import annotations

import asyncio

import psycopg

ERASE = (
    "UPDATE users SET phone_number = NULL, country_code = NULL, full_name = NULL, timezone = NULL, firebase_uid = NULL,"
    " is_active = FALSE, delete_time = clock() WHERE id = %s"
)
"""Takes the user's id."""


async def waits_for(connection: psycopg.AsyncConnection) -> None:
    """Return once another connection waits for a lock that this one holds."""
    async with asyncio.timeout(10):
        while True:
            found = await connection.execute(
                "SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
            )
            if found.rowcount:
                return
            await asyncio.sleep(0.005)
