"""Money between processes: two servers of one database, over pools, so that no lane keeps writers in a row."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import grpc
import psycopg
import pytest
from banter.v1 import user_pb2, wallet_pb2

from tests.conftest import NewDatabase
from tests.support.harness import Running, failure_of, new_phone_number, over_pool, refused, running
from tests.support.ledger import discrepancies
from tests.support.money import credit, wallet_of

_ERASE = """
UPDATE users SET
    phone_number = NULL, country_code = NULL, full_name = NULL, timezone = NULL, firebase_uid = NULL,
    is_active = FALSE, delete_time = clock()
WHERE id = %s
"""


@pytest.fixture
async def servers(new_database: NewDatabase) -> AsyncIterator[tuple[Running, Running]]:
    made = new_database()
    async with (
        running(made.owner_url, made.service_url, **over_pool(8)) as first,
        running(made.owner_url, made.service_url, **over_pool(8)) as second,
    ):
        yield first, second


async def test_purchases_of_one_user_follow_each_other(servers: tuple[Running, Running]) -> None:
    user = (await servers[0].new_user()).user_id
    async with asyncio.timeout(60):
        answers = await asyncio.gather(*(credit(servers[number % 2], user, 1 + number) for number in range(50)))
    balances = sorted(answer.transaction.balance_after for answer in answers)
    assert balances[-1] == 100 + sum(range(1, 51))
    assert (await wallet_of(servers[0], user)).coins.available == balances[-1]
    async with await psycopg.AsyncConnection.connect(servers[0].owner_url) as connection:
        cursor = await connection.execute(
            "SELECT version, balance_after FROM entries WHERE account = 'coins' ORDER BY version"
        )
        found = await cursor.fetchall()
    assert [version for version, _ in found] == list(range(1, 52))
    assert sorted(balance for _, balance in found) == [100, *balances]
    with psycopg.connect(servers[0].owner_url) as connection:
        assert await asyncio.to_thread(discrepancies, connection) == []


async def test_one_payment_for_many_users_credits_one_and_refuses_the_others(servers: tuple[Running, Running]) -> None:
    users = [(await servers[0].new_user()).user_id for _ in range(10)]
    payment = uuid.uuid4().hex
    async with asyncio.timeout(60):
        answers = await asyncio.gather(
            *(credit(servers[number % 2], user, 250, payment) for number, user in enumerate(users * 5)),
            return_exceptions=True,
        )
    credited = [answer for answer in answers if isinstance(answer, wallet_pb2.PurchaseCoinsResponse)]
    reasons = [failure_of(answer).reason for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert (len(credited), reasons) == (5, ["PAYMENT_CREDITED_OTHERWISE"] * 45)
    balances = [(await wallet_of(servers[1], user)).coins.available for user in users]
    assert sorted(balances) == [100] * 9 + [350]


async def test_who_was_erased_is_not_credited(servers: tuple[Running, Running]) -> None:
    user = (await servers[0].new_user()).user_id
    await erase(servers[0], user)
    failure = await refused(credit(servers[0], user, 250))
    assert failure.reason == "USER_NOT_FOUND"
    async with await psycopg.AsyncConnection.connect(servers[0].owner_url) as connection:
        cursor = await connection.execute("SELECT available FROM wallets WHERE kind = 'coins'")
        assert await cursor.fetchall() == [(100,)]


async def test_a_phone_number_has_its_grant_once_whoever_comes_with_it_later(servers: tuple[Running, Running]) -> None:
    request = user_pb2.FindOrCreateUserRequest(phone_number=new_phone_number(), full_name="Asha Rao")
    had: list[int] = []
    for _ in range(2):
        async with asyncio.timeout(60):
            answers = await asyncio.gather(
                *(servers[n % 2].users.FindOrCreateUser(request, metadata=servers[n % 2].as_service) for n in range(20))
            )
        assert len({answer.user.user_id for answer in answers}) == 1
        user = answers[0].user.user_id
        had.append((await wallet_of(servers[0], user)).coins.available)
        await erase(servers[0], user)
    assert had == [100, 0]


async def erase(banter: Running, user_id: str) -> None:
    """Make a tombstone of him, behind the server's back."""
    async with await psycopg.AsyncConnection.connect(banter.owner_url, autocommit=True) as connection:
        await connection.execute(_ERASE, [user_id])
