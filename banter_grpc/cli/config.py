"""`banter config`."""

from __future__ import annotations

import json

from banter_grpc.cli.output import table


def config() -> None:
    """Print every setting in force, where it comes from, and what it is for. Secrets are hidden."""
    from pydantic import SecretStr

    from banter_grpc.cli.environment import settings
    from banter_grpc.config import Settings

    found = settings()
    rows: list[tuple[str, str, str, str]] = []
    values = found.model_dump(mode="json")
    for name, field in Settings.model_fields.items():
        hidden = isinstance(getattr(found, name), SecretStr)
        source = "environment" if name in found.model_fields_set else "default"
        rows.append((f"BANTER_{name.upper()}", _shown(values[name], hidden), source, field.description or ""))
    table(("setting", "value", "source", "what it is"), rows)


def _shown(value: object, hidden: bool) -> str:
    """As it would be written into the environment."""
    if hidden:
        return "(hidden)"
    if value is None or value == []:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
