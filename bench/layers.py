"""What surrounds a handler, in microseconds of CPU per call: measured by leaving out one layer at a time.

In this process, with a handler that answers at once, on a transport that is none.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import median
from typing import Final, TextIO

from banter.v1 import options_pb2, user_pb2
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue

from banter_grpc import loop
from banter_grpc.rpc.admission import Admission
from banter_grpc.rpc.call import Call, Status
from banter_grpc.rpc.caller import Account, Authenticator, Caller, CallerCache, LookupKind
from banter_grpc.rpc.limits import Rate, RateLimits
from banter_grpc.rpc.methods import Method, methods_of
from banter_grpc.rpc.mint import DEV_AUDIENCE, DEV_ISSUER, DevKey, dev_issuers, mint
from banter_grpc.rpc.surroundings import Surroundings
from banter_grpc.rpc.telemetry.calls import CallLog, CallRecord
from banter_grpc.rpc.telemetry.logs import Level, make_log
from banter_grpc.rpc.telemetry.metrics import Metrics
from banter_grpc.rpc.tokens import TokenVerifier
from bench.cases import user_id

AIM_US: Final = 25.0
"""The most that all layers together may cost."""

_CALLS = 1000
_YIELD = 50
"""Calls after which the loop turns, as it does in a server: it has timers to clear away."""
_MOST_BYTES = 1024 * 1024

Try = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU per call in microseconds: the least and the median of the repeats."""

    least: float
    middle: float


@dataclass(frozen=True, slots=True)
class Layers:
    """A call with nothing around its handler, with everything, and with all but one layer, by the layer's name."""

    bare: Cost
    full: Cost
    without: Mapping[str, Cost]

    @property
    def total(self) -> Cost:
        """What everything around the handler costs."""
        return Cost(self.full.least - self.bare.least, self.full.middle - self.bare.middle)

    def of(self, name: str) -> Cost:
        """What a layer costs."""
        without = self.without[name]
        return Cost(self.full.least - without.least, self.full.middle - without.middle)


class _Handler:
    """Answers at once, whatever method of the service is called."""

    def __init__(self, service: ServiceDescriptor) -> None:
        self._answer = user_pb2.GetUserResponse(user=user_pb2.User(user_id=user_id(0), full_name="Asha Rao"))
        for method in service.methods:
            setattr(self, method.name, self.answer)

    async def answer(self, _request: Message, _caller: Caller | None) -> Message:
        """The same answer each time."""
        return self._answer


class _NoTelemetry(CallLog):
    def write(self, record: CallRecord, status: Status | None) -> None:
        """Nothing."""


class _NoMetrics(Metrics):
    def call(self, method: str, code: str, seconds: float) -> None:
        """Nothing."""


def measure(repeats: int) -> Layers:
    """All layers, each so often; the variants take turns, so that what the machine does meanwhile meets all."""
    return loop.run(_measure(repeats))


async def _measure(repeats: int) -> Layers:
    with ExitStack() as stack:
        bench = _Bench(stack.enter_context(open(os.devnull, "w")))
        variants = {"bare": bench.bare, "full": bench.full(), **bench.variants()}
        times: dict[str, list[float]] = {name: [] for name in variants}
        for attempt in variants.values():
            await _time(attempt)  # warm
        for _ in range(repeats):
            for name, attempt in variants.items():
                times[name].append(await _time(attempt))
        bench.flush()
    costs = {name: Cost(min(found), median(found)) for name, found in times.items()}
    return Layers(costs.pop("bare"), costs.pop("full"), costs)


async def _time(attempt: Try) -> float:
    began = time.process_time()
    for number in range(_CALLS):
        await attempt()
        if number % _YIELD == 0:
            await asyncio.sleep(0)
    return (time.process_time() - began) / _CALLS * 1e6


class _Bench:
    """The layers as the server puts them together, each of which can be left out."""

    def __init__(self, nowhere: TextIO) -> None:
        self._logs = {level: make_log("json", level, nowhere) for level in _LEVELS}
        self._key = DevKey(bytes(32))
        token = mint(self._key, DEV_ISSUER, DEV_AUDIENCE, user_id(0), 3600)
        self._metadata = {"authorization": f"Bearer {token}", "user-agent": "bench"}
        self._body = user_pb2.GetUserRequest(user_id=user_id(0)).SerializeToString()
        service = user_pb2.DESCRIPTOR.services_by_name["UserService"]
        self._handler = _Handler(service)
        self._method = next(one for one in methods_of(service, self._handler) if one.name == "GetUser")

    async def bare(self) -> bytes:
        """What every server has to do: read, decode, answer, encode."""
        call = self._call(self._metadata, self._body)
        request = user_pb2.GetUserRequest()
        request.ParseFromString(await call.receive() or b"")
        return (await self._handler.answer(request, None)).SerializeToString()

    def full(self) -> Try:
        """With everything."""
        return self._try()

    def variants(self) -> dict[str, Try]:
        """With all but the layer of that name."""
        method, policy = self._method, self._method.policy
        public = policy.callers | {options_pb2.CALLER_KIND_PUBLIC}
        return {
            "admission": self._try(replace(method, policy=replace(policy, sheddable=False))),
            "deadline": self._try(replace(method, policy=replace(policy, default_deadline=None, max_deadline=None))),
            "authentication": self._try(replace(method, policy=replace(policy, callers=public)), metadata={}),
            "rate limit": self._try(limited=False),
            # The same bytes as a message that has no rules.
            "validation": self._try(replace(method, request_type=StringValue)),
            "decoding and validation": self._try(replace(method, request_type=Empty), body=b""),
            "log line": self._try(level="error"),
            "metrics": self._try(metrics=_NoMetrics()),
            "log line and metrics": self._try(log=_NoTelemetry(self._logs["info"], Metrics())),
        }

    def flush(self) -> None:
        """Have the logs written, before their file goes."""
        for log in self._logs.values():
            log.flush()

    def _try(
        self,
        method: Method | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limited: bool = True,
        level: Level = "info",
        metrics: Metrics | None = None,
        log: CallLog | None = None,
    ) -> Try:
        chosen = method or self._method
        rates = {chosen.policy.rate_class: Rate(1e9, 10**9)} if limited else {}
        surroundings = Surroundings(
            Admission(1000, 1000, lambda: 0),
            Authenticator(TokenVerifier(dev_issuers(self._key)), CallerCache(_look_up, ttl=3600)),
            RateLimits(rates, {}, time.monotonic),
            log or CallLog(self._logs[level], metrics or Metrics()),
            _MOST_BYTES,
        )
        sent, data = self._metadata if metadata is None else metadata, self._body if body is None else body

        async def attempt() -> None:
            answer = await surroundings.serve(chosen, self._call(sent, data))
            assert answer.status is None, answer.status

        return attempt

    def _call(self, metadata: Mapping[str, str], body: bytes) -> Call:
        async def receive() -> bytes:
            return body

        return Call(self._method.path, metadata, "ipv4:127.0.0.1", None, receive)


_LEVELS: Final[tuple[Level, ...]] = ("info", "error")


async def _look_up(_kind: LookupKind, subject: str) -> Account:
    return Account(subject, "user", True)
