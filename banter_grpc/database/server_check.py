"""What a server must not be, if it is to keep what it was given."""

from __future__ import annotations

import psycopg

from banter_grpc.database.errors import UnavailableError


async def unsafe_settings(url: str) -> list[str]:
    """The settings of the server that let it lose committed data in a crash. Raises `UnavailableError`."""
    try:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=5) as connection:
            rows = await connection.execute(
                "SELECT name FROM pg_settings"
                " WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' ORDER BY name"
            )
            return [name for (name,) in await rows.fetchall()]
    except psycopg.Error as error:
        raise UnavailableError("cannot connect to the database") from error
