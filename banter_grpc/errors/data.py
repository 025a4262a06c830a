"""What is refused of free-form data."""

from __future__ import annotations

from banter_grpc.errors import Refusal


def data_invalid(field: str) -> Refusal:
    """It can't be kept: too long, or something in it that JSON or the database has no place for."""
    return Refusal(
        "DATA_INVALID",
        "can't be kept; at most 4096 bytes as JSON, without NUL characters, NaN and infinite numbers",
        field=field,
    )


def data_too_wide() -> Refusal:
    """As JSON it is short enough, and written out by the database it is not: very large or small numbers do that."""
    return data_invalid("data")
