"""`banter version`."""

from __future__ import annotations

import platform
from importlib import metadata


def version() -> None:
    """Print the version, and those of what it stands on."""
    parts = [
        f"Python {platform.python_version()}",
        *(f"{name} {metadata.version(name)}" for name in ("grpcio", "psycopg")),
    ]
    print(f"banter {metadata.version('banter-grpc')} ({', '.join(parts)})")
