"""A bare grpc.aio server, without anything of Banter's: what grpcio itself does."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

SERVICE = "bare.Bare"

Options = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Bare:
    """A running server and the port of 127.0.0.1 that it listens on."""

    server: grpc.aio.Server
    port: int

    @contextlib.asynccontextmanager
    async def channel(self) -> AsyncGenerator[grpc.aio.Channel]:
        """A channel with a connection of its own, without retries."""
        options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", options=options) as channel:
            yield channel


def unary(handler: Any) -> grpc.RpcMethodHandler[bytes, bytes]:
    """A unary method of bytes."""
    return grpc.unary_unary_rpc_method_handler(handler)


async def echo(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    """Answers what it was asked."""
    return request


@contextlib.asynccontextmanager
async def bare_server(
    methods: Mapping[str, grpc.RpcMethodHandler[Any, Any]] | None = None,
    *,
    options: Options = (),
    port: int = 0,
    maximum_concurrent_rpcs: int | None = None,
) -> AsyncGenerator[Bare]:
    """Serves `methods` and `Echo` of `bare.Bare`; what still runs at the end is cut off."""
    server = grpc.aio.server(
        options=(("grpc.so_reuseport", 0), *options), maximum_concurrent_rpcs=maximum_concurrent_rpcs
    )
    server.add_registered_method_handlers(SERVICE, {"Echo": unary(echo), **(methods or {})})
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield Bare(server, bound)
    finally:
        await server.stop(0)


async def call(
    channel: grpc.aio.Channel, method: str, request: bytes = b"", within: float | None = 2.0
) -> tuple[grpc.StatusCode, str]:
    """One unary call: its status and its details."""
    try:
        await channel.unary_unary(f"/{SERVICE}/{method}")(request, timeout=within)
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""
