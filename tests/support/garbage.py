"""Requests that make no sense, of any type: Hypothesis strategies made from descriptors.

`requests(valid)` is what a test sends: a valid request with some of its fields replaced, a message of nothing but
garbage, or bytes that are hardly a message at all.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from functools import cache

from google.protobuf import duration_pb2, field_mask_pb2, message_factory, struct_pb2, timestamp_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

DEEPEST = 4
"""Messages in messages; what is below is left empty."""

_LETTERS = st.characters(exclude_categories=("Cs",))  # no protobuf string has surrogates
_STRINGS = (
    *("", " ", "\x00", "a\x00b", "\n", "\t\r\x1b[31m", "\x7f\x85\u2028", "\ufeff", "\uffff\ufdd0", "\U0010ffff"),
    *("e\u0301" * 60, "\u0301", "\u202eabc\u202c", "שלום עולם", "مرحبا", "नमस्ते", "👩‍👩‍👧‍👦" * 20, "ﬀİıſßẞ"),
    *("'", "'; DROP TABLE users; --", '"', "\\", "\\u0000", "%", "_%_", "$1", "$name", "{}", "%s", "NULL", "<b>&amp;"),
    *("0", "-1", "1e400", "NaN", "infinity", "9" * 400, "0x10", "١٢٣", "true", "[]", '{"a": 1}', "{1,2}", "a,b"),
    *("+919876543210", "+1", "+", "+999999999999999999", "0091 98765-43210", "tel:+44-7400;ext=5", "+91 ۹۸۷۶۵۴۳۲۱۰"),
    *("2024-02-30", "0000-00-00", "1999-12-31", "9999-12-31", "1900-01-01", "2024-1-1", "-0001-01-01", "294277-01-01"),
    *("Asia/Kolkata", "asia/kolkata", "../../etc/passwd", "UTC\x00", "GMT+25", "posixrules", "/", ".", "..", "C:\\"),
    *("a@b.c", "@", "a@" + "b." * 120 + "c", '"a b"@example.com', "ä@ü.de", "https://", "https://\x00", "http://a b"),
    *("0199f3b2-6b1c-7c3e-9d5a-5d0c8f2a4e10", "0199F3B2-6B1C-7C3E-9D5A-5D0C8F2A4E10", "me", "*"),
    *("{0199f3b2-6b1c-7c3e-9d5a-5d0c8f2a4e10}", "0199f3b26b1c7c3e9d5a5d0c8f2a4e10", "0" * 8, "AAAA", "====", "W10"),
    *("x" * 64, "x" * 101, "ä" * 501, "x" * 4001, "\U0001f600" * 4000, "x y " * 20_000),
)  # fmt: skip
_SECONDS = (0, 1, -1, -(2**63), 2**63 - 1, -62135596800, -62135596801, 253402300799, 253402300800, 1_700_000_000)
_NANOS = (0, 1, 999_999_999, 1_000_000_000, -1, -999_999_999, 2**31 - 1, -(2**31))
_MASK_PATHS = ("*", "", ".", "..", "user", "user.", "user.user_id", "a.b.c.d", "FULL_NAME", "fullName", "no_such_field")
_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.1, math.inf, -math.inf, math.nan, 5e-324, 1.7e308, 3.4e38)
_TOO_LARGE = b"\xfa\x3f" + b"\x80\x80\x50" + bytes(0x140000)
"""Field 1023, which no message has, of 1.25 MB."""

LONGEST = 2 * 2**20
"""Bytes of a request. One that is twice as long is refused by gRPC itself, and never reaches our code."""

_BITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def strings() -> SearchStrategy[str]:
    """Text: what breaks parsers, databases and terminals, and any."""
    return st.one_of(st.sampled_from(_STRINGS), st.text(_LETTERS, max_size=30))


@cache
def scalars(field: FieldDescriptor) -> SearchStrategy[object]:
    """Values of a field that is no message."""
    kind = field.cpp_type
    if kind in _BITS:
        least, most = _BITS[kind]
        edges = [n for n in (0, 1, -1, 50, 1001, least, most, 2**31, 2**53 + 1) if least <= n <= most]
        return st.one_of(st.sampled_from(edges), st.integers(least, most))
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if kind in {FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE}:
        return st.sampled_from(_FLOATS)
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        defined = [value.number for value in field.enum_type.values]
        return st.sampled_from([*defined, max(defined) + 1, 99, -1, 2**31 - 1, -(2**31)])
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.one_of(st.binary(max_size=40), st.sampled_from([b"\x00", b"\xff" * 5000]))
    return strings()


@cache
def messages(kind: Descriptor, depth: int = 0) -> SearchStrategy[Message]:
    """Messages of a type: any of its fields, with any values."""
    if kind.full_name in _WELL_KNOWN:
        return _WELL_KNOWN[kind.full_name]()
    return _fields(kind, depth)


@st.composite
def _fields(draw: DrawFn, kind: Descriptor, depth: int) -> Message:
    message = message_factory.GetMessageClass(kind)()
    if depth < DEEPEST and kind.fields:
        some = st.lists(st.sampled_from(list(kind.fields)), max_size=max(1, 6 >> depth), unique_by=lambda f: f.number)
        for field in draw(some):
            spoil(draw, message, field, depth)
    return message


def spoil(draw: DrawFn, message: Message, field: FieldDescriptor, depth: int = 0) -> None:
    """Set one field of a message to garbage."""
    message.ClearField(field.name)
    target = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        for _ in range(draw(st.integers(0, max(1, 3 >> depth)))):
            _put(target, draw(scalars(key)), value, draw(_value(value, depth)))
    elif field.is_repeated:
        values = draw(st.lists(_value(field, depth), max_size=max(1, 3 >> depth)))
        times = draw(st.sampled_from([1, 1, 1, 2, 1001]))
        target.extend(values * (times if depth == 0 and sum(map(_size, values)) < 2000 else 1))
    elif field.message_type is not None:
        target.SetInParent()
        target.CopyFrom(draw(_value(field, depth)))
    else:
        setattr(message, field.name, draw(_value(field, depth)))


def _size(value: object) -> int:
    if isinstance(value, Message):
        return value.ByteSize()
    return len(value) if isinstance(value, (str, bytes)) else 8


def _put(target, key: object, field: FieldDescriptor, value: object) -> None:
    if field.message_type is not None:
        target[key].CopyFrom(value)
    else:
        target[key] = value


def _value(field: FieldDescriptor, depth: int) -> SearchStrategy[object]:
    if field.message_type is None:
        return scalars(field)
    if field.message_type.full_name == field_mask_pb2.FieldMask.DESCRIPTOR.full_name:
        return _masks(_names_near(field))
    return messages(field.message_type, depth + 1)


def _names_near(field: FieldDescriptor) -> tuple[str, ...]:
    """Fields that a mask beside others may mean: theirs, and those of the messages among them."""
    beside = list(field.containing_type.fields)
    inside = itertools.chain.from_iterable(each.message_type.fields for each in beside if each.message_type is not None)
    return tuple(dict.fromkeys(each.name for each in itertools.chain(beside, inside)))


@cache
def _masks(names: tuple[str, ...]) -> SearchStrategy[Message]:
    paths = st.one_of(st.sampled_from(names), st.sampled_from(_MASK_PATHS), strings())
    return st.builds(lambda found: field_mask_pb2.FieldMask(paths=found), st.lists(paths, max_size=5))


def _seconds_and_nanos(kind: type[Message]) -> Callable[[], SearchStrategy[Message]]:
    def made() -> SearchStrategy[Message]:
        return st.builds(kind, seconds=st.sampled_from(_SECONDS), nanos=st.sampled_from(_NANOS))

    return made


def _json() -> SearchStrategy[struct_pb2.Value]:
    flat = st.one_of(
        st.builds(struct_pb2.Value),
        st.builds(lambda number: struct_pb2.Value(number_value=number), st.sampled_from(_FLOATS)),
        st.builds(lambda text: struct_pb2.Value(string_value=text), strings()),
        st.just(struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)),
        st.builds(_nested, st.sampled_from([2, 20, 45])),
    )
    return st.one_of(flat, st.builds(_list_value, st.lists(flat, max_size=3)), st.builds(_object_value, _pairs(flat)))


def _pairs(values: SearchStrategy[struct_pb2.Value]) -> SearchStrategy[dict[str, struct_pb2.Value]]:
    return st.dictionaries(strings(), values, max_size=3)


def _list_value(values: list[struct_pb2.Value]) -> struct_pb2.Value:
    return struct_pb2.Value(list_value=struct_pb2.ListValue(values=values))


def _object_value(fields: dict[str, struct_pb2.Value]) -> struct_pb2.Value:
    return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=fields))


def _nested(levels: int) -> struct_pb2.Value:
    """A list in a list in a list; protobuf decodes a hundred messages in messages, and a level is two of them."""
    value = struct_pb2.Value()
    for _ in range(levels):
        value = _list_value([value])
    return value


_WELL_KNOWN: dict[str, Callable[[], SearchStrategy[Message]]] = {
    timestamp_pb2.Timestamp.DESCRIPTOR.full_name: _seconds_and_nanos(timestamp_pb2.Timestamp),
    duration_pb2.Duration.DESCRIPTOR.full_name: _seconds_and_nanos(duration_pb2.Duration),
    field_mask_pb2.FieldMask.DESCRIPTOR.full_name: lambda: _masks(_MASK_PATHS),
    struct_pb2.Struct.DESCRIPTOR.full_name: lambda: st.builds(
        lambda fields: struct_pb2.Struct(fields=fields), _pairs(_json())
    ),
    struct_pb2.Value.DESCRIPTOR.full_name: _json,
    struct_pb2.ListValue.DESCRIPTOR.full_name: lambda: st.builds(
        lambda values: struct_pb2.ListValue(values=values), st.lists(_json(), max_size=3)
    ),
}


def places(message: Message) -> Iterator[tuple[Message, FieldDescriptor]]:
    """Every field of a message, and of the messages that are set in it."""
    for field in message.DESCRIPTOR.fields:
        yield message, field
        if field.message_type is not None and not field.is_repeated and message.HasField(field.name):
            yield from places(getattr(message, field.name))


@st.composite
def mutated(draw: DrawFn, valid: Message) -> Message:
    """The request with one field, or a few, replaced or left out."""
    request = type(valid)()
    request.CopyFrom(valid)
    for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
        found = list(places(request))
        if found:
            message, field = draw(st.sampled_from(found))
            _change(draw, message, field)
    return request


def _change(draw: DrawFn, message: Message, field: FieldDescriptor) -> None:
    """Replace a field, leave it out, or change a letter of its text: that goes further than other text."""
    how = draw(st.integers(0, 9))
    text = getattr(message, field.name)
    if how < 3 and isinstance(text, str) and text:
        changes = (f"{text}\x00", f"\x00{text}", f"{text} ", text[:-1], text.upper(), f"{text}\u0301", text[::-1])
        setattr(message, field.name, draw(st.sampled_from(changes)))
    elif how == 9:
        message.ClearField(field.name)
    else:
        spoil(draw, message, field)


@st.composite
def broken(draw: DrawFn, body: bytes) -> bytes:
    """The request's bytes cut off, with bits flipped, said twice, with more behind them, or others altogether."""
    how = draw(st.sampled_from(["cut", "flip", "flip", "twice", "more", "other", "large"]))
    if how in {"cut", "flip"} and body:
        place = draw(st.integers(0, 2**16)) % len(body)  # bounds that differ from time to time confuse Hypothesis
        if how == "cut":
            return body[:place]
        return body[:place] + bytes([body[place] ^ 1 << draw(st.integers(0, 7))]) + body[place + 1 :]
    if how == "large":
        return body + _TOO_LARGE
    return {"twice": body + body, "other": b""}.get(how, body) + draw(st.binary(max_size=50))


@st.composite
def requests(draw: DrawFn, valid: Message) -> bytes:
    """What a client that is out of its mind sends in place of a valid request."""
    how = draw(st.sampled_from(["mutated", "mutated", "mutated", "message", "broken"]))
    if how == "broken":
        body = draw(broken(valid.SerializeToString(deterministic=True)))
    else:
        body = draw(mutated(valid) if how == "mutated" else messages(valid.DESCRIPTOR)).SerializeToString()
    return body[:LONGEST]
