"""The contract's rules and policies as sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

from banter.v1 import options_pb2
from buf.validate import validate_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

_CALLERS = {
    options_pb2.CALLER_KIND_PUBLIC: "anybody, without credentials",
    options_pb2.CALLER_KIND_USER: "users",
    options_pb2.CALLER_KIND_MODERATOR: "moderators",
    options_pb2.CALLER_KIND_ADMIN: "admins",
    options_pb2.CALLER_KIND_SERVICE: "services",
}
_EXEMPT = (options_pb2.CALLER_KIND_MODERATOR, options_pb2.CALLER_KIND_ADMIN, options_pb2.CALLER_KIND_SERVICE)
_STRINGS = {
    "email": "an e-mail address",
    "hostname": "a host's name",
    "ip": "an IP address",
    "ipv4": "an IPv4 address",
    "ipv6": "an IPv6 address",
    "uri": "a URI",
    "uuid": "a UUID",
}
_BOUNDS = {"gt": "more than {}", "gte": "{} or more", "lt": "less than {}", "lte": "at most {}", "const": "exactly {}"}


def policy_in_words(policy: options_pb2.Policy) -> Iterator[tuple[str, str]]:
    """What surrounds a method, as rows of two cells."""
    yield "who may call", listed([_CALLERS[kind] for kind in policy.callers], "and")
    if policy.owner_field:
        exempt = listed([_CALLERS[kind] for kind in policy.callers if kind in _EXEMPT], "and")
        but = f"; {exempt} may name anybody" if exempt else ""
        yield "for oneself", f"`{policy.owner_field}` must be the caller's own id{but}"
    yield "counted as", options_pb2.RateClass.Name(policy.rate_class).removeprefix("RATE_CLASS_").lower()
    yield "may be repeated", "yes, after UNAVAILABLE" if policy.safe_to_retry else "no"
    default = _seconds(policy.default_deadline) if policy.HasField("default_deadline") else ""
    longest = _seconds(policy.max_deadline) if policy.HasField("max_deadline") else ""
    yield "time", "; ".join([default and f"{default} by default", f"at most {longest}" if longest else "no limit"])


def rules_in_words(rules: validate_pb2.FieldRules) -> list[str]:
    """What a field's value has to be, one phrase per rule."""
    words = ["required"] if rules.required else []
    words += [each.message or f"`{each.expression}`" for each in rules.cel]
    kind = rules.WhichOneof("type")
    if kind is not None:
        words += _typed(kind, getattr(rules, kind))
    return words


def listed(words: Iterable[str], last: str) -> str:
    """``a, b and c``."""
    *most, end = [*words] or [""]
    return f"{', '.join(most)} {last} {end}" if most else end


def _typed(kind: str, rules: Message) -> Iterator[str]:
    """The phrases of the rules of one type; a rule that is not known here by its own name."""
    values: dict[str, object] = {field.name: value for field, value in rules.ListFields()}
    if kind == "repeated":
        yield from _range(values.pop("min_items", None), values.pop("max_items", None), "of them")
        items = values.pop("items", None)
        if isinstance(items, validate_pb2.FieldRules):
            yield f"each {listed(rules_in_words(items), 'and')}"
        if values.pop("unique", False):
            yield "no two alike"
    if kind in {"string", "bytes"}:
        unit = "characters" if kind == "string" else "bytes"
        yield from (_STRINGS[name] for name in [*values] if name in _STRINGS and values.pop(name))
        yield from _range(values.pop("min_len", None), values.pop("max_len", None), unit)
        if "prefix" in values:
            yield f"begins with `{values.pop('prefix')}`"
        if values.get("not_contains") == "\0":
            del values["not_contains"]
            yield "without NUL"
    if kind == "enum" and values.pop("defined_only", False):
        yield "a value that the contract has"
    if {"gte", "lte"} <= values.keys():
        yield f"{_value(values.pop('gte'))} to {_value(values.pop('lte'))}"
    for name, value in values.items():
        yield _plain(name, value, many=rules.DESCRIPTOR.fields_by_name[name].is_repeated)


def _plain(name: str, value: object, *, many: bool) -> str:
    if name in _BOUNDS:
        return _BOUNDS[name].format(_value(value))
    values = cast("Iterable[object]", value) if many else [value]
    shown = ", ".join(f"`{_value(each)}`" for each in values)
    return {"in": f"of {shown}", "not_in": f"none of {shown}"}.get(name, f"{name.replace('_', ' ')} {shown}")


def _range(least: object, most: object, unit: str) -> Iterator[str]:
    if least is not None and most is not None:
        yield f"{least} {unit}" if least == most else f"{least} to {most} {unit}"
    elif least is not None:
        yield f"at least {least} {unit}"
    elif most is not None:
        yield f"at most {most} {unit}"


def _value(value: object) -> str:
    return _seconds(value) if isinstance(value, Duration) else " ".join(str(value).split())


def _seconds(duration: Duration) -> str:
    return f"{duration.seconds + duration.nanos / 1e9:g} s"
