"""Ids: UUIDs in their usual form, made here."""

from __future__ import annotations

import uuid
from typing import Final

import uuid_utils

LAST_ID: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"
FIRST_ID: Final = "00000000-0000-0000-0000-000000000000"


def new_id() -> str:
    """A new id, UUIDv7 (RFC 9562): ids made later sort later."""
    return str(uuid_utils.uuid7())


def derived_id(actor_id: str | None, request_id: str, *parts: object) -> str | None:
    """The id that an actor's `request_id` (a UUID) always gives for the same `parts`; None without a `request_id`."""
    if not request_id:
        return None
    assert actor_id is not None, "the public makes nothing"
    return str(uuid.uuid5(uuid.UUID(actor_id), "/".join([str(uuid.UUID(request_id)), *map(str, parts)])))
