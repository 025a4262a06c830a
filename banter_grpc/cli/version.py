"""`banter version`."""

from __future__ import annotations

import platform


def version() -> None:
    """Print the version, and those of what it stands on."""
    from importlib import metadata

    parts = [
        f"Python {platform.python_version()}",
        *(f"{name} {metadata.version(name)}" for name in ("grpcio", "psycopg")),
    ]
    print(f"banter {metadata.version('banter-grpc')} ({', '.join(parts)})")
