"""The domain's refusals: what the service says no to, in words for the caller.

A refusal names its reason (a value of ``banter.v1.ErrorReason`` without its prefix), and says what happened and what to
do. How it reaches the client is none of its business: ``banter_grpc.rpc.errors`` knows status codes. The refusals of a
service are in the module of its stem; what a broken constraint of the schema means is in ``constraints``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from banter_grpc.foreseen import ForeseenError


class Violation(NamedTuple):
    """A field of the request that is to blame."""

    field: str
    """Path of the field, such as ``user.full_name``; empty for the request as a whole."""
    description: str
    """What is wrong with it, in words that follow its name."""
    rule: str = ""
    """Id of the contract's rule that it breaks; empty for one that only the server can check."""


class Refusal(ForeseenError):
    """The call is refused: `reason` for programs, the text for people.

    `field` names the request field to blame, and is put before the text. `retry_after` is in seconds, where the same
    call may succeed later. `metadata` are the variables that the reason's example in the contract shows.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        field: str | None = None,
        violations: Sequence[Violation] = (),
        retry_after: float | None = None,
        **metadata: str,
    ) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.reason = reason
        self.violations = violations or ((Violation(field, message),) if field else ())
        self.retry_after = retry_after
        self.metadata: Mapping[str, str] = {"field": field, **metadata} if field else metadata
