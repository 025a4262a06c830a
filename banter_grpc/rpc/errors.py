"""From what went wrong to what the client gets: the one place that knows status codes.

An error is a ``google.rpc.Status`` with one ``ErrorInfo``, a ``BadRequest`` where fields are to blame and a
``RetryInfo`` where a retry helps (AIP-193). Its details stay below 4 KiB: clients drop trailers past 8.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from banter.v1 import error_reason_pb2, options_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from banter_grpc.database import errors as database
from banter_grpc.errors import Refusal, Violation
from banter_grpc.errors.constraints import CONSTRAINTS
from banter_grpc.rpc.call import Status

DOMAIN = "banter.v1"
_DETAILS_BYTES = 3900
_MESSAGE_CHARACTERS = 600

CODES: dict[str, int] = {
    value.name.removeprefix("ERROR_REASON_"): value.GetOptions().Extensions[options_pb2.status]
    for value in error_reason_pb2.ErrorReason.DESCRIPTOR.values
    if value.number
}
"""The status code of each reason, as the contract says."""


def refusal_of(error: BaseException, request_id: str) -> Refusal:
    """What is said about an error. Whatever is not known here is a defect, and says nothing but the call's id."""
    match error:
        case Refusal():
            return error if error.reason in CODES else _defect(request_id)
        case database.ConstraintError(constraint=constraint):
            make = CONSTRAINTS.get(constraint)
            return make() if make is not None else _defect(request_id)
        case database.CollisionError():
            return Refusal(
                "COLLISION", "this collided with other calls; nothing was done, try again in 0.1 s", retry_after=0.1
            )
        case database.OutcomeUnknownError():
            return Refusal(
                "OUTCOME_UNKNOWN",
                "whether this was done is not known; ask again with the same request_id, or read first",
            )
        case database.UnavailableError() | database.TimeoutError():
            return Refusal("DATABASE_UNAVAILABLE", "the database is not available; try again in 1 s", retry_after=1.0)
        case asyncio.CancelledError():
            return Refusal("CALLER_GONE", "the caller has gone")
        case _:
            return _defect(request_id)


def deadline_exceeded(deadline: float, maximum: float | None) -> Refusal:
    """The call's time, in seconds, is over."""
    advice = f"allow more time, at most {maximum:g} s" if maximum and maximum > deadline else "ask for less"
    return Refusal("DEADLINE_EXCEEDED", f"not done within {deadline:.3g} s; {advice}", deadline=f"{deadline:.3g}s")


def status_of(refusal: Refusal) -> Status:
    """The refusal as it goes over the wire."""
    code = CODES[refusal.reason]
    message = str(refusal)
    if len(message) > _MESSAGE_CHARACTERS:
        message = message[: _MESSAGE_CHARACTERS - 3] + "..."
    status = status_pb2.Status(code=code, message=message)
    _pack(status, error_details_pb2.ErrorInfo(reason=refusal.reason, domain=DOMAIN, metadata=refusal.metadata))
    if refusal.retry_after is not None:
        delay = Duration()
        delay.FromMicroseconds(round(refusal.retry_after * 1e6))
        _pack(status, error_details_pb2.RetryInfo(retry_delay=delay))
    if refusal.violations:
        _pack(status, _bad_request(refusal.violations, _DETAILS_BYTES - status.ByteSize()))
    return Status(code, code_pb2.Code.Name(code), refusal.reason, message, status.SerializeToString())


def pushback_of(refusal: Refusal) -> str | None:
    """The value of trailer ``grpc-retry-pushback-ms`` (gRFC A6): milliseconds, or -1 for "never by yourself"."""
    if refusal.reason == "OUTCOME_UNKNOWN":
        return "-1"
    return None if refusal.retry_after is None else str(max(1, round(refusal.retry_after * 1000)))


def _defect(request_id: str) -> Refusal:
    return Refusal("INTERNAL", f"internal error; report x-request-id {request_id}", request_id=request_id)


def _pack(status: status_pb2.Status, detail: Message) -> None:
    status.details.add().Pack(detail)


def _bad_request(violations: Sequence[Violation], room: int) -> error_details_pb2.BadRequest:
    """As many of the violations as fit into `room` bytes; the first one always, cut if need be."""
    bad = error_details_pb2.BadRequest()
    for violation in violations:
        field = bad.field_violations.add(
            field=violation.field[:256], description=violation.description[:512], reason=violation.rule
        )
        if bad.ByteSize() > room - 64 and len(bad.field_violations) > 1:
            bad.field_violations.remove(field)
            break
    return bad
