"""`banter queries generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from banter_grpc.cli.failures import CommandError
from banter_grpc.cli.options import DataDir, OwnerUrl
from banter_grpc.cli.output import working


def generate(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if a module is stale.")] = False,
    data_dir: DataDir = None,
    database_url: OwnerUrl = None,
) -> None:
    """Write banter_grpc/database/queries/ from sql/, with the types that a migrated database tells."""
    from banter_grpc import resources
    from banter_grpc.cli.targets import as_owner, require_migrated
    from banter_grpc.database import generator, queries

    if not resources.in_checkout():
        raise CommandError("query modules are made in a checkout of the sources, not in an installed package")
    out = Path(next(iter(queries.__path__)))
    with as_owner(database_url, data_dir) as target, working("asking the database"):
        require_migrated(target.url)
        run = generator.stale if check else generator.generate
        changed = run(resources.sql(), out, target.url)
    names = [path.name for path in changed]
    if check and names:
        raise CommandError(f"{', '.join(names)} differ from sql/: run banter queries generate")
    print("\n".join(f"wrote {name}" for name in names) or "every module is up to date")
