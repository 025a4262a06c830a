"""`banter token`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from banter_grpc.cli.failures import CommandError
from banter_grpc.cli.options import DataDir, ServiceUrl

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def token(
    user: Annotated[UUID | None, typer.Option(metavar="ID", help="For the user of this id.")] = None,
    phone: Annotated[str | None, typer.Option(metavar="PHONE", help="For the user of this phone number.")] = None,
    service: Annotated[str | None, typer.Option(metavar="NAME", help="For a service of this name.")] = None,
    ttl: Annotated[
        str, typer.Option(metavar="TIME", help="How long it is good, such as 90s, 15m, 12h or 30d.")
    ] = "12h",
    data_dir: DataDir = None,
    database_url: ServiceUrl = None,
) -> None:
    """Print a token that banter dev accepts: it is signed with the key that banter dev made in its folder.

    Nothing else is printed, so that $(banter token ...) works. banter serve does not accept it.
    """
    if sum(each is not None for each in (user, phone, service)) != 1:
        raise typer.BadParameter("give one of --user, --phone and --service")
    seconds = _parse(ttl)
    if service is not None and not (service.isprintable() and 0 < len(service) <= 255):
        raise typer.BadParameter("a service's name has 1 to 255 visible characters", param_hint="--service")
    from banter_grpc.cli.environment import settings
    from banter_grpc.cli.places import dev_key, folder
    from banter_grpc.rpc.mint import DEV_AUDIENCE, DEV_ISSUER, DEV_SERVICE_ISSUER, mint

    key = dev_key(folder(data_dir, settings()))
    if service is not None:
        print(mint(key, DEV_SERVICE_ISSUER, DEV_AUDIENCE, service, seconds))
        return
    subject = str(user) if phone is None else _user_of(phone, database_url, data_dir)
    print(mint(key, DEV_ISSUER, DEV_AUDIENCE, subject, seconds))


def _parse(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text)
    if match is None or int(match[1]) == 0:
        raise typer.BadParameter("write it like 90s, 15m, 12h or 30d", param_hint="--ttl")
    return int(match[1]) * _SECONDS[match[2]]


def _user_of(phone: str, database_url: str | None, data_dir: Path | None) -> str:
    """The id of the active user of a phone number."""
    import asyncio

    from banter_grpc.cli.targets import as_service, require_migrated
    from banter_grpc.errors import Refusal
    from banter_grpc.values import parse_phone_number

    try:
        number = parse_phone_number(phone, "+91", field="phone").e164
    except Refusal:
        raise typer.BadParameter("write it like +919876543210", param_hint="--phone") from None
    with as_service(database_url, data_dir) as target:
        require_migrated(target.url)
        found = asyncio.run(_find(target.url, number))
    if found is None:
        raise CommandError(f"no active user has the phone number {number}: check it")
    return found


async def _find(url: str, number: str) -> str | None:
    from banter_grpc.cli.connected import connected, find

    async with connected(url) as database:
        profile = await find(database, number)
    return profile.user_id if profile else None
