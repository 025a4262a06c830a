"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

DataDir: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of the embedded database. Default: BANTER_DATA_DIR, else /var/lib/banter (root) or"
        " ~/.local/share/banter.",
        show_default=False,
    ),
]
OwnerUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        metavar="URL",
        help="Another database instead, as its owner: postgresql://owner@host/database. Default:"
        " BANTER_MIGRATION_DATABASE_URL.",
        show_default=False,
    ),
]
ServiceUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        metavar="URL",
        help="Another database instead: postgresql://service@host/database. Default: BANTER_DATABASE_URL.",
        show_default=False,
    ),
]
Host: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help="Address to listen on. Default: BANTER_HOST, else 127.0.0.1.", show_default=False
    ),
]
Port: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        metavar="PORT",
        help="Port to listen on; 0 takes a free one. Default: BANTER_PORT, else 50051.",
        show_default=False,
    ),
]
