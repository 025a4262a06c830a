"""The contract's rules, checked in one place before any handler sees the request."""

from __future__ import annotations

import protovalidate
from google.protobuf.message import DecodeError, Message
from protovalidate import ViolationPb

from banter_grpc.errors import Refusal, Violation

_MAX_NAMED = 3
"""How many violations the message itself names; `BadRequest` names as many as fit."""


def check_size(body: bytes, limit: int) -> None:
    """Raise `Refusal` if the request is longer than `limit` bytes."""
    if len(body) > limit:
        raise Refusal(
            "REQUEST_TOO_LARGE",
            f"the request has {len(body)} bytes, and {limit} are the most; send less at once",
            size=str(len(body)),
            limit=str(limit),
        )


def decode(message_type: type[Message], full_name: str, body: bytes) -> Message:
    """The request that the bytes are; raises `Refusal` if they are none."""
    request = message_type()
    try:
        request.ParseFromString(body)
    except DecodeError:
        raise Refusal(
            "REQUEST_UNDECODABLE",
            f"the request is not a {full_name}; regenerate the stubs from the contract",
            type=full_name,
        ) from None
    return request


def validate(request: Message) -> None:
    """Raise `Refusal` if fields of the request break the contract's rules."""
    broken = protovalidate.collect_violations(request)
    if not broken:
        return
    violations = [
        Violation(
            path_of(found.proto), found.proto.message or f"breaks the rule {found.proto.rule_id}", found.proto.rule_id
        )
        for found in broken
    ]
    named = "; ".join(f"{v.field}: {v.description}" if v.field else v.description for v in violations[:_MAX_NAMED])
    more = f"; and {len(violations) - _MAX_NAMED} more" if len(violations) > _MAX_NAMED else ""
    raise Refusal("REQUEST_INVALID", named + more, violations=violations, count=str(len(violations)))


def path_of(violation: ViolationPb) -> str:
    """The violation's field as a path: ``user.full_name``, ``user_ids[2]``, ``labels["a"]``."""
    if violation.field is None:
        return ""
    path = ""
    for element in violation.field.elements:
        path += f".{element.field_name}" if path else element.field_name
        subscript = element.subscript
        if subscript is not None:
            value = subscript.value
            path += f'["{value}"]' if isinstance(value, str) else f"[{value}]"
    return path
