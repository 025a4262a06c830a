"""Attacks on a gRPC port by raw HTTP/2. Each is bounded in count and time, and says how far it got.

A refused or broken connection is what an attacker expects: it is not an error here.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Iterable

from tests.support.http2 import PREFACE, Headers, abandon, connection

_AT_ONCE = 50
_PATIENCE = 0.25


async def _exchange(port: int, data: bytes, within: float = _PATIENCE) -> bytes:
    """Send bytes on a fresh connection, and return what comes until the server hangs up or is silent for so long."""
    received = b""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return received
    try:
        with contextlib.suppress(ConnectionError, TimeoutError):
            writer.write(data)
            while True:
                async with asyncio.timeout(within):
                    piece = await reader.read(65536)
                if not piece:
                    break
                received += piece
    finally:
        abandon(writer)
    return received


async def _all(port: int, payloads: Iterable[bytes]) -> int:
    """Send each payload on its own connection, some at once; the number of those that the server said anything to."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(payload: bytes) -> bool:
        async with places:
            return bool(await _exchange(port, payload))

    return sum(await asyncio.gather(*map(one, payloads)))


async def random_bytes(port: int, *, connections: int, seed: int) -> int:
    """Bytes of chance, half of them behind a valid preface; the number of connections that got a word back."""
    chance = random.Random(seed)
    payloads = [(PREFACE if i % 2 else b"") + chance.randbytes(chance.randint(1, 2000)) for i in range(connections)]
    return await _all(port, payloads)


async def truncated(port: int, whole: bytes, *, cuts: int) -> int:
    """A recorded call cut off at so many places; the number of connections that got a word back."""
    ends = sorted({round(len(whole) * cut / cuts) for cut in range(1, cuts)})
    return await _all(port, [whole[:end] for end in ends])


async def bit_flipped(port: int, whole: bytes, *, flips: int, seed: int) -> int:
    """A recorded call with one to three bits turned; the number of connections that got a word back."""
    chance = random.Random(seed)

    def flipped() -> bytes:
        changed = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            changed[chance.randrange(len(PREFACE), len(whole))] ^= 1 << chance.randrange(8)
        return bytes(changed)

    return await _all(port, [flipped() for _ in range(flips)])


async def rapid_resets(port: int, path: bytes, headers: Headers, *, connections: int, each: int) -> int:
    """Calls that are reset as soon as they are made; how many were sent before the server hung up."""
    sent = 0

    async def one() -> None:
        nonlocal sent
        with contextlib.suppress(OSError, TimeoutError):
            async with connection(port) as client:
                for _ in range(each):
                    if client.closed:
                        break
                    await client.reset(await client.send(path, b"", headers))
                    sent += 1
                await client.read_for(0.05)

    await asyncio.gather(*(one() for _ in range(connections)))
    return sent


async def short_connections(port: int, *, total: int, at_once: int = 100) -> int:
    """Connections that end when they have begun: a third silent, a third after the preface, a third by RST."""
    made = 0

    async def one(number: int) -> None:
        nonlocal made
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(5):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            made += 1
            if number % 3 == 1:
                writer.write(PREFACE)
            if number % 3 == 2:
                abandon(writer)
            else:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    for start in range(0, total, at_once):
        await asyncio.gather(*(one(number) for number in range(start, min(start + at_once, total))))
    return made


async def calls(port: int, path: bytes, data: bytes, headers: Headers, *, count: int) -> list[int | None]:
    """The same call so many times on a few connections, `data` as its DATA; the status of each, None without one."""
    statuses: list[int | None] = []

    async def some(number: int) -> None:
        async with connection(port) as client:
            for _ in range(number):
                answer = await client.answer(await client.send_data(path, data, headers), within=5)
                statuses.append(answer.grpc_status)

    await asyncio.gather(*(some(count // 5) for _ in range(5)))
    return statuses


@contextlib.asynccontextmanager
async def idle_connections(port: int, *, count: int) -> AsyncGenerator[int]:
    """Connections that say nothing, a half of them after the preface, for as long as the context lasts."""
    async with contextlib.AsyncExitStack() as stack:
        made = 0
        for number in range(count):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                stack.callback(abandon, writer)
                made += 1
                if number % 2:
                    writer.write(PREFACE)
        yield made
