"""Every unary RPC is at most one round trip to the database, counted on the socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc.aio
import pytest
from banter.v1 import options_pb2
from google.protobuf.descriptor import MethodDescriptor

from tests.support import contract
from tests.support.clusters import Cluster
from tests.support.harness import Running, failure_of, over_lanes, over_pool, running
from tests.support.proxy import Proxy
from tests.support.requests import ENDING, prepare, request_for

UNARY = [pytest.param(m, id=m.full_name) for m in contract.methods() if not m.server_streaming]


@pytest.fixture(scope="module", params=[over_lanes(1), over_pool(1)], ids=["lanes", "pool"])
async def counted(request: pytest.FixtureRequest, cluster: Cluster) -> AsyncIterator[tuple[Running, Proxy]]:
    """A server that remembers its callers, and the proxy before its database."""
    database = cluster.new_database()
    async with (
        Proxy(database.service_url) as proxy,
        running(database.owner_url, proxy.url, caller_cache=60, **request.param) as banter,
    ):
        yield banter, proxy
    cluster.drop_database(database.name)


@pytest.mark.parametrize("method", UNARY)
async def test_a_call_is_one_round_trip(counted: tuple[Running, Proxy], method: MethodDescriptor) -> None:
    """With its statements prepared and the caller's state cached."""
    banter, proxy = counted
    user, admin = await banter.new_user(), await banter.new_user(role="admin")
    callers = contract.policy(method).callers
    may_user = options_pb2.CALLER_KIND_USER in callers and method.full_name not in ENDING
    may_service = options_pb2.CALLER_KIND_SERVICE in callers
    await prepare(banter, user.user_id)
    staff = banter.as_service if may_service else banter.as_user(admin.user_id)
    metadata = tuple(banter.as_user(user.user_id) if may_user else staff)
    call = banter.channel.unary_unary(f"/{method.containing_service.full_name}/{method.name}")

    async def ask(request: bytes) -> None:
        try:
            await call(request, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            if failure_of(error).reason not in contract.promised_reasons(method):  # one of its own costs as much
                raise

    async def five() -> tuple[int, int]:
        requests = [(await request_for(banter, method, user.user_id)).SerializeToString() for _ in range(5)]
        before = proxy.syncs, proxy.round_trips
        for request in requests:
            await ask(request)
        return proxy.syncs - before[0], proxy.round_trips - before[1]

    await five()
    # The server's own look at the database, once a second, may fall into one of the measurements.
    asked, trips = min([await five() for _ in range(3)])
    assert (asked, trips) <= (5, 5)
    assert asked > 0, "the proxy counts"
