"""What grpcio 1.85 does with handlers, and a reader would not expect: an upgrade that changes it fails here by name."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import wrappers_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.support.bare import SERVICE, bare_server, call, unary
from tests.support.http2 import connection

ASK = f"/{SERVICE}/Ask".encode()

Context = grpc.aio.ServicerContext[bytes, bytes]
Handler = Callable[[bytes, Context], Awaitable[bytes]]


async def answered(handler: Handler) -> tuple[grpc.StatusCode, str]:
    """What a client gets from one call of `handler`."""
    async with bare_server({"Ask": unary(handler)}) as bare, bare.channel() as channel:
        return await call(channel, "Ask")


async def hangs(handler: Handler) -> bool:
    """Whether a client without a deadline still waits for `handler` long after the handler has ended."""
    ended = asyncio.Event()

    async def watched(request: bytes, context: Context) -> bytes:
        try:
            return await handler(request, context)
        finally:
            ended.set()

    async with bare_server({"Ask": unary(watched)}) as bare, bare.channel() as channel:
        waiting = asyncio.ensure_future(call(channel, "Ask", within=None))
        await asyncio.wait_for(ended.wait(), 2)
        done, _ = await asyncio.wait({waiting}, timeout=0.4)
        waiting.cancel()
        await asyncio.wait({waiting}, timeout=2)
        return not done


async def test_an_uncaught_exception_reaches_the_client_with_its_text() -> None:
    async def handler(request: bytes, context: Context) -> bytes:
        raise ValueError("the secret")

    assert await answered(handler) == (grpc.StatusCode.UNKNOWN, "Unexpected <class 'ValueError'>: the secret")


async def test_a_handler_that_raises_cancelled_error_leaves_its_client_hanging() -> None:
    async def handler(request: bytes, context: Context) -> bytes:
        raise asyncio.CancelledError

    assert await hangs(handler)


async def test_a_handler_that_lets_a_base_exception_out_leaves_its_client_hanging() -> None:
    class Unexpected(BaseException):
        pass

    async def handler(request: bytes, context: Context) -> bytes:
        raise Unexpected

    assert await hangs(handler)


async def test_an_abort_is_swallowed_by_except_exception_and_the_handler_goes_on() -> None:
    went_on = asyncio.Event()

    async def handler(request: bytes, context: Context) -> bytes:
        with contextlib.suppress(Exception):
            await context.abort(grpc.StatusCode.NOT_FOUND, "aborted")
        went_on.set()
        return b"an answer after all"

    assert issubclass(grpc.aio.AbortError, Exception)
    assert await answered(handler) == (grpc.StatusCode.NOT_FOUND, "aborted")
    assert went_on.is_set()


async def test_an_oversize_request_never_reaches_a_unary_handler() -> None:
    calls: list[int] = []

    async def handler(request: bytes, context: Context) -> bytes:
        calls.append(len(request))
        return b""

    limit = (("grpc.max_receive_message_length", 1000),)
    async with bare_server({"Ask": unary(handler)}, options=limit) as bare, bare.channel() as channel:
        assert await call(channel, "Ask", bytes(1001)) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "SERVER: Received message larger than max (1001 vs. 1000)",
        )
        assert await call(channel, "Ask", bytes(1000)) == (grpc.StatusCode.OK, "")
    assert calls == [1000]


async def test_an_oversize_request_looks_like_an_empty_stream_and_keeps_the_librarys_status() -> None:
    seen: list[object] = []

    async def handler(requests: AsyncIterator[bytes], context: Context) -> bytes:
        seen.extend([len(message) async for message in requests])
        seen.append("end")
        context.set_code(grpc.StatusCode.INVALID_ARGUMENT)
        context.set_details("ours")
        return b""

    limit = (("grpc.max_receive_message_length", 1000),)
    methods = {"Ask": grpc.stream_unary_rpc_method_handler(handler)}
    async with bare_server(methods, options=limit) as bare, bare.channel() as channel:
        code, details = await call(channel, "Ask", bytes(1001))
    assert (code, seen) == (grpc.StatusCode.RESOURCE_EXHAUSTED, ["end"])
    assert "ours" not in details


@pytest.mark.parametrize("data", [b"", b"\0\0\0\0\5ab"], ids=["nothing", "less than its length"])
async def test_a_call_without_a_whole_message_reaches_no_unary_handler_and_is_never_answered(data: bytes) -> None:
    calls: list[object] = []

    async def handler(request: bytes, context: Context) -> bytes:
        calls.append(request)
        return b""

    async with bare_server({"Ask": unary(handler)}) as bare, connection(bare.port) as client:
        stream = await client.send_data(ASK, data)
        with pytest.raises(TimeoutError):
            await client.answer(stream, within=0.4)
    assert calls == []


@pytest.mark.parametrize("data", [b"", b"\0\0\0\0\5ab"], ids=["nothing", "less than its length"])
async def test_a_call_without_a_whole_message_is_an_empty_stream_to_a_handler_that_reads(data: bytes) -> None:
    async def handler(requests: AsyncIterator[bytes], context: Context) -> bytes:
        assert await context.read() is grpc.aio.EOF
        context.set_code(grpc.StatusCode.INVALID_ARGUMENT)
        return b""

    methods = {"Ask": grpc.stream_unary_rpc_method_handler(handler)}
    async with bare_server(methods) as bare, connection(bare.port) as client:
        answer = await client.answer(await client.send_data(ASK, data))
    assert answer.grpc_status == grpc.StatusCode.INVALID_ARGUMENT.value[0]


async def test_bytes_that_do_not_decode_never_reach_a_handler_with_a_deserialiser() -> None:
    calls: list[object] = []

    async def handler(request: wrappers_pb2.StringValue, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        calls.append(request)
        return b""

    decoding = grpc.unary_unary_rpc_method_handler(handler, request_deserializer=wrappers_pb2.StringValue.FromString)
    async with bare_server({"Ask": decoding}) as bare, bare.channel() as channel:
        code, details = await call(channel, "Ask", b"\xff\xff")
    assert (code, calls) == (grpc.StatusCode.UNKNOWN, [])
    assert "DecodeError" in details


async def test_registered_handlers_without_serialisers_see_any_bytes_and_a_generic_one_the_unknown_methods() -> None:
    seen: list[bytes] = []
    asked: list[str] = []

    async def handler(request: bytes, context: Context) -> bytes:
        seen.append(request)
        return b""

    class CatchAll(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in its stubs only
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
            asked.append(handler_call_details.method)
            return unary(handler)

    async with bare_server({"Ask": unary(handler)}) as bare, bare.channel() as channel:
        bare.server.add_generic_rpc_handlers((CatchAll(),))
        for method in ("Ask", "Unknown"):
            for request in (b"", b"\xff\xff"):
                assert await call(channel, method, request) == (grpc.StatusCode.OK, "")
    assert seen == [b"", b"\xff\xff"] * 2
    assert asked == [f"/{SERVICE}/Unknown"] * 2


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("X-Upper", "value", grpc.StatusCode.INTERNAL),
        ("x-newline", "two\nlines", grpc.StatusCode.INTERNAL),
        ("x-letter", "\u00e9", grpc.StatusCode.INTERNAL),
        ("x-none", None, grpc.StatusCode.UNKNOWN),
        ("x-int", 1, grpc.StatusCode.UNKNOWN),
    ],
)
async def test_a_bad_trailer_fails_a_call_that_succeeded(name: str, value: Any, code: grpc.StatusCode) -> None:
    async def handler(request: bytes, context: Context) -> bytes:
        context.set_trailing_metadata(((name, value),))
        return b"done"

    assert (await answered(handler))[0] is code


async def test_a_text_in_a_binary_trailer_leaves_the_client_hanging() -> None:
    async def handler(request: bytes, context: Context) -> bytes:
        context.set_trailing_metadata((("x-data-bin", "text"),))
        return b"done"

    assert await hangs(handler)


async def test_none_in_initial_metadata_is_sent_as_nothing() -> None:
    async def handler(request: bytes, context: Context) -> bytes:
        metadata: Any = (("x-none", None),)
        await context.send_initial_metadata(metadata)
        return b""

    async with bare_server({"Ask": unary(handler)}) as bare, bare.channel() as channel:
        asked = channel.unary_unary(f"/{SERVICE}/Ask")(b"", timeout=2)
        await asked
        assert tuple(await asked.initial_metadata()) == (("x-none", ""),)


async def test_there_is_no_time_remaining_without_a_deadline_of_the_client() -> None:
    remaining: list[float | None] = []

    async def handler(request: bytes, context: Context) -> bytes:
        remaining.append(context.time_remaining())
        return b""

    async with bare_server({"Ask": unary(handler)}) as bare, bare.channel() as channel:
        await call(channel, "Ask", within=None)
        await call(channel, "Ask", within=2)
    assert remaining[0] is None
    assert remaining[1] is not None and 1 < remaining[1] < 2.5


@pytest.mark.parametrize("leaves_by", ["deadline", "reset", "hanging up"])
async def test_a_handler_whose_client_has_gone_is_cancelled_and_its_context_denies_it(leaves_by: str) -> None:
    started, ended = asyncio.Event(), asyncio.Event()
    seen: list[object] = []

    async def handler(request: bytes, context: Context) -> bytes:
        started.set()
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            seen.extend([context.cancelled(), context.done(), context.time_remaining()])
            raise
        finally:
            ended.set()
        return b""

    async with bare_server({"Ask": unary(handler)}) as bare, connection(bare.port) as client:
        deadline = ((b"grpc-timeout", b"100m"),) if leaves_by == "deadline" else ()
        stream = await client.send(ASK, extra=deadline)
        await asyncio.wait_for(started.wait(), 2)
        if leaves_by == "reset":
            await client.reset(stream)
        elif leaves_by == "hanging up":
            client.close()
        await asyncio.wait_for(ended.wait(), 2)
    assert seen == [False, False, 0 if leaves_by == "deadline" else None]


@pytest.mark.parametrize("goes_on", [False, True])
async def test_a_handler_that_swallows_its_cancellation_stays_for_as_long_as_it_goes_on(goes_on: bool) -> None:
    held: set[asyncio.Task[object] | None] = set()
    started, swallowed, enough = asyncio.Semaphore(0), asyncio.Semaphore(0), asyncio.Event()

    async def handler(request: bytes, context: Context) -> bytes:
        task = asyncio.current_task()
        held.add(task)
        started.release()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        swallowed.release()
        if goes_on:
            await enough.wait()
        held.discard(task)
        return b""

    async with bare_server({"Ask": unary(handler)}) as bare, bare.channel() as channel:
        calls = [asyncio.ensure_future(call(channel, "Ask", bytes(1000), within=10)) for _ in range(50)]
        for _ in calls:
            await asyncio.wait_for(started.acquire(), 2)
        for one in calls:
            one.cancel()
        for _ in calls:
            await asyncio.wait_for(swallowed.acquire(), 2)
        await call(channel, "Echo")
        assert len(held) == (50 if goes_on else 0)
        enough.set()


async def test_maximum_concurrent_rpcs_sheds_health_checks_too() -> None:
    started, enough = asyncio.Event(), asyncio.Event()

    async def handler(request: bytes, context: Context) -> bytes:
        started.set()
        await enough.wait()
        return b""

    async with bare_server({"Ask": unary(handler)}, maximum_concurrent_rpcs=1) as bare, bare.channel() as channel:
        health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), bare.server)
        waiting = asyncio.ensure_future(call(channel, "Ask"))
        await asyncio.wait_for(started.wait(), 2)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=2)
        enough.set()
        assert (await waiting)[0] is grpc.StatusCode.OK
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
