"""What presence refuses."""

from __future__ import annotations

from banter_grpc.errors import Refusal


def caller_gone() -> Refusal:
    """The caller's account was deleted while he called."""
    return Refusal("CALLER_UNKNOWN", "the account of this token does not exist; sign in again")
