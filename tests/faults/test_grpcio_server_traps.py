"""What grpcio 1.85 does with servers and processes, and a reader would not expect: an upgrade of it shows here."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import inspect
import sys
import time
from pathlib import Path

import grpc
import grpc.aio
import psycopg_pool
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from tests.support.bare import SERVICE, Bare, bare_server, call, echo, unary
from tests.support.http2 import connection, listening

ECHO = f"/{SERVICE}/Echo".encode()
NO_UTF8 = b"/bare.Bare/\xff"
SCRIPT = Path(__file__).with_name("grpcio_process.py")


async def held(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    """Answers after as many seconds as the request says."""
    await asyncio.sleep(float(request))
    return request


async def killed(bare: Bare) -> None:
    """Returns once the server has shut its port; fails if that takes longer than 2 s."""
    async with asyncio.timeout(2):
        while await listening(bare.port):
            await asyncio.sleep(0.01)


async def test_two_servers_bind_one_port_silently_unless_reuseport_is_0() -> None:
    servers = [grpc.aio.server() for _ in range(3)]
    first = servers[0].add_insecure_port("127.0.0.1:0")
    assert servers[1].add_insecure_port(f"127.0.0.1:{first}") == first
    for server in servers:
        await server.start()
        await server.stop(0)
    async with bare_server() as bare:
        with pytest.raises(RuntimeError, match="Failed to bind"):
            async with bare_server(port=bare.port):
                pass


@pytest.mark.parametrize(
    ("option", "obeyed"),
    [
        ("grpc.http2.min_ping_interval_without_data_ms", True),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", False),
    ],
)
async def test_the_commonly_pasted_keepalive_option_is_ignored(option: str, obeyed: bool) -> None:
    options = ((option, 1), ("grpc.keepalive_permit_without_calls", 1))
    async with bare_server({"Held": unary(held)}, options=options) as bare, connection(bare.port) as client:
        await client.send(f"/{SERVICE}/Held".encode(), b"5")
        for expected in range(1, 7):
            await client.ping()
            async with asyncio.timeout(2):
                while client.pongs < expected and not client.closed:
                    await client.read_for(0.01)
    too_many_pings = 11
    assert (client.pongs, client.goaway) == (6, None) if obeyed else client.goaway == too_many_pings


async def test_stopping_waits_the_whole_grace_for_an_open_health_watch() -> None:
    async with bare_server() as bare, bare.channel() as channel:
        health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), bare.server)
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        await asyncio.wait_for(watch.read(), 2)
        started = time.monotonic()
        await bare.server.stop(0.5)
        assert time.monotonic() - started >= 0.5


async def test_listing_health_is_unimplemented_in_the_library() -> None:
    async with bare_server() as bare, bare.channel() as channel:
        health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), bare.server)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await health_pb2_grpc.HealthStub(channel).List(health_pb2.HealthListRequest(), timeout=2)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def reflected(channel: grpc.aio.Channel, service: str, symbol: str) -> str:
    """What reflection served as `service` says of `symbol`: the kind of its answer, or the status of the call."""
    method = channel.stream_stream(
        f"/{service}/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    try:
        answers = method(iter([reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)]), timeout=2)
        async for answer in answers:
            return answer.WhichOneof("message_response") or ""
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return ""


async def test_reflection_is_served_as_v1alpha_only_and_works_as_v1_under_that_name() -> None:
    v1, v1alpha = "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"
    async with bare_server() as bare, bare.channel() as channel:
        servicer = reflection.aio.ReflectionServicer((v1alpha, v1))
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, bare.server)
        assert await reflected(channel, v1alpha, v1alpha) == "file_descriptor_response"
        assert await reflected(channel, v1, v1alpha) == "UNIMPLEMENTED"
        handler = grpc.stream_stream_rpc_method_handler(
            servicer.ServerReflectionInfo,
            reflection_pb2.ServerReflectionRequest.FromString,
            reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        again = grpc.method_handlers_generic_handler(v1, {"ServerReflectionInfo": handler})
        bare.server.add_generic_rpc_handlers((again,))
        assert await reflected(channel, v1, v1alpha) == "file_descriptor_response"
        # Why the name of v1 is not to be listed: a client that asks for its description gets an error.
        assert await reflected(channel, v1, v1) == "error_response"


async def test_a_path_that_is_no_utf8_ends_the_server_but_not_its_calls_in_flight() -> None:
    started, finished = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def handler(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        started.release()
        await held(request, context)
        finished.release()
        return b""

    async with bare_server({"Held": unary(handler)}) as bare, bare.channel() as channel:
        in_flight = [asyncio.ensure_future(call(channel, "Held", b"0.3")) for _ in range(20)]
        for _ in in_flight:
            await asyncio.wait_for(started.acquire(), 2)
        async with connection(bare.port) as attacker:
            await attacker.answer(await attacker.send(NO_UTF8))
            await killed(bare)
            for _ in in_flight:
                await asyncio.wait_for(finished.acquire(), 2)
        codes = {code for code, _ in await asyncio.gather(*in_flight)}
        with pytest.raises(UnicodeDecodeError):
            await bare.server.wait_for_termination(2)
        assert (await call(channel, "Echo"))[0] is grpc.StatusCode.UNAVAILABLE
    # Each connection is closed right after its last answer, which may be lost on the way.
    assert grpc.StatusCode.OK in codes
    assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}


async def test_waiting_for_termination_without_a_timeout_misses_the_end_while_one_call_lasts() -> None:
    async with bare_server({"Held": unary(held)}) as bare, connection(bare.port) as client:
        await client.send(f"/{SERVICE}/Held".encode(), b"30")
        await client.answer(await client.send(ECHO))
        waiting = asyncio.ensure_future(bare.server.wait_for_termination())
        async with connection(bare.port) as attacker:
            await attacker.answer(await attacker.send(NO_UTF8))
        await killed(bare)
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done
        with pytest.raises(UnicodeDecodeError):
            await bare.server.wait_for_termination(0.05)
        client.close()
        with pytest.raises(UnicodeDecodeError):
            await asyncio.wait_for(waiting, 2)


async def test_a_fresh_server_takes_the_port_of_one_that_a_path_has_ended_at_once() -> None:
    async with bare_server({"Held": unary(held)}) as bare, connection(bare.port) as attacker:
        await attacker.send(f"/{SERVICE}/Held".encode(), b"30")
        await attacker.answer(await attacker.send(NO_UTF8))
        await killed(bare)
        with pytest.raises(UnicodeDecodeError):
            await bare.server.wait_for_termination(0.02)
        async with bare_server(port=bare.port) as fresh, fresh.channel() as channel:
            assert fresh.port == bare.port
            assert (await call(channel, "Echo"))[0] is grpc.StatusCode.OK


async def test_a_call_that_crosses_the_goaway_of_a_stopping_server_is_cancelled_unserved() -> None:
    served: list[bytes] = []

    async def counted(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        served.append(request)
        return await echo(request, context)

    async with bare_server({"Held": unary(held), "Ask": unary(counted)}) as bare, connection(bare.port) as client:
        kept = await client.send(f"/{SERVICE}/Held".encode(), b"0.5")
        await client.answer(await client.send(ECHO))
        stopping = asyncio.ensure_future(bare.server.stop(2))
        await killed(bare)
        crossing = await client.send(f"/{SERVICE}/Ask".encode())
        refused = await client.answer(crossing)
        finished = await client.answer(kept)
        await stopping
    lost_on_the_way = None
    assert (refused.grpc_status, served) == (grpc.StatusCode.CANCELLED.value[0], [])
    assert finished.grpc_status in {0, lost_on_the_way}


async def run(*arguments: str, within: float) -> list[str]:
    """The lines that the script prints; it is ended, with its children, when the time is over."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    lines: list[str] = []
    assert process.stdout is not None
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while line := await process.stdout.readline():
                    lines.append(line.decode().strip())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return lines


@pytest.mark.skipif(sys.platform != "linux", reason="fork is unsafe in itself on macOS")
@pytest.mark.parametrize(
    ("when", "children"), [("fork-before", {"child served"}), ("fork-beside", {"child hangs", "child aborted"})]
)
async def test_a_process_forked_beside_a_grpc_object_can_not_serve(when: str, children: set[str]) -> None:
    [child] = await run(when, within=10)
    assert child in children


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("what", "least", "most"), [("stall", 30, 100), ("stall-without-probe", 0, 15)])
async def test_a_stalled_loop_takes_requests_in_without_bound_unless_windows_are_fixed(
    what: str, least: int, most: int
) -> None:
    [grown] = await run(what, within=10)
    assert least <= int(grown) <= most, f"60 MB were sent while the loop stood still, {grown} MB taken in"


@pytest.mark.parametrize(("limit", "cancelled"), [(None, True), (100_000, False)])
async def test_calls_that_wait_for_a_busy_loop_are_cancelled_beyond_a_thousand(
    limit: int | None, cancelled: bool
) -> None:
    names = ("grpc.server.max_pending_requests", "grpc.server.max_pending_requests_hard_limit")
    options = tuple((name, limit) for name in names) if limit else ()
    async with bare_server(options=options) as bare, connection(bare.port) as client:
        await client.answer(await client.send(ECHO))
        streams = await client.burst(ECHO, 2500)
        time.sleep(0.5)
        statuses = {(await client.answer(stream, within=5)).grpc_status for stream in streams}
    assert statuses == ({0, grpc.StatusCode.CANCELLED.value[0]} if cancelled else {0})


async def test_the_grpcio_packages_are_of_one_version() -> None:
    packages = ("grpcio", "grpcio-health-checking", "grpcio-reflection", "grpcio-status", "grpcio-tools")
    assert len({importlib.metadata.version(package) for package in packages}) == 1


async def test_the_pools_defaults_are_a_long_wait_and_a_queue_without_end() -> None:
    defaults = inspect.signature(psycopg_pool.AsyncConnectionPool.__init__).parameters
    assert defaults["timeout"].default == 30.0
    assert defaults["max_waiting"].default == 0
