"""What every call goes through, in this order: admission, deadline, caller, role, rate limit, decoding, validation,
owner field, handler, errors, telemetry.
"""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import aclosing

import uuid_utils
from google.protobuf.message import Message

from banter_grpc.errors import Refusal
from banter_grpc.loop import is_cancelled
from banter_grpc.rpc.admission import Admission
from banter_grpc.rpc.call import Answer, Call, Send
from banter_grpc.rpc.caller import Authenticator, Caller
from banter_grpc.rpc.deadline import Deadline, DeadlineExceeded, time_for
from banter_grpc.rpc.errors import deadline_exceeded, pushback_of, refusal_of, status_of
from banter_grpc.rpc.limits import RateLimits
from banter_grpc.rpc.methods import Method
from banter_grpc.rpc.telemetry.calls import CallLog, CallRecord
from banter_grpc.rpc.validation import check_size, decode, validate

_REQUEST_ID = re.compile(r"[!-~]{1,128}")


class Surroundings:
    """Takes calls from a transport and gives their answers back. It never raises, but for a cancellation."""

    def __init__(
        self, admission: Admission, authenticator: Authenticator, limits: RateLimits, log: CallLog, max_bytes: int
    ) -> None:
        self._admission = admission
        self._authenticator = authenticator
        self._limits = limits
        self._log = log
        self._max_bytes = max_bytes

    async def serve(self, method: Method, call: Call, send: Send | None = None) -> Answer:
        """Answer one call; a streaming method's messages go to `send` before its answer comes back."""
        record = self._record(method.path, method.quiet, call)
        try:
            self._admission.enter(sheddable=method.policy.sheddable)
        except Refusal as refusal:
            return self._refuse(record, refusal)
        allowed = time_for(method.policy, call.remaining)
        try:
            with Deadline(allowed):
                body = await self._work(method, call, record, send)
        except DeadlineExceeded:
            return self._refuse(record, deadline_exceeded(allowed or 0.0, method.policy.max_deadline))
        except asyncio.CancelledError as error:
            if not is_cancelled():
                return self._fail(record, RuntimeError("a handler cancelled itself"), error)
            self._gone(record, call)
            raise
        except BaseException as error:
            return self._fail(record, error)
        finally:
            self._admission.leave()
        self._log.write(record, None)
        return Answer(body, None, (("x-request-id", record.request_id),))

    def unknown(self, call: Call) -> Answer:
        """The answer to a call of a method that no service has."""
        record = self._record("unknown", False, call)
        return self._refuse(record, Refusal("METHOD_UNKNOWN", "there is no such method here; see the contract"))

    async def _work(self, method: Method, call: Call, record: CallRecord, send: Send | None) -> bytes:
        policy = method.policy
        record.caller = caller = await self._authenticator.authenticate(call.metadata)
        policy.admit(caller)
        self._limits.take(caller, call.peer, policy.rate_class)
        body = await call.receive()
        if body is None:
            raise Refusal("REQUEST_UNDECODABLE", "there is no request; send one message", type=method.request_name)
        check_size(body, self._max_bytes)
        record.request = request = decode(method.request_type, method.request_name, body)
        validate(request)
        policy.check_owner(request, caller)
        if method.unary is not None:
            return (await method.unary(request, caller)).SerializeToString()
        await _stream(method, request, caller, send)
        return b""

    def _record(self, name: str, quiet: bool, call: Call) -> CallRecord:
        given = call.metadata.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid_utils.uuid7())
        return CallRecord(name, call.peer, request_id, time.perf_counter(), quiet)

    def _fail(self, record: CallRecord, error: BaseException, cause: BaseException | None = None) -> Answer:
        refusal = refusal_of(error, record.request_id)
        if refusal.reason == "INTERNAL":
            self._log.defect(record, cause or error)
        return self._refuse(record, refusal)

    def _refuse(self, record: CallRecord, refusal: Refusal) -> Answer:
        status = status_of(refusal)
        self._log.write(record, status)
        trailers = [("x-request-id", record.request_id)]
        if (pushback := pushback_of(refusal)) is not None:
            trailers.append(("grpc-retry-pushback-ms", pushback))
        return Answer(b"", status, trailers)

    def _gone(self, record: CallRecord, call: Call) -> None:
        passed = time.perf_counter() - record.started
        late = call.remaining is not None and passed >= call.remaining
        refusal = deadline_exceeded(passed, None) if late else Refusal("CALLER_GONE", "the caller has gone")
        self._log.write(record, status_of(refusal))


async def _stream(method: Method, request: Message, caller: Caller, send: Send | None) -> None:
    assert method.streaming is not None and send is not None
    answers = method.streaming(request, caller)
    async with aclosing(answers):  # pyright: ignore[reportArgumentType] - handlers are async generators
        async for answer in answers:
            await send(answer.SerializeToString())
