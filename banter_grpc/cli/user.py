"""`banter user ...`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from uuid import UUID

import typer

from banter_grpc.cli.failures import CommandError
from banter_grpc.cli.options import DataDir, ServiceUrl


class Role(StrEnum):
    """What an account may do."""

    USER = "user"
    MODERATOR = "moderator"
    ADMIN = "admin"


def role(
    user_id: Annotated[UUID, typer.Argument(metavar="ID", help="Id of the user.")],
    to: Annotated[Role, typer.Argument(metavar="ROLE", help="user, moderator or admin.")],
    data_dir: DataDir = None,
    database_url: ServiceUrl = None,
) -> None:
    """Give a user a role. Servers that run know of it at once, or within seconds."""
    import asyncio

    from banter_grpc.cli.targets import as_service, require_migrated

    with as_service(database_url, data_dir) as target:
        require_migrated(target.url)
        name = asyncio.run(_set_role(target.url, str(user_id), to.value))
    print(f"{name} ({user_id}) is now {to.value}")


async def _set_role(url: str, user_id: str, to: str) -> str:
    """The name of the user whose role was set."""
    from banter_grpc.cli.connected import connected
    from banter_grpc.database.queries import user as user_queries

    async with connected(url) as database:
        changed, profile = await database.run(
            user_queries.set_user_role(role=to, user_id=user_id), user_queries.get_user(user_id=user_id)
        )
    if profile is None or not changed:
        raise CommandError(f"there is no user {user_id}, or he was deleted: check the id")
    return profile.full_name
