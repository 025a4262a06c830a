"""A call as a transport hands it over, and the answer that it takes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

Receive = Callable[[], Awaitable[bytes | None]]
"""The next message that the client sends; None when there is no more."""

Send = Callable[[bytes], Awaitable[None]]
"""Sends one message of a streamed answer; waits while the client is slow."""


@dataclass(slots=True)
class Call:
    """One call, on whatever transport it came. The sign that its caller has gone: its task is cancelled."""

    method: str
    """Full name, such as ``/banter.v1.UserService/GetUser``."""
    metadata: Mapping[str, str]
    """What the client sent beside the request; keys in lower case, the first of equal ones, no binary ones."""
    peer: str
    """Where the client is, as the transport writes it; the same for all calls of one host."""
    remaining: float | None
    """Seconds that the client still waits; None if it set no deadline."""
    receive: Receive
    """The next message of the request: one for most calls. A transport that has it answers at once."""


@dataclass(frozen=True, slots=True)
class Status:
    """Why a call failed."""

    code: int
    """A value of ``google.rpc.Code``."""
    name: str
    """The code's name, for logs and metrics."""
    reason: str
    """The name of an ``ErrorReason``, without its prefix."""
    message: str
    details: bytes
    """A serialized ``google.rpc.Status``."""


@dataclass(slots=True)
class Answer:
    """What becomes of a call: a body, or for a stream nothing, or a failure; and trailers in any case."""

    body: bytes
    status: Status | None
    trailers: Sequence[tuple[str, str | bytes]]
