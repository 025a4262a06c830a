"""The two people that an empty development database begins with."""

from __future__ import annotations

from typing import NamedTuple

from banter_grpc import ids
from banter_grpc.cli.connected import connected, find
from banter_grpc.database.database import Database
from banter_grpc.database.queries import user as user_queries
from banter_grpc.database.queries.user import Profile
from banter_grpc.database.statement import Step
from banter_grpc.seeding.people import ADMIN_PHONE_NUMBER, FIRST_PHONE_NUMBER


class Beginner(NamedTuple):
    """Somebody whom `banter dev` makes."""

    phone_number: str
    full_name: str


ADMIN = Beginner(ADMIN_PHONE_NUMBER, "Admin User")
USER = Beginner(FIRST_PHONE_NUMBER, "Test User 0")


async def find_or_make(service_url: str) -> list[Profile]:
    """The admin and the user of a database, made if it has no users at all; those of them who are there and active.

    Processes that begin at once make them once.
    """
    async with connected(service_url) as database:
        if await database.run(user_queries.find_first_user()) is None:
            await _make(database)
        return [profile for who in (ADMIN, USER) if (profile := await find(database, who.phone_number)) is not None]


async def _make(database: Database) -> None:
    """All or nothing, in one unit; who comes second inserts nobody, and gives nobody a role."""
    admin_id = ids.new_id()
    await database.run(
        _insert(admin_id, ADMIN),
        user_queries.set_user_role(role="admin", user_id=admin_id),
        _insert(ids.new_id(), USER),
    )


def _insert(user_id: str, who: Beginner) -> Step[int]:
    return user_queries.insert_user(
        user_id=user_id,
        phone_number=who.phone_number,
        country_code="+91",
        full_name=who.full_name,
        firebase_uid=None,
        timezone="Asia/Kolkata",
    )
