"""Bytes that no client sends: the service goes on answering, and its memory stays where it was."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from dataclasses import dataclass

import grpc
import pytest
from banter.v1 import user_pb2

from tests.support import hostile
from tests.support.clusters import Database
from tests.support.http2 import Headers, connection, framed, listening, recording
from tests.support.served import Served, served
from tests.support.steady import Steady, steady_callers

GET_USER = b"/banter.v1.UserService/GetUser"
NO_UTF8 = b"/banter.v1.UserService/\xff"
REQUEST = user_pb2.GetUserRequest(user_id="0199f3b2-6b1c-7c3e-9d5a-5d0c8f2a4e10").SerializeToString()
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, worker_database: Database) -> Generator[Served]:
    """`banter serve` on this worker's database."""
    with served(tmp_path_factory.mktemp("hostile"), worker_database.service_url) as running:
        yield running


@pytest.fixture
async def steady(server: Served) -> AsyncGenerator[Steady]:
    """64 ordinary callers beside the test."""
    async with steady_callers(server.port, server.token) as callers:
        yield callers


def credentials(server: Served) -> Headers:
    return [(b"authorization", b"Bearer " + server.token.encode())]


@dataclass(frozen=True)
class Attack:
    """What is done to a port, and how often it has to have worked for the attack to count as one."""

    name: str
    run: Callable[[Served], Coroutine[None, None, int]]
    least: int


async def _idle(server: Served) -> int:
    async with hostile.idle_connections(server.port, count=300) as made:
        await asyncio.sleep(0.3)
        return made


async def _undecodable(server: Served) -> int:
    statuses = await hostile.calls(server.port, GET_USER, framed(b"\xff" * 50), credentials(server), count=200)
    return statuses.count(grpc.StatusCode.INVALID_ARGUMENT.value[0])


async def _oversize(server: Served) -> int:
    huge = framed(bytes(6 * MEGABYTE))
    statuses = await hostile.calls(server.port, GET_USER, huge, credentials(server), count=20)
    return statuses.count(grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])


ATTACKS = (
    Attack("random bytes", lambda at: hostile.random_bytes(at.port, connections=300, seed=1), 200),
    Attack("truncated", lambda at: hostile.truncated(at.port, _whole(at), cuts=150), 100),
    Attack("bits flipped", lambda at: hostile.bit_flipped(at.port, _whole(at), flips=200, seed=1), 150),
    Attack(
        "rapid resets",
        lambda at: hostile.rapid_resets(at.port, GET_USER, credentials(at), connections=10, each=300),
        1000,
    ),
    Attack("idle connections", _idle, 300),
    Attack("undecodable requests", _undecodable, 200),
    Attack("oversize requests", _oversize, 20),
    Attack("short connections", lambda at: hostile.short_connections(at.port, total=10_000), 10_000),
)


def _whole(server: Served) -> bytes:
    return recording(GET_USER, REQUEST, credentials(server))


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_no_steady_caller_notices_an_attack(server: Served, steady: Steady, attack: Attack) -> None:
    worked = await asyncio.wait_for(attack.run(server), 30)
    await steady.more(128)
    assert worked >= attack.least
    assert steady.failures == []


async def _round(server: Served) -> None:
    """Some of each attack that leaves something behind if anything does: about 6,000 calls and connections."""
    await hostile.random_bytes(server.port, connections=100, seed=2)
    await hostile.rapid_resets(server.port, GET_USER, credentials(server), connections=10, each=300)
    await hostile.short_connections(server.port, total=3000)
    await _undecodable(server)
    await hostile.calls(server.port, GET_USER, framed(bytes(6 * MEGABYTE)), credentials(server), count=5)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_attacks_leave_memory_and_files_where_they_were(server: Served) -> None:
    """Memory may grow to what an attack needs at once, and not with the number of attacks."""
    await _round(server)
    files, seen = server.files, [server.memory]
    while len(seen) < 3 or seen[-1] > seen[-3] + 3 * MEGABYTE:
        assert len(seen) < 12, f"memory grows with each round: {[size // MEGABYTE for size in seen]} MB"
        await _round(server)
        seen.append(server.memory)
    assert seen[-1] < seen[0] + 64 * MEGABYTE
    async with asyncio.timeout(5):
        while server.files > files + 5:
            await asyncio.sleep(0.05)


async def test_a_path_that_is_no_utf8_costs_nobody_a_call(server: Served, steady: Steady) -> None:
    """It ends a bare grpc.aio server for good, and some processes with it."""
    for attacker in range(20):
        async with connection(server.port) as client:
            await client.send(NO_UTF8, end=attacker % 2 == 0)
            await client.read_for(0.02)
            assert await listening(server.port)
    await steady.more(128)
    assert steady.failures == []


CASES: dict[str, tuple[bytes, bytes, Headers, grpc.StatusCode]] = {
    "undecodable": (GET_USER, framed(b"\xff\xff"), [], grpc.StatusCode.INVALID_ARGUMENT),
    "text that is no UTF-8": (GET_USER, framed(b"\x0a\x02\xff\xfe"), [], grpc.StatusCode.INVALID_ARGUMENT),
    "larger than ours": (GET_USER, framed(bytes(2 * MEGABYTE)), [], grpc.StatusCode.RESOURCE_EXHAUSTED),
    "larger than the library's": (GET_USER, framed(bytes(5 * MEGABYTE)), [], grpc.StatusCode.RESOURCE_EXHAUSTED),
    "a length of 4 GB": (GET_USER, b"\0\xff\xff\xff\xff", [], grpc.StatusCode.RESOURCE_EXHAUSTED),
    "unknown method": (b"/banter.v1.UserService/No", framed(b""), [], grpc.StatusCode.UNIMPLEMENTED),
    "unknown service": (b"/no.Such/Method", framed(b""), [], grpc.StatusCode.UNIMPLEMENTED),
    "no path": (b"", framed(b""), [], grpc.StatusCode.UNIMPLEMENTED),
    "a path of NUL": (b"/\0", framed(b""), [], grpc.StatusCode.UNIMPLEMENTED),
    "a long path": (b"/" + b"x" * 5000, framed(b""), [], grpc.StatusCode.UNIMPLEMENTED),
    "a path of other letters": ("/\u0905\U0001f600".encode(), framed(b""), [], grpc.StatusCode.UNIMPLEMENTED),
    "a token that is no UTF-8": (
        GET_USER,
        framed(REQUEST),
        [(b"authorization", b"Bearer \xff\xfe")],
        grpc.StatusCode.UNAUTHENTICATED,
    ),
    "a request id with a newline": (GET_USER, framed(REQUEST), [(b"x-request-id", b"a\nb")], grpc.StatusCode.NOT_FOUND),
    "a request id that is no UTF-8": (
        GET_USER,
        framed(REQUEST),
        [(b"x-request-id", b"\xff")],
        grpc.StatusCode.NOT_FOUND,
    ),
    "a header of NUL": (GET_USER, framed(REQUEST), [(b"x-other", b"\0")], grpc.StatusCode.NOT_FOUND),
    "another content type": (GET_USER, framed(REQUEST), [(b"content-type", b"text/html")], grpc.StatusCode.NOT_FOUND),
    "another te": (GET_USER, framed(REQUEST), [(b"te", b"gzip")], grpc.StatusCode.INTERNAL),
    "a bad deadline": (GET_USER, framed(REQUEST), [(b"grpc-timeout", b"soon")], grpc.StatusCode.INTERNAL),
    "an unknown compression": (GET_USER, framed(REQUEST), [(b"grpc-encoding", b"zstd")], grpc.StatusCode.INTERNAL),
    "two messages": (GET_USER, framed(REQUEST) * 2, [], grpc.StatusCode.NOT_FOUND),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_malformed_call_is_answered_with_its_own_status(server: Served, case: str) -> None:
    path, data, extra, status = CASES[case]
    named = {name for name, _ in extra}
    headers = [*extra, *(header for header in credentials(server) if header[0] not in named)]
    async with connection(server.port) as client:
        answer = await client.answer(await client.send_data(path, data, headers))
        assert answer.grpc_status == status.value[0], answer
    async with connection(server.port) as client:
        again = await client.answer(await client.send(GET_USER, REQUEST, credentials(server)))
        assert again.grpc_status == grpc.StatusCode.NOT_FOUND.value[0]


async def test_nothing_that_was_sent_was_logged_as_a_defect(server: Served) -> None:
    for path, data, extra, _ in CASES.values():
        async with connection(server.port) as client:
            await client.answer(await client.send_data(path, data, extra))
    await _undecodable(server)
    assert [line for line in server.log if line.get("event") == "defect"] == []
