"""Each operation waits for whoever moves the same wallet, and decides on what he left: here two meet without chance."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import psycopg
import pytest
from banter.v1 import user_pb2, wallet_pb2
from google.protobuf.message import Message

from banter_grpc.database.queries import wallet as wallet_queries
from banter_grpc.database.queries import wallet_refunds, wallet_subscriptions, wallet_withdrawals
from banter_grpc.database.statement import Step
from banter_grpc.jobs.subscriptions import renew
from banter_grpc.money import transaction_id
from tests.support.harness import Running
from tests.support.money import (
    award,
    complete_withdrawal,
    credit,
    new_host,
    new_withdrawal,
    request_withdrawal,
    review_withdrawal,
)
from tests.support.refunds import adjust, pay, refund
from tests.support.subscriptions import StopClock, cancel, periods_of, rich_user, subscribe, subscriber
from tests.support.turns import blocked, meanwhile, outcome, unfinished

Steps = list[Step[Any]]
PRINT = "00" * 32
ERASE = (
    "UPDATE users SET phone_number = NULL, country_code = NULL, full_name = NULL, timezone = NULL,"
    " is_active = FALSE, delete_time = clock() WHERE id = $1::uuid"
)


@pytest.fixture(scope="module")
async def admin(banter: Running) -> str:
    return (await banter.new_user(role="admin")).user_id


def moved(admin: str, user_id: str, amount: int, kind: str = "coins", request_id: str | None = None) -> Steps:
    """The steps of a correction."""
    request_id = request_id or str(uuid.uuid4())
    return [
        wallet_queries.lock_wallet(user_id=user_id, kind=kind),
        wallet_refunds.adjust_balance(
            user_id=user_id,
            kind=kind,
            amount=amount,
            note="a prize",
            transaction_id=transaction_id(admin, request_id),
            actor_id=admin,
            request_id=request_id,
            fingerprint=PRINT,
        ),
    ]


def subscribed(user_id: str, plan_id: str = "monthly", request_id: str | None = None) -> Steps:
    """The steps of a subscription."""
    request_id = request_id or str(uuid.uuid4())
    return [
        wallet_queries.lock_wallet(user_id=user_id, kind="coins"),
        wallet_subscriptions.subscribe(
            user_id=user_id,
            request_id=request_id,
            fingerprint=PRINT,
            transaction_id=transaction_id(user_id, request_id),
            subscription_id=str(uuid.uuid4()),
            plan_id=plan_id,
        ),
    ]


def delete(banter: Running, user_id: str):
    request = user_pb2.DeleteUserRequest(user_id=user_id, forfeit_balance=True)
    return banter.users.DeleteUser(request, metadata=banter.as_service)


async def paid_pair(banter: Running, service_url: str) -> tuple[str, str, str]:
    """A user, a host whose id is a later one, and the gift of 50 coins from one to the other, 30 of them his part."""
    payer, host = sorted([(await banter.new_user()).user_id for _ in range(2)])
    return payer, host, await pay(service_url, payer, 50, host, 30)


class TestWaiting:
    async def test_a_purchase_is_added_to_what_is_there(self, banter: Running, service_url: str, admin: str) -> None:
        user = (await banter.new_user()).user_id
        answer = await meanwhile(service_url, moved(admin, user, -1), lambda: credit(banter, user, 250))
        assert answer.transaction.balance_after == 349

    async def test_a_withdrawal_holds_what_is_left(self, banter: Running, service_url: str, admin: str) -> None:
        host = await new_host(banter, 1000)
        first = moved(admin, host, -1, "earnings")
        assert (
            await meanwhile(service_url, first, lambda: request_withdrawal(banter, host, 1000))
            == "EARNINGS_INSUFFICIENT"
        )

    async def test_a_withdrawal_that_has_just_failed_is_not_paid(
        self, banter: Running, service_url: str, admin: str
    ) -> None:
        host = await new_host(banter, 1000)
        withdrawal = await new_withdrawal(banter, host)
        await review_withdrawal(banter, admin, host, withdrawal)
        failed = [
            wallet_queries.lock_wallet(user_id=host, kind="earnings"),
            wallet_withdrawals.complete_withdrawal(
                user_id=host,
                withdrawal_id=withdrawal,
                status="failed",
                completer_id=admin,
                transaction_id=str(uuid.uuid4()),
                payout_reference=None,
            ),
        ]
        answer = await meanwhile(service_url, failed, lambda: complete_withdrawal(banter, host, withdrawal))
        assert answer == "WITHDRAWAL_COMPLETED_OTHERWISE"

    async def test_a_bonus_is_added_to_what_is_there(self, banter: Running, service_url: str, admin: str) -> None:
        host = await new_host(banter, 10)
        answer = await meanwhile(
            service_url, moved(admin, host, -1, "earnings"), lambda: award(banter, host, 300, rule="more")
        )
        assert answer.transaction.balance_after == 309

    async def test_a_subscription_is_paid_from_what_is_left(
        self, banter: Running, service_url: str, admin: str
    ) -> None:
        user = await rich_user(banter, 299)
        assert (
            await meanwhile(service_url, moved(admin, user, -1), lambda: subscribe(banter, user))
            == "COINS_INSUFFICIENT"
        )

    async def test_a_subscription_that_has_just_begun_is_cancelled(self, banter: Running, service_url: str) -> None:
        user = await rich_user(banter)
        answer = await meanwhile(service_url, subscribed(user), lambda: cancel(banter, user))
        assert answer.subscription.status == wallet_pb2.SUBSCRIPTION_STATUS_CANCELLED

    async def test_one_that_has_just_been_cancelled_is_not_renewed(
        self, banter: Running, service_url: str, clock_at: StopClock
    ) -> None:
        user = await subscriber(banter, clock_at, "2031-01-31 10:00")
        clock_at("2031-02-28 00:00")
        cancelled = [
            wallet_queries.lock_wallet(user_id=user, kind="coins"),
            wallet_subscriptions.cancel_subscription(user_id=user),
        ]
        await meanwhile(service_url, cancelled, lambda: renew(banter.server.database))
        assert len(periods_of(banter, user)) == 1

    @pytest.mark.parametrize("whose", ["payer", "host"])
    async def test_a_refund_takes_what_is_left(self, banter: Running, service_url: str, admin: str, whose: str) -> None:
        payer, host, paid = await paid_pair(banter, service_url)
        first = moved(admin, payer, -1) if whose == "payer" else moved(admin, host, -1, "earnings")
        answer = await meanwhile(service_url, first, lambda: refund(banter, admin, payer, paid))
        expected = (99, 30) if whose == "payer" else (100, 29)
        assert (answer.transaction.balance_after, answer.taken_back) == expected

    async def test_a_correction_takes_what_is_left(self, banter: Running, service_url: str, admin: str) -> None:
        user = (await banter.new_user()).user_id
        answer = await meanwhile(service_url, moved(admin, user, -100), lambda: adjust(banter, admin, user, -1))
        assert answer == "BALANCE_INSUFFICIENT"

    @pytest.mark.parametrize("kind", ["coins", "earnings"])
    async def test_who_goes_forfeits_what_is_left(
        self, banter: Running, service_url: str, admin: str, kind: str
    ) -> None:
        host = await new_host(banter, 1000)
        answer = await meanwhile(service_url, moved(admin, host, -1, kind), lambda: delete(banter, host))
        assert answer.HasField("delete_time")
        (total,) = await banter.execute("SELECT total FROM transactions WHERE user_id = %s AND kind = 'forfeit'", host)
        assert total == (1099,)


class TestOrder:
    """A wallet is locked when those before it are: in the order of (user_id, kind), so that nobody waits in a ring."""

    async def test_a_refund_locks_the_wallets_of_both_in_order(
        self, banter: Running, service_url: str, admin: str
    ) -> None:
        for turned in (False, True):
            one, other = sorted([(await banter.new_user()).user_id for _ in range(2)], reverse=turned)
            paid = await pay(service_url, one, 50, other, 30)
            wallets = sorted([(one, "coins"), (other, "earnings")])
            await waits_for_the_first(service_url, wallets, partial(refund, banter, admin, one, paid))

    async def test_who_goes_has_his_wallets_locked_in_order(self, banter: Running, service_url: str) -> None:
        host = await new_host(banter, 1000)
        await waits_for_the_first(service_url, [(host, "coins"), (host, "earnings")], lambda: delete(banter, host))


async def waits_for_the_first(
    service_url: str, wallets: list[tuple[str, str]], call: Callable[[], Awaitable[Any]]
) -> None:
    """A call that finds the first wallet locked holds no lock of the second."""
    first, second = (wallet_queries.lock_wallet(user_id=user_id, kind=kind) for user_id, kind in wallets)
    async with unfinished(service_url, first) as other:
        task = asyncio.ensure_future(outcome(call()))
        await blocked(other, task)
        await other.execute(f"{second.statement.sql} NOWAIT".encode(), second.parameters)
    assert isinstance(await task, Message)


class TestKeys:
    """Two requests with one key meet where the key is written: who loses looks again, and is told."""

    @pytest.mark.parametrize("call", ["withdrawal", "subscription", "correction", "refund"])
    async def test_a_refusal_has_the_key(self, banter: Running, service_url: str, admin: str, call: str) -> None:
        user, other, key = await rich_user(banter), (await banter.new_user()).user_id, str(uuid.uuid4())
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "withdrawal": lambda: request_withdrawal(banter, user, 1, key),
            "subscription": lambda: subscribe(banter, admin, request_id=key),
            "correction": lambda: adjust(banter, admin, other, -(10**6), request_id=key),
            "refund": lambda: refund(banter, admin, other, str(uuid.uuid4()), request_id=key),
        }
        refused = moved(admin, user, -(10**6), request_id=key)
        if call == "withdrawal":
            refused = subscribed(user, "nonesuch", key)
        assert await meanwhile(service_url, refused, calls[call]) == "REQUEST_ID_REUSED"

    @pytest.mark.parametrize("call", ["subscription", "correction", "refund"])
    async def test_a_movement_has_the_key(self, banter: Running, service_url: str, admin: str, call: str) -> None:
        user, key = await rich_user(banter), str(uuid.uuid4())
        payer, _, paid = await paid_pair(banter, service_url)
        await credit(banter, admin, 1000)
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "subscription": lambda: subscribe(banter, admin, request_id=key),
            "correction": lambda: adjust(banter, admin, payer, 1, request_id=key),
            "refund": lambda: refund(banter, admin, payer, paid, request_id=key),
        }
        answer = await meanwhile(service_url, moved(admin, user, -1, request_id=key), calls[call])
        assert answer == "REQUEST_ID_REUSED"


class TestErasedMeanwhile:
    @pytest.mark.parametrize("call", ["correction", "refund"])
    async def test_he_is_found_missing(self, banter: Running, service_url: str, admin: str, call: str) -> None:
        """The note waits for the eraser, can't be written any more, and the request is sent again."""
        payer, _, paid = await paid_pair(banter, service_url)
        async with unfinished(service_url) as eraser:
            await eraser.execute(ERASE, [payer])
            asked = refund(banter, admin, payer, paid) if call == "refund" else adjust(banter, admin, payer, 1)
            task = asyncio.ensure_future(outcome(asked))
            await blocked(eraser, task)
        assert await task == "USER_NOT_FOUND"


class TestErased:
    async def test_he_gets_no_bonus_and_forfeits_nothing_any_more(self, banter: Running, service_url: str) -> None:
        """A tombstone that somebody made by hand, and who is still called a host."""
        host = await new_host(banter, 1000)
        async with await psycopg.AsyncConnection.connect(
            service_url, cursor_factory=psycopg.AsyncRawCursor
        ) as connection:
            await connection.execute(ERASE, [host])
        assert await outcome(award(banter, host, 300, rule="more")) == "USER_NOT_FOUND"
        await outcome(delete(banter, host))
        found = await banter.execute("SELECT available FROM wallets WHERE user_id = %s ORDER BY kind", host)
        assert found == [(100,), (1000,)]
