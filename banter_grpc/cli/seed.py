"""`banter seed`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from banter_grpc.cli.failures import CommandError
from banter_grpc.cli.options import DataDir, OwnerUrl
from banter_grpc.cli.output import progress, working

if TYPE_CHECKING:
    from banter_grpc.cli.targets import Target

_LEAST, _MOST = 10, 5_000_000


def seed(
    users: Annotated[
        int, typer.Option(min=_LEAST, max=_MOST, metavar="N", help="How many users to have, and an admin beside them.")
    ] = 1000,
    seed: Annotated[int, typer.Option(metavar="S", help="Another number makes other people.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Even where people live who were not made up.")] = False,
    data_dir: DataDir = None,
    database_url: OwnerUrl = None,
) -> None:
    """Fill a database with made-up people, for development and for tests of size.

    The same seed makes the same people with the same ids: a second run adds nothing, and a larger N only the rest.
    Nobody who is there is changed. Whatever interrupts it, the next run goes on where it stopped. What was deleted of
    somebody's made-up rows since, such as notifications, comes back; who was erased does not.

    Always there: an admin (+919876543210), hosts with rates (+919000000001 to 3), a moderator (+919000000004) and
    ordinary users (+919000000000, and from +919000000005 to 99), each with 10,000 coins.

    All times but those of these coins are in the past: nobody is online, and nobody has activities.
    """
    from banter_grpc.cli.targets import as_owner
    from banter_grpc.seeding.run import seed as make

    with as_owner(database_url, data_dir) as target:
        _prepare(target, force=force)
        started = time.monotonic()
        with progress("users", users) as done:
            outcome = make(target.url, users, seed, done=done)
        seconds = time.monotonic() - started
    for table, number in outcome.added.items():
        print(f"{table}: {number:,} added")
    if outcome.left_out:
        print(f"{outcome.left_out:,} left out: others have their phone numbers, usernames or e-mail addresses")
    print(f"{users + 1 - outcome.left_out:,} people of seed {seed} are there, after {seconds:.1f} s")


def _prepare(target: Target, *, force: bool) -> None:
    """The embedded database is for development, so it is migrated too; another one may be somebody's production."""
    from banter_grpc.cli.targets import require_migrated
    from banter_grpc.database.migrations import Migrations
    from banter_grpc.seeding.run import has_strangers

    if target.embedded is not None:
        with working("applying migrations"):
            Migrations().up(target.url)
        return
    require_migrated(target.url)
    if not force and has_strangers(target.url):
        raise CommandError(
            "people live in this database who were not made up: check the URL, and add --force if it is the right one"
        )
