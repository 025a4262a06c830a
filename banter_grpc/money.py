"""Money requests: when two are the same, and what became of one.

A request with a `request_id` has one outcome, success or refusal, for its actor; whoever sends it again gets that. It
is stored with a fingerprint of the request, in the statement that acts (``sql/wallet*.sql``).
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, Protocol
from uuid import UUID, uuid5

import orjson
from google.protobuf.message import Message

from banter_grpc.errors import wallet as errors

_TRANSACTIONS: Final = UUID("5ca1ab1e-6f0a-4f6e-9c55-8d8e1f5b7a10")
"""Namespace of transactions' ids. Never to change: by its id a movement is found again when its key has expired."""


class Remembered(Protocol):
    """The row of a statement with a `request_id`: what was asked when it was first sent, and what came of it."""

    @property
    def fingerprint(self) -> str: ...
    @property
    def outcome(self) -> str: ...


def fingerprint(request: Message) -> str:
    """SHA-256, in hex, of what is asked: the request's type and all of its fields."""
    asked = request.SerializeToString(deterministic=True)
    return hashlib.sha256(request.DESCRIPTOR.full_name.encode() + b"\n" + asked).hexdigest()


def transaction_id(*key: str) -> str:
    """The id (UUIDv5) of the one transaction that a key can make: actor and request_id, or a payment's names."""
    return str(uuid5(_TRANSACTIONS, "\n".join(key)))


def withdrawal_id(actor_id: str, request_id: str) -> str:
    """The id (UUIDv5) of the one withdrawal that a request can make."""
    return transaction_id("withdrawal", actor_id, request_id.lower())


def outcome_of(row: Remembered, asked: str) -> dict[str, Any]:
    """The stored outcome of a request whose fingerprint is `asked`.

    Raises `Refusal`: the remembered one, or REQUEST_ID_REUSED if its request_id belongs to another request.
    """
    if row.fingerprint != asked:
        raise errors.request_id_reused()
    outcome: dict[str, Any] = orjson.loads(row.outcome)
    reason = outcome.pop("refusal", None)
    if reason is not None:
        raise errors.REMEMBERED[reason](**outcome)
    return outcome
