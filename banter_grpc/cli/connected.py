"""A database for a command's few queries."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from banter_grpc.database.database import Database, PoolSettings
from banter_grpc.database.queries import user as user_queries
from banter_grpc.database.queries.user import Profile


@asynccontextmanager
async def connected(url: str, *, statement_timeout: float | None = 15.0) -> AsyncGenerator[Database]:
    """The database of this URL, over one connection."""
    database = Database(PoolSettings(url=url, size=1, min_size=1, statement_timeout=statement_timeout))
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def find(database: Database, phone_number: str) -> Profile | None:
    """The active user of a phone number."""
    profile = await database.run(user_queries.get_user_by_phone_number(phone_number=phone_number))
    return profile if profile is not None and profile.is_active else None
