"""The standard services: health and reflection."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import grpc
import psycopg
import pytest
from banter.v1 import user_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from banter_grpc.server import SERVICES
from tests.conftest import Cluster
from tests.support.harness import Running, refused, running

USERS = "banter.v1.UserService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def health_of(banter: Running) -> health_pb2_grpc.HealthStub:
    return health_pb2_grpc.HealthStub(banter.channel)


async def check(banter: Running, service: str) -> int:
    answer = await health_of(banter).Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
    return answer.status


async def until(banter: Running, service: str, wanted: int, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while await check(banter, service) != wanted:
            await asyncio.sleep(0.02)


class TestHealth:
    async def test_alive_and_ready_without_credentials(self, banter: Running) -> None:
        await until(banter, USERS, SERVING)
        assert await check(banter, "") == SERVING

    async def test_a_service_that_is_not_here_is_not_found(self, banter: Running) -> None:
        failure = await refused(health_of(banter).Check(health_pb2.HealthCheckRequest(service="nobody.Service")))
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "SERVICE_UNKNOWN")

    async def test_list_names_all(self, banter: Running) -> None:
        await until(banter, USERS, SERVING)
        answer = await health_of(banter).List(health_pb2.HealthListRequest())
        names = ["", *(service.full_name for service in SERVICES)]
        assert {name: state.status for name, state in answer.statuses.items()} == dict.fromkeys(names, SERVING)

    async def test_watch_tells_each_change_and_ends_when_the_server_does(self, new_database) -> None:
        database = new_database()
        async with running(database.owner_url, database.service_url) as banter:
            watch = health_of(banter).Watch(health_pb2.HealthCheckRequest(service=USERS))
            unknown = health_of(banter).Watch(health_pb2.HealthCheckRequest(service="nobody"))
            assert (await unknown.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
            seen = [(await watch.read()).status]
            if seen == [NOT_SERVING]:
                seen.append((await watch.read()).status)
            assert seen[-1] == SERVING
            started = time.perf_counter()
            banter.server.health.close()
            assert (await watch.read()).status == NOT_SERVING
            assert await watch.read() is grpc.aio.EOF
            assert time.perf_counter() - started < 1

    async def test_health_is_never_shed(self, new_database) -> None:
        database = new_database()
        async with running(database.owner_url, database.service_url, max_in_flight=1) as banter:
            user = await banter.new_user()
            await until(banter, USERS, SERVING)
            request = user_pb2.GetUserRequest(user_id=user.user_id)
            async with await psycopg.AsyncConnection.connect(database.owner_url) as blocker:
                await blocker.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
                held = asyncio.ensure_future(banter.users.GetUser(request, metadata=banter.as_service, timeout=10))
                async with asyncio.timeout(5):
                    while not banter.server.admission.in_flight:
                        await asyncio.sleep(0.001)
                failure = await refused(banter.users.GetUser(request, metadata=banter.as_service))
                assert failure.reason == "SERVER_BUSY"
                assert (await check(banter, ""), await check(banter, USERS)) == (SERVING, SERVING)
            assert (await held).user.user_id == user.user_id

    async def test_alive_never_touches_the_database(self, cluster: Cluster) -> None:
        """Ready needs it, alive does not."""
        database = cluster.new_database()
        async with running(database.owner_url, database.service_url) as banter:
            await until(banter, USERS, SERVING)
            cluster.drop_database(database.name)
            await until(banter, USERS, NOT_SERVING)
            assert await check(banter, "") == SERVING


class TestReflection:
    @pytest.mark.parametrize("version", ["v1", "v1alpha"])
    async def test_both_versions_list_and_describe_the_services(self, banter: Running, version: str) -> None:
        call = banter.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        asked = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=USERS),
        ]
        listed, described = [answer async for answer in call(iter(asked), timeout=5)]
        names = {service.name for service in listed.list_services_response.service}
        assert names >= {USERS, "grpc.health.v1.Health"}
        assert "grpc.reflection.v1.ServerReflection" not in names
        assert described.file_descriptor_response.file_descriptor_proto

    async def test_buf_curl_finds_the_methods(self, banter: Running) -> None:
        buf = Path(sys.executable).with_name("buf")
        done = await asyncio.to_thread(
            subprocess.run,
            [
                buf,
                "curl",
                "--list-methods",
                "--protocol",
                "grpc",
                "--http2-prior-knowledge",
                f"http://{banter.address}",
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert f"{USERS}/GetUser" in done.stdout

    async def test_it_is_off_unless_asked_for(self, new_database) -> None:
        database = new_database()
        async with running(database.owner_url, database.service_url, reflection=False) as banter:
            call = banter.channel.unary_unary("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
            assert (await refused(call(b""))).reason == "METHOD_UNKNOWN"
