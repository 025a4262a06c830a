"""Stopping: what was accepted is answered, and nothing that stays open delays it."""

from __future__ import annotations

import asyncio
import time

import grpc
import psycopg
from banter.v1 import user_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.harness import CHANNEL_OPTIONS, running
from tests.support.probe import probe

OK = user_pb2.FindOrCreateUserResponse(created=True)
VALID = user_pb2.FindOrCreateUserRequest(phone_number="+919812345678").SerializeToString()


async def test_two_hundred_calls_in_flight_are_all_answered(new_database) -> None:
    database = new_database()
    async with running(database.owner_url, database.service_url) as banter:
        user = await banter.new_user()
        async with await psycopg.AsyncConnection.connect(database.owner_url) as blocker:
            await blocker.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            watch = health_pb2_grpc.HealthStub(banter.channel).Watch(health_pb2.HealthCheckRequest())
            await watch.read()
            request = user_pb2.GetUserRequest(user_id=user.user_id)
            calls = [
                asyncio.ensure_future(banter.users.GetUser(request, metadata=banter.as_service, timeout=20))
                for _ in range(200)
            ]
            async with asyncio.timeout(10):
                while banter.server.admission.in_flight < 201:
                    await asyncio.sleep(0.01)
            stopping = asyncio.create_task(banter.server.drain())
            await asyncio.sleep(0.3)
            await blocker.rollback()
        answers = await asyncio.wait_for(asyncio.gather(*calls), 10)
        assert {answer.user.user_id for answer in answers} == {user.user_id}
        started = time.perf_counter()
        await asyncio.wait_for(stopping, 10)
        assert time.perf_counter() - started < 2, "an open Watch held it up"


async def test_steady_callers_never_see_a_call_lost() -> None:
    """They meet the end of the server between two calls, as UNAVAILABLE from their own connection, and no other way."""

    async def soon(_request: object, _caller: object) -> user_pb2.FindOrCreateUserResponse:
        await asyncio.sleep(0.002)
        return OK

    served, ends = 0, []
    async with probe(soon) as server:  # type: ignore[arg-type]

        async def caller() -> None:
            nonlocal served
            async with grpc.aio.insecure_channel(f"127.0.0.1:{server.grpc.port}", options=CHANNEL_OPTIONS) as channel:
                call = channel.unary_unary("/probe.Probe/Do")
                while True:
                    try:
                        await call(VALID, timeout=10)
                        served += 1
                    except grpc.aio.AioRpcError as error:
                        ends.append((error.code(), error.details()))
                        return

        callers = [asyncio.create_task(caller()) for _ in range(40)]
        async with asyncio.timeout(10):
            while served < 200:
                await asyncio.sleep(0.01)
        await server.grpc.stop(10)
        await asyncio.wait_for(asyncio.gather(*callers), 10)
    assert {code for code, _ in ends} == {grpc.StatusCode.UNAVAILABLE}, ends
