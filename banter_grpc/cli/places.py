"""Where a command's database and the development key are: an option says it, else the environment, else a default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import SecretStr

    from banter_grpc.config import Settings
    from banter_grpc.rpc.mint import DevKey


def find_url(database_url: str | None, data_dir: Path | None, configured: SecretStr | None) -> str | None:
    """The URL to use; None for the embedded database. An option weighs more than the environment."""
    if database_url or data_dir:
        return database_url
    return configured.get_secret_value() if configured else None


def folder(data_dir: Path | None, found: Settings) -> Path:
    """The folder of the embedded database and of the development key."""
    return (data_dir or found.data_dir or default_folder()).expanduser()


def default_folder() -> Path:
    """Where data lives when nobody says otherwise: of the system for root, else of the user."""
    if os.geteuid() == 0:
        return Path("/var/lib/banter")
    home = os.environ.get("XDG_DATA_HOME", "")
    return Path(home if home.startswith("/") else Path.home() / ".local" / "share", "banter")


def dev_key(where: Path) -> DevKey:
    """The development key in that folder, made where it is missing."""
    from banter_grpc.rpc.mint import DevKey

    if not where.exists():
        # Not the key's own 0700: the embedded server's account must be able to enter later.
        where.mkdir(parents=True, exist_ok=True)
        where.chmod(0o711)
    return DevKey.load_or_create(where / "dev.key")
