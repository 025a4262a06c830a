"""The real surroundings and transport around handlers that a test writes, for what no handler of ours does."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc.aio
from banter.v1 import options_pb2, user_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from banter_grpc.rpc.admission import Admission
from banter_grpc.rpc.caller import Authenticator, Caller, CallerCache
from banter_grpc.rpc.limits import Rate, RateLimits
from banter_grpc.rpc.methods import methods_of
from banter_grpc.rpc.policy import Policy
from banter_grpc.rpc.surroundings import Surroundings
from banter_grpc.rpc.telemetry.calls import CallLog
from banter_grpc.rpc.telemetry.logs import Log, make_log
from banter_grpc.rpc.telemetry.metrics import Metrics
from banter_grpc.rpc.tokens import TokenVerifier
from banter_grpc.transport.grpc import GrpcServer
from tests.support.harness import CHANNEL_OPTIONS

Answer = Callable[[Message, Caller], Awaitable[Message]]
DEADLINE = 0.3
MAXIMUM = 0.6


@dataclass
class Probe:
    """A server of one method, ``/probe.Probe/Do``, and of a stream, ``/probe.Probe/Watch``."""

    grpc: GrpcServer
    channel: grpc.aio.Channel
    metrics: Metrics
    admission: Admission
    events: Log
    log_stream: io.StringIO
    waiting: list[int] = field(default_factory=lambda: [0])

    @property
    def service(self) -> ServiceDescriptor:
        return _descriptor()

    def do(self, body: bytes = b"", path: str = "/probe.Probe/Do", **options: object) -> grpc.aio.UnaryUnaryCall:
        return self.channel.unary_unary(path)(body, **options)  # type: ignore[arg-type]

    def watch(self, body: bytes = b"", **options: object) -> grpc.aio.UnaryStreamCall:
        return self.channel.unary_stream("/probe.Probe/Watch")(body, **options)  # type: ignore[arg-type]

    @property
    def log(self) -> list[dict[str, object]]:
        self.events.flush()
        return [json.loads(line) for line in self.log_stream.getvalue().splitlines()]


def _service() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="probe.proto", package="probe", syntax="proto3", dependency=[user_pb2.DESCRIPTOR.name]
    )
    types = {"input_type": ".banter.v1.FindOrCreateUserRequest", "output_type": ".banter.v1.FindOrCreateUserResponse"}
    service = file.service.add(name="Probe")
    service.method.add(name="Do", **types)
    service.method.add(name="Watch", server_streaming=True, **types)
    return file


def _descriptor() -> ServiceDescriptor:
    pool = descriptor_pool.Default()
    try:
        return pool.FindServiceByName("probe.Probe")
    except KeyError:
        pool.Add(_service())  # pyright: ignore[reportDeprecated]
        return pool.FindServiceByName("probe.Probe")


def _policy(method: MethodDescriptor, deadline: float | None) -> Policy:
    usual = (None, None) if method.server_streaming else (DEADLINE, MAXIMUM)
    found = usual if deadline is None else (deadline, deadline)
    return Policy(frozenset({options_pb2.CALLER_KIND_PUBLIC}), options_pb2.RATE_CLASS_READ, *found)


@asynccontextmanager
async def probe(
    do: Answer | None = None,
    watch: Callable[[Message, Caller], AsyncIterator[Message]] | None = None,
    *,
    max_in_flight: int = 100,
    max_waiting: int = 10,
    rate: Rate = Rate(1e6, 1000),
    max_bytes: int = 10_000,
    deadline: float | None = None,
) -> AsyncIterator[Probe]:
    """A server whose handlers are `do` and `watch`; `deadline` is for both, in place of the usual ones."""

    class Handler:
        async def Do(self, request: Message, caller: Caller) -> Message:
            return await do(request, caller) if do else user_pb2.FindOrCreateUserResponse()

        async def Watch(self, request: Message, caller: Caller) -> AsyncIterator[Message]:
            assert watch is not None
            async for answer in watch(request, caller):
                yield answer

    async def nobody(_kind: str, _subject: str) -> None:
        return None

    waiting, stream, metrics = [0], io.StringIO(), Metrics()
    log = make_log("json", "debug", stream)
    admission = Admission(max_in_flight, max_waiting, lambda: waiting[0])
    rates = {int(options_pb2.RATE_CLASS_READ): rate}
    clock = [0.0]
    surroundings = Surroundings(
        admission,
        Authenticator(TokenVerifier([]), CallerCache(nobody)),
        RateLimits(rates, {}, lambda: clock[0]),
        CallLog(log, metrics),
        max_bytes,
    )
    server = GrpcServer(
        methods_of(_descriptor(), Handler(), policy_of=lambda method: _policy(method, deadline)),
        surroundings,
        "127.0.0.1",
        0,
        max_message_bytes=max_bytes,
    )
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=CHANNEL_OPTIONS) as channel:
            yield Probe(server, channel, metrics, admission, log, stream, waiting)
    finally:
        await server.stop(1.0)
