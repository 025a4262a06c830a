"""Bonuses and withdrawals of one host from all sides at once.

They come over the lanes of one server and over the pool of another, so that only the wallet's lock keeps them apart.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import grpc
import pytest
from banter.v1 import wallet_pb2

from tests.support.clusters import Database
from tests.support.harness import Running, failure_of, over_pool, running
from tests.support.money import (
    award,
    cancel_withdrawal,
    complete_withdrawal,
    earnings_of,
    new_host,
    new_withdrawal,
    request_withdrawal,
    review_withdrawal,
)

ORDERLY = {
    "EARNINGS_INSUFFICIENT",
    "WITHDRAWAL_NOT_PENDING",
    "WITHDRAWAL_NOT_APPROVED",
    "WITHDRAWAL_COMPLETED_OTHERWISE",
}


@pytest.fixture(scope="module")
async def servers(banter: Running, worker_database: Database) -> AsyncIterator[list[Running]]:
    """Two servers of one database: by lanes, and by a pool, where nothing queues but at the lock."""
    async with running(worker_database.owner_url, worker_database.service_url, **over_pool(8)) as other:
        yield [banter, other]


async def outcome(call: object) -> str:
    """OK, or the reason of a refusal."""
    try:
        await call  # type: ignore[misc]
    except grpc.aio.AioRpcError as error:
        return failure_of(error).reason
    return "OK"


async def test_no_two_withdrawals_take_the_same_coins(servers: list[Running]) -> None:
    banter = servers[0]
    host = await new_host(banter, 10_500)
    async with asyncio.timeout(30):
        outcomes = await asyncio.gather(
            *(outcome(request_withdrawal(server, host, 1000)) for server in servers for _ in range(25))
        )
    assert Counter(outcomes) == {"OK": 10, "EARNINGS_INSUFFICIENT": 40}
    assert await earnings_of(banter, host) == (500, 10_000)


async def test_bonuses_of_one_host_all_come_and_each_once(servers: list[Running]) -> None:
    banter = servers[0]
    host = await new_host(banter)
    periods = [f"2026-11-{day:02d}" for day in range(1, 26)]
    async with asyncio.timeout(30):
        outcomes = await asyncio.gather(
            *(outcome(award(server, host, 10, period=period)) for server in servers for period in periods)
        )
    assert Counter(outcomes) == {"OK": 50}
    assert await earnings_of(banter, host) == (250, 0)


@pytest.mark.parametrize("begun", ["pending", "approved"])
async def test_a_withdrawal_ends_once_whoever_ends_it(servers: list[Running], begun: str) -> None:
    banter = servers[0]
    admin = (await banter.new_user(role="admin")).user_id
    ends: Counter[int] = Counter()
    for _ in range(8):
        host = await new_host(banter, 1500)
        withdrawal = await new_withdrawal(banter, host)
        if begun == "approved":
            await review_withdrawal(banter, admin, host, withdrawal)
        calls = [
            call
            for server in servers
            for call in (
                cancel_withdrawal(server, host, withdrawal),
                review_withdrawal(server, admin, host, withdrawal, "APPROVED"),
                review_withdrawal(server, admin, host, withdrawal, "REJECTED"),
                complete_withdrawal(server, host, withdrawal, "PAID"),
                complete_withdrawal(server, host, withdrawal, "FAILED"),
            )
        ]
        async with asyncio.timeout(30):
            outcomes = await asyncio.gather(*(outcome(call) for call in calls))
        assert set(outcomes) <= ORDERLY | {"OK"} and "OK" in outcomes
        request = wallet_pb2.ListWithdrawalsRequest(user_id=host)
        (left,) = (await banter.wallets.ListWithdrawals(request, metadata=banter.as_service)).withdrawals
        ends[left.status] += 1
        held = {wallet_pb2.WITHDRAWAL_STATUS_APPROVED: (500, 1000), wallet_pb2.WITHDRAWAL_STATUS_PAID: (500, 0)}
        assert await earnings_of(banter, host) == held.get(left.status, (1500, 0))
    assert wallet_pb2.WITHDRAWAL_STATUS_PENDING not in ends
