"""`banter.v1.client`: what comes in the wheel for callers in Python."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import pytest
from banter.v1 import user_pb2, user_pb2_grpc
from banter.v1.client import BanterError, acting_for, connect, error_of, service_config

from tests.support.contract import ROOT
from tests.support.harness import Running, new_phone_number

NOBODY = "01990a2b-5c1e-7d3f-8a4b-0123456789ab"
ALONE = (("grpc.use_local_subchannel_pool", 1),)


async def failed(call: object) -> BanterError:
    with pytest.raises(grpc.RpcError) as caught:
        await call  # type: ignore[misc]
    return error_of(caught.value)


class Fake:
    """A UserService whose GetUser keeps what it is told by metadata, and fails or waits as it is asked to."""

    def __init__(self) -> None:
        self.calls: list[dict[str, str]] = []
        self.seconds: list[float | None] = []
        self.failures = 0
        self.code = grpc.StatusCode.UNAVAILABLE
        self.trailers: tuple[tuple[str, str | bytes], ...] = ()

    async def get_user(self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        self.calls.append(dict(context.invocation_metadata() or ()))  # type: ignore[arg-type]
        self.seconds.append(context.time_remaining())
        if len(self.calls) <= self.failures:
            await context.abort(self.code, "not now", self.trailers)
        return b""

    async def stream(self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> AsyncIterator[bytes]:
        self.calls.append(dict(context.invocation_metadata() or ()))  # type: ignore[arg-type]
        self.seconds.append(context.time_remaining())
        yield b"one"


@asynccontextmanager
async def serving(fake: Fake) -> AsyncIterator[str]:
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    server.add_registered_method_handlers(
        "banter.v1.UserService",
        {
            "GetUser": grpc.unary_unary_rpc_method_handler(fake.get_user),  # type: ignore[arg-type]
            "Stream": grpc.unary_stream_rpc_method_handler(fake.stream),  # type: ignore[arg-type]
        },
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def test_a_call_carries_the_token_and_the_user_for_whom_a_service_acts(banter: Running) -> None:
    user, other = await banter.new_user(), await banter.new_user()
    async with connect(banter.address, token=banter.service_token(), on_behalf_of=user.user_id) as channel:
        users = user_pb2_grpc.UserServiceStub(channel)
        own = user_pb2.UpdateUserRequest(user=user_pb2.User(user_id=user.user_id, bio="hello"))
        assert (await users.UpdateUser(own)).user.bio == "hello"
        foreign = user_pb2.UpdateUserRequest(user=user_pb2.User(user_id=other.user_id, bio="hello"))
        assert (await failed(users.UpdateUser(foreign))).reason == "NOT_OWNER"
        # What a call brings weighs more than what its channel has.
        assert (await users.UpdateUser(foreign, metadata=acting_for(other.user_id))).user.bio == "hello"


async def test_an_error_is_read_with_all_its_details(banter: Running) -> None:
    async with connect(banter.address, token=banter.service_token()) as channel:
        users = user_pb2_grpc.UserServiceStub(channel)
        missing = await failed(users.GetUser(user_pb2.GetUserRequest(user_id=NOBODY)))
        invalid = await failed(users.GetUser(user_pb2.GetUserRequest(user_id="me")))
    assert (missing.code, missing.reason) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")
    assert missing.metadata == {"user_id": NOBODY}
    assert missing.message == f"there is no user {NOBODY}; check user_id"
    assert missing.retry_after is None and missing.violations == ()
    assert len(banter.logged(missing.call_id)) == 1
    assert (invalid.reason, invalid.metadata) == ("REQUEST_INVALID", {"count": "1"})
    ((field, description, rule),) = ((v.field, v.description, v.rule) for v in invalid.violations)
    assert (field, rule) == ("user_id", "string.uuid") and "UUID" in description


async def test_an_error_of_a_blocking_channel_is_read_the_same_way(banter: Running) -> None:
    code = f"""
import grpc
from banter.v1 import user_pb2, user_pb2_grpc
from banter.v1.client import error_of
with grpc.insecure_channel("{banter.address}") as channel:
    try:
        user_pb2_grpc.UserServiceStub(channel).GetUser(user_pb2.GetUserRequest(user_id="{NOBODY}"), timeout=10)
    except grpc.RpcError as error:
        print(error_of(error).reason)
"""
    assert await _python(code) == "CREDENTIALS_MISSING\n"


async def test_when_a_retry_helps_the_error_says_after_how_many_seconds() -> None:
    from banter_grpc.errors import Refusal
    from banter_grpc.rpc.errors import status_of

    fake = Fake()
    fake.failures, fake.code = 1, grpc.StatusCode.RESOURCE_EXHAUSTED
    details = status_of(Refusal("RATE_LIMITED", "too many calls", retry_after=0.4)).details
    fake.trailers = (("grpc-status-details-bin", details), ("x-request-id", "r-1"))
    async with serving(fake) as address, connect(address, options=ALONE) as channel:
        error = await failed(user_pb2_grpc.UserServiceStub(channel).GetUser(user_pb2.GetUserRequest()))
    assert (error.reason, error.retry_after, error.call_id) == ("RATE_LIMITED", 0.4, "r-1")


@pytest.mark.parametrize("raw", [b"", b"\xff\xff"])
async def test_an_error_that_is_not_banters_has_a_code_and_no_reason(raw: bytes) -> None:
    fake = Fake()
    fake.failures, fake.code = 1, grpc.StatusCode.INTERNAL
    fake.trailers = (("grpc-status-details-bin", raw),)
    async with serving(fake) as address, connect(address, options=ALONE) as channel:
        error = await failed(user_pb2_grpc.UserServiceStub(channel).GetUser(user_pb2.GetUserRequest()))
    assert (error.code, error.reason, error.message, error.retry_after) == (fake.code, "", "not now", None)


async def test_what_may_be_repeated_is_repeated_by_the_published_service_config() -> None:
    fake = Fake()
    fake.failures = 2
    async with serving(fake) as address, connect(address, options=ALONE) as channel:
        await user_pb2_grpc.UserServiceStub(channel).GetUser(user_pb2.GetUserRequest())
    assert len(fake.calls) == 3
    assert service_config() == (ROOT / "docs" / "service_config.json").read_text()


async def test_a_unary_call_has_a_deadline_and_a_stream_only_its_own() -> None:
    fake = Fake()
    async with serving(fake) as address, connect(address, token="t", timeout=7, options=ALONE) as channel:
        users = user_pb2_grpc.UserServiceStub(channel)
        await users.GetUser(user_pb2.GetUserRequest())
        await users.GetUser(user_pb2.GetUserRequest(), timeout=3)
        stream = channel.unary_stream("/banter.v1.UserService/Stream")
        assert [each async for each in stream(b"")] == [b"one"]
        assert [each async for each in stream(b"", timeout=3)] == [b"one"]
    default, own, unlimited, own_of_stream = fake.seconds
    assert default and own and own_of_stream
    assert 3.5 < default < 7.5 and own < 3.5 and own_of_stream < 3.5 and unlimited is None
    assert all(call["authorization"] == "Bearer t" for call in fake.calls)


async def test_nobody_there_is_known_within_the_deadline() -> None:
    started = time.monotonic()
    async with connect("127.0.0.1:1", timeout=0.5, options=ALONE) as channel:
        error = await failed(user_pb2_grpc.UserServiceStub(channel).GetUser(user_pb2.GetUserRequest()))
    assert error.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
    assert (error.reason, error.call_id) == ("", "")
    assert time.monotonic() - started < 10


async def test_a_token_that_must_be_fetched_is_asked_for_before_each_call() -> None:
    fake, given = Fake(), iter(("first", "second"))

    async def token() -> str:
        return next(given)

    async with serving(fake) as address, connect(address, token=token, options=ALONE) as channel:
        users = user_pb2_grpc.UserServiceStub(channel)
        await users.GetUser(user_pb2.GetUserRequest())
        await users.GetUser(user_pb2.GetUserRequest())
    assert [call["authorization"] for call in fake.calls] == ["Bearer first", "Bearer second"]


async def test_with_credentials_the_channel_speaks_tls() -> None:
    fake = Fake()
    async with serving(fake) as address:
        credentials = grpc.ssl_channel_credentials()
        async with connect(address, credentials=credentials, timeout=1, options=ALONE) as channel:
            error = await failed(user_pb2_grpc.UserServiceStub(channel).GetUser(user_pb2.GetUserRequest()))
    assert error.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
    assert fake.calls == []


def test_the_client_needs_nothing_of_the_server() -> None:
    tree = ast.parse((ROOT / "client" / "banter" / "v1" / "client.py").read_text())
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    foreign = {name.split(".")[0] for name in named} - sys.stdlib_module_names
    assert foreign == {"grpc", "google"}


async def test_the_example_of_the_page_does_what_the_page_says(banter: Running) -> None:
    page = (ROOT / "docs" / "python-client.md").read_text()
    (program,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (output,) = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    user = await banter.new_user()
    printed = await _python(
        program,
        BANTER_TARGET=banter.address,
        BANTER_TOKEN=banter.service_token(),
        PHONE_NUMBER=new_phone_number(),
        OTHER_USER_ID=user.user_id,
    )
    assert re.sub(r"[0-9a-f-]{36}", "ID", printed) == re.sub(r"[0-9a-f-]{36}", "ID", output)


async def _python(code: str, **variables: str) -> str:
    """What a program prints, run beside the server; it has to end well."""
    import asyncio

    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code],
        check=False,
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_service_config_is_json() -> None:
    assert json.loads(service_config())["methodConfig"]
