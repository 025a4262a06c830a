"""What came of a call, whatever was sent: for tests that walk the contract."""

from __future__ import annotations

from typing import NamedTuple

import grpc
import grpc.aio
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor

from tests.support.harness import Metadata, failure_of

LONGEST = 30.0
"""Seconds: who hears nothing for so long waits for ever."""

MESSAGES = 100
"""As many of a stream are read."""

OF_THE_SURROUNDINGS = frozenset(
    {
        "REQUEST_UNDECODABLE",
        "REQUEST_INVALID",
        "REQUEST_TOO_LARGE",
        "PAGE_TOKEN_INVALID",
        "CALLER_NOT_ADMITTED",
        "CALLER_UNKNOWN",
        "CALLER_INACTIVE",
        "NOT_OWNER",
    }
)
"""Refusals that any RPC may give to a caller with good credentials, and that no RPC's comment repeats."""


class Outcome(NamedTuple):
    """Status and reason of a call; OK has none."""

    code: grpc.StatusCode
    reason: str
    message: str = ""


async def outcome_of(channel: grpc.aio.Channel, method: MethodDescriptor, body: bytes, metadata: Metadata) -> Outcome:
    """Call a method with these bytes. What it answers has to be of its type."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    answer_type = message_factory.GetMessageClass(method.output_type)
    try:
        if method.server_streaming:
            call = channel.unary_stream(path)(body, metadata=tuple(metadata), timeout=LONGEST)
            read = 0
            async for answer in call:
                answer_type.FromString(answer)
                read += 1
                if read == MESSAGES:
                    call.cancel()
                    break
        else:
            answer_type.FromString(await channel.unary_unary(path)(body, metadata=tuple(metadata), timeout=LONGEST))
    except grpc.aio.AioRpcError as error:
        failure = failure_of(error)
        return Outcome(failure.code, failure.reason, failure.message)
    return Outcome(grpc.StatusCode.OK, "")


def is_promised(outcome: Outcome, promised: set[str]) -> bool:
    """Whether a call may end so, of a method whose comment promises these reasons."""
    return outcome.code is grpc.StatusCode.OK or outcome.reason in OF_THE_SURROUNDINGS | promised
