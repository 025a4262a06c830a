"""Sends calls to a server, and makes the people whom they are about."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Iterator
from typing import Final

import grpc
import grpc.aio
import psycopg
from banter.v1 import user_pb2, wallet_pb2
from google.protobuf.message_factory import GetMessageClass

from tests.model.basics import grant_signup
from tests.model.books import Books
from tests.model.calls import Call, Outcome, Seen
from tests.model.operations import agree
from tests.support.harness import bearer, failure_of, new_phone_number

OPTIONS: Final = [
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 100),
]
"""Nothing is retried behind a test's back, and a server that is there again is found at once."""

_OPEN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}


class UnansweredError(Exception):
    """Nobody knows what became of the call."""


class Client:
    """A service that calls for itself and for users."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self.channel = channel
        self._credentials = tuple(bearer(token))

    async def send(self, call: Call, timeout: float = 10) -> Outcome:
        """What came of it; raises `UnansweredError`."""
        try:
            return Outcome("", await self._ask(call, timeout))
        except grpc.aio.AioRpcError as error:
            if error.code() in _OPEN:
                raise UnansweredError(error.details()) from error
            failure = failure_of(error)
            return Outcome(failure.reason, b"", f"{failure.code} {failure.message} {sorted(failure.metadata.items())}")

    async def settle(self, call: Call, within: float = 60) -> Outcome:
        """What came of it, after it was sent again and again until it was answered."""
        end, again = time.monotonic() + within, False
        while True:
            try:
                return dataclasses.replace(await self.send(call), again=again)
            except UnansweredError:
                if time.monotonic() > end:
                    raise
            again = True
            await asyncio.sleep(0.02)

    async def _ask(self, call: Call, timeout: float) -> bytes:
        behalf = (("banter-on-behalf-of", call.actor),) if call.actor else ()
        method = f"/{call.method.containing_service.full_name}/{call.rpc}"
        ask = self.channel.unary_unary(method)
        data = await ask(call.data, metadata=self._credentials + behalf, timeout=timeout)
        answer = GetMessageClass(call.method.output_type).FromString(data)
        return answer.SerializeToString(deterministic=True)


async def new_world(
    client: Client,
    owner: psycopg.AsyncConnection,
    *,
    customers: int = 2,
    hosts: int = 2,
    admins: int = 2,
    coins: int = 1000,
    now: int | None = None,
) -> tuple[Books, Seen]:
    """New people who have something to begin with, customers so many coins that they bought; and the books about them,
    which know the time if it stands still.
    """
    books, seen = Books(), Seen(now=now)
    books.put(now, "now")
    for group, count, columns in (
        (seen.customers, customers, ""),
        (seen.hosts, hosts, "host_status = 'approved'"),
        (seen.admins, admins, "role = 'admin'"),
    ):
        for _ in range(count):
            group.append(await _new_person(client, books, seen))
        if columns:
            await owner.execute(f"UPDATE users SET {columns} WHERE id = ANY(%s)", [group])
    await owner.execute("INSERT INTO plans VALUES ('retired_by_tests', 1, 1, FALSE) ON CONFLICT DO NOTHING")
    for user in seen.hosts:
        books.put(True, "host", user)
    for call in _beginnings(seen, coins):
        agree(books, seen, call, await client.settle(call))
    return books, seen


def _beginnings(seen: Seen, coins: int) -> Iterator[Call]:
    """What customers buy, and what hosts get."""
    for user in seen.customers:
        purchase = wallet_pb2.PurchaseCoinsRequest(
            user_id=user, provider="tests", payment_id=seen.new_id(), coins=coins
        )
        yield Call.of("PurchaseCoins", "", purchase)
    for user in seen.hosts:
        bonus = wallet_pb2.AwardBonusRequest(user_id=user, rule="first", period="2026-W47", coins=5000)
        yield Call.of("AwardBonus", "", bonus)


async def _new_person(client: Client, books: Books, seen: Seen) -> str:
    phone = new_phone_number()
    request = user_pb2.FindOrCreateUserRequest(phone_number=phone, full_name="Asha Rao")
    call = Call.of("FindOrCreateUser", "", request)
    user = (await client.settle(call)).answer(call).user.user_id
    books.open(user)
    books.put(user, "phone", phone)
    grant_signup(books, user, phone)
    seen.phones.append(phone)
    return user
