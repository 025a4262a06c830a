"""Ordinary callers that go on while something happens to the server, and remember what became of their calls."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import grpc.aio
from banter.v1 import user_pb2

from tests.support.harness import CHANNEL_OPTIONS

_METHOD = "/banter.v1.UserService/GetUser"
_PAUSE = 0.1
_RECONNECT = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100)]


@dataclass
class Steady:
    """What became of the calls so far."""

    answered: int = 0
    failures: list[tuple[grpc.StatusCode, str]] = field(default_factory=list[tuple[grpc.StatusCode, str]])
    last_failure: float = 0.0
    """Time of the loop."""

    async def more(self, count: int, within: float = 5.0) -> None:
        """Wait until so many further calls were answered."""
        wanted = self.answered + count
        async with asyncio.timeout(within):
            while self.answered < wanted:
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def steady_callers(port: int, token: str, count: int = 64) -> AsyncGenerator[Steady]:
    """So many callers, each on its own connection, ask for users that do not exist: NOT_FOUND is their answer.

    Every one of them has been answered when the context begins; at its end all are asked to end.
    """
    steady, ended = Steady(), asyncio.Event()
    callers = [asyncio.create_task(_caller(port, token, steady, ended)) for _ in range(count)]
    try:
        await steady.more(2 * count, within=10)
        yield steady
    finally:
        ended.set()
        await asyncio.wait_for(asyncio.gather(*callers), 15)


async def _caller(port: int, token: str, steady: Steady, ended: asyncio.Event) -> None:
    options = [*CHANNEL_OPTIONS, *_RECONNECT]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        ask = channel.unary_unary(_METHOD, user_pb2.GetUserRequest.SerializeToString)
        while not ended.is_set():
            try:
                await ask(
                    user_pb2.GetUserRequest(user_id=str(uuid.uuid4())),
                    metadata=(("authorization", f"Bearer {token}"),),
                    timeout=10,
                )
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    steady.answered += 1
                else:
                    steady.failures.append((error.code(), error.details() or ""))
                    steady.last_failure = asyncio.get_running_loop().time()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), _PAUSE)
