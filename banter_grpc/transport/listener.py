"""grpc.aio's server, mended: a path that is no UTF-8 does not end it.

grpcio decodes the path of each call to a method that is not registered, outside any ``try``: one byte that is no UTF-8
ends the task that takes calls in, the port closes, and a process that goes on may crash (1.85.1). So such calls are
taken in here as calls to one registered method of a name that nobody can guess. This uses two private names of grpcio,
which is why its version is pinned; ``tests/faults`` tells when either changes.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from grpc._cython import cygrpc

if TYPE_CHECKING:
    _Base = Any
else:
    _Base = cygrpc.AioServer


class _Intake(_Base):
    """Takes in calls to unknown methods under the name `unknown`."""

    unknown: bytes

    def _make_request_call_future(self, method: bytes | None) -> Awaitable[object]:
        if method == self.unknown:
            return asyncio.get_running_loop().create_task(self._request_call())
        if method is None:  # the intake that decodes: never asked
            return asyncio.get_running_loop().create_future()
        return super()._make_request_call_future(method)


def make_server(
    options: Sequence[tuple[str, int]], unknown: Callable[[grpc.aio.ServicerContext[bytes, bytes]], Awaitable[None]]
) -> grpc.aio.Server:
    """A server that gives calls to methods it does not have to `unknown`. Register methods with it, by name."""
    server: Any = grpc.aio.server(options=options)
    server._server = intake = _Intake(asyncio.get_running_loop(), None, [], [], tuple(options), None)  # noqa: SLF001
    name = f"/{secrets.token_hex(16)}"
    intake.unknown = name.encode()

    async def answer(_requests: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        await unknown(context)

    intake.add_registered_method_handlers({name: grpc.stream_stream_rpc_method_handler(answer)})
    return server
