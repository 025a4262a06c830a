"""Messages and exceptions as they may be logged: without what belongs to a person.

Python's protobuf ignores the option ``debug_redact``; this honours it.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

REDACTED = "[redacted]"
_MAX_TEXT = 200
_MAX_FRAMES = 12


def redacted(message: Message) -> dict[str, object]:
    """The set fields of a message; each with ``debug_redact`` says only that it is set."""
    return {field.name: _value(field, value) for field, value in message.ListFields()}


def _value(field: FieldDescriptor, value: object) -> object:
    if field.GetOptions().debug_redact:
        return REDACTED
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return REDACTED
    if field.is_repeated:
        return [_single(item) for item in value]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
    return _single(value)


def _single(value: object) -> object:
    if isinstance(value, Message):
        return redacted(value)
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, str) and len(value) > _MAX_TEXT:
        return value[:_MAX_TEXT] + "..."
    return value


def faults(error: BaseException) -> list[str]:
    """An exception and its causes: types, SQL states and places in the code, never texts, which may quote anybody."""
    return [_fault(one) for one in _chain(error)]


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _fault(error: BaseException) -> str:
    state = getattr(error, "sqlstate", None)
    frames = traceback.extract_tb(error.__traceback__)[-_MAX_FRAMES:]
    places = " < ".join(
        f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in reversed(frames)
    )
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    return f"{name}{f' [{state}]' if state else ''} at {places or 'nowhere'}"
