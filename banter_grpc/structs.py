"""Free-form data: `google.protobuf.Struct` in a message, JSON in a column."""

from __future__ import annotations

import math
from typing import Any, Final

import orjson
from google.protobuf.struct_pb2 import Struct, Value

from banter_grpc.errors import data as errors

MAX_BYTES: Final = 4096
"""The longest data, as JSON without spaces."""


def to_json(data: Struct, *, field: str) -> str:
    """The data as JSON; raises `Refusal` (DATA_INVALID) for what the database can't keep, naming `field`.

    PostgreSQL refuses NUL characters, and JSON has neither NaN nor infinity.
    """
    try:
        written = orjson.dumps(_object(data))
    except ValueError:
        raise errors.data_invalid(field) from None
    if len(written) > MAX_BYTES:
        raise errors.data_invalid(field)
    return written.decode()


def from_json(field: Struct, written: str) -> None:
    """Set a field of a message to what a column holds; empty data leaves it unset."""
    if data := orjson.loads(written):
        field.update(data)


def _object(data: Struct) -> dict[str, Any]:
    return {_text(key): _plain(value) for key, value in data.fields.items()}


def _plain(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            return _text(value.string_value)
        case "number_value":
            if not math.isfinite(value.number_value):
                raise ValueError
            return value.number_value
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return _object(value.struct_value)
        case "list_value":
            return [_plain(item) for item in value.list_value.values]
        case _:
            return None


def _text(text: str) -> str:
    if "\x00" in text:
        raise ValueError
    return text
