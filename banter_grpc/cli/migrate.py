"""`banter migrate ...`."""

from __future__ import annotations

from typing import Annotated

import typer

from banter_grpc.cli.options import DataDir, OwnerUrl
from banter_grpc.cli.output import table, working


def up(data_dir: DataDir = None, database_url: OwnerUrl = None) -> None:
    """Apply the migrations that a database has not had yet. Safe to run anywhere, any number of times."""
    from banter_grpc.cli.targets import as_owner
    from banter_grpc.database.migrations import Migrations

    with as_owner(database_url, data_dir) as target, working("applying migrations"):
        applied = Migrations().up(target.url)
    print("\n".join(f"applied {name}" for name in applied) or "nothing to apply")


def down(
    count: Annotated[int, typer.Argument(min=1, metavar="[N]", help="How many.")] = 1,
    data_dir: DataDir = None,
    database_url: OwnerUrl = None,
) -> None:
    """Roll back the last N migrations, newest first. What they hold is lost with their tables."""
    from banter_grpc.cli.targets import as_owner
    from banter_grpc.database.migrations import Migrations

    with as_owner(database_url, data_dir) as target, working("rolling back"):
        undone = Migrations().down(target.url, count)
    print("\n".join(f"rolled back {name}" for name in undone) or "nothing to roll back")


def status(data_dir: DataDir = None, database_url: OwnerUrl = None) -> None:
    """Say of each migration whether the database has it, and since when."""
    from banter_grpc.cli.targets import as_owner
    from banter_grpc.database.migrations import Migrations

    with as_owner(database_url, data_dir) as target:
        found = Migrations().status(target.url)
    rows = [
        (each.name, each.state.value, f"{each.apply_time:%Y-%m-%d %H:%M:%S %Z}" if each.apply_time else "")
        for each in found
    ]
    table(("migration", "state", "since"), rows)


def new(name: Annotated[str, typer.Argument(metavar="NAME", help="What it does, such as add_rooms.")]) -> None:
    """Write the two files of a new migration, forth and back, into the checkout."""
    from banter_grpc.database.migrations import Migrations

    path = Migrations().create(name)
    print(f"wrote {path}\nwrote {path.with_suffix('.rollback.sql')}")
