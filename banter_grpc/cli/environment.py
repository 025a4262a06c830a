"""The settings in force."""

from __future__ import annotations

from typing import Any

from banter_grpc.config import Settings


def settings(**options: object) -> Settings:
    """The environment's settings, with the options that were given in their place."""
    named: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    return Settings(**named)
