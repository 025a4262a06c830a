"""grpc.aio's adapter: bytes in, bytes or a status out.

Handlers are registered without (de)serialisers, so that undecodable bytes meet our code and not the library's.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import grpc
import grpc.aio

from banter_grpc.foreseen import ForeseenError
from banter_grpc.rpc.call import Answer, Call, Send
from banter_grpc.rpc.methods import Method
from banter_grpc.rpc.surroundings import Surroundings
from banter_grpc.transport.listener import make_server

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_TICK = 1.0
"""Seconds between two looks at whether the listener lives."""
_QUIET = 0.15
"""Seconds without an arriving call after which none is thought to be on the wire."""
_LONGEST_HOLD = 0.6
"""Seconds that arriving calls are held at most, before GOAWAY."""
_GOAWAY = 0.02
"""Seconds after which GOAWAY is out, and the held calls are served."""

Context = grpc.aio.ServicerContext[bytes, bytes]
Extend = Callable[[grpc.aio.Server], None]


class AddressError(ForeseenError):
    """The address can't be listened on."""


class GrpcServer:
    """Serves methods on one address until it is stopped."""

    def __init__(
        self,
        methods: Sequence[Method],
        surroundings: Surroundings,
        host: str,
        port: int,
        *,
        max_message_bytes: int,
        share_port: bool = False,
        extend: Sequence[Extend] = (),
    ) -> None:
        self._methods = methods
        self._surroundings = surroundings
        self._host = host
        self.port = port
        self._extend = extend
        # The core answers what is too long without a word of ours: let it be far longer first.
        self._options = _options(4 * max_message_bytes, share_port=share_port)
        self._gate: asyncio.Event | None = None
        self._serving = 0
        self._arrived = 0.0
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listen; raises `AddressError` if the port is in use or not ours."""
        server = make_server(self._options, self._unknown)
        by_service: defaultdict[str, dict[str, grpc.RpcMethodHandler[bytes, bytes]]] = defaultdict(dict)
        for method in self._methods:
            by_service[method.service][method.name] = self._handler(method)
        for service, handlers in by_service.items():
            server.add_registered_method_handlers(service, handlers)
        for extend in self._extend:
            extend(server)
        host = f"[{self._host}]" if ":" in self._host else self._host
        try:
            self.port = server.add_insecure_port(f"{host}:{self.port}")
        except RuntimeError:
            raise AddressError(
                f"{host}:{self.port} can't be listened on; is another server there? choose another with --port"
            ) from None
        await server.start()
        self._server = server

    async def ended(self) -> None:
        """Wait until it serves no more, which it does not do by itself: then only a new process helps."""
        assert self._server is not None
        while await self._server.wait_for_termination(_TICK):
            pass

    async def stop(self, grace: float) -> None:
        """Take no new calls, let those in flight end within `grace` seconds, then close.

        Two things would cost calls. Those that arrive when clients don't know yet are answered CANCELLED by the core,
        unserved: so they wait at a gate until GOAWAY is out, and are served then. And after GOAWAY a connection is
        closed right behind its last answer, which a reset can overtake: so it goes out when nothing is in flight, if
        that comes soon.
        """
        if self._server is None or self._gate is not None:
            return
        self._gate = asyncio.Event()
        await self._settle()
        stopping = asyncio.create_task(self._server.stop(grace))
        await asyncio.sleep(_GOAWAY)
        self._gate.set()
        await stopping

    async def _settle(self) -> None:
        """Wait until no call is in flight but those at the gate, and none arrives any more; not for long."""
        self._arrived = time.monotonic()
        end = self._arrived + _LONGEST_HOLD
        while (now := time.monotonic()) < end and (self._serving or now - self._arrived < _QUIET):  # noqa: ASYNC110
            await asyncio.sleep(_GOAWAY / 2)

    def _handler(self, method: Method) -> grpc.RpcMethodHandler[bytes, bytes]:
        async def unary(_requests: AsyncIterator[bytes], context: Context) -> bytes:
            return await self._serve(method, context, None)

        async def streaming(_requests: AsyncIterator[bytes], context: Context) -> None:
            await self._serve(method, context, context.write)

        if method.unary is None:
            return grpc.stream_stream_rpc_method_handler(streaming)
        # Not unary_unary: a call that never completes its message would be held by the core for ever, before
        # admission and without a deadline.
        return grpc.stream_unary_rpc_method_handler(unary)

    async def _serve(self, method: Method, context: Context, send: Send | None) -> bytes:
        if self._gate is not None:
            self._arrived = time.monotonic()
            await self._gate.wait()
        self._serving += 1
        try:
            return _finish(context, await self._surroundings.serve(method, _call(method.path, context), send))
        finally:
            self._serving -= 1

    async def _unknown(self, context: Context) -> None:
        _finish(context, self._surroundings.unknown(_call("", context)))


def _call(path: str, context: Context) -> Call:
    async def receive() -> bytes | None:
        message = await context.read()
        return None if message is grpc.aio.EOF else message

    return Call(path, _metadata(context), _host_of(context.peer()), context.time_remaining(), receive)


def _metadata(context: Context) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for key, value in context.invocation_metadata() or ():
        if isinstance(value, str):
            found.setdefault(key, value)
    return found


def _host_of(peer: str) -> str:
    """``ipv4:10.0.0.7:40312`` without the port; a Unix socket as it is."""
    return peer.rsplit(":", 1)[0] if peer.startswith(("ipv4:", "ipv6:")) else peer


def _finish(context: Context, answer: Answer) -> bytes:
    status = answer.status
    trailers = tuple(answer.trailers)
    if status is not None:
        context.set_code(_CODES[status.code])
        context.set_details(status.message)
        trailers = (*trailers, ("grpc-status-details-bin", status.details))
    context.set_trailing_metadata(trailers)
    return answer.body


def _options(max_bytes: int, *, share_port: bool) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", int(share_port)),
        ("grpc.max_receive_message_length", max_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", 16 * 1024),
        # The core answers CANCELLED to calls beyond these that wait for the loop; admission has a better answer.
        ("grpc.server.max_pending_requests", 100_000),
        ("grpc.server.max_pending_requests_hard_limit", 100_000),
        ("grpc.http2.bdp_probe", 0),  # it widens windows, and a stalled loop would take in 200 MB a second
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]
