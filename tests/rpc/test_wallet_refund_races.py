"""Refunds and corrections at once: over the pool, where nothing queues for a lane and only the locks keep order."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any

import grpc.aio
import pytest

from tests.support.harness import Running, failure_of, over_pool, running
from tests.support.money import credit, wallet_of
from tests.support.refunds import adjust, deadlocks, pay, refund


@pytest.fixture(scope="module")
async def pooled(owner_url: str, service_url: str) -> AsyncIterator[Running]:
    """A second server on the worker's database."""
    async with running(owner_url, service_url, **over_pool(8)) as server:
        yield server


@pytest.fixture(scope="module")
async def admin(pooled: Running) -> str:
    return (await pooled.new_user(role="admin")).user_id


async def at_once(calls: Sequence[Awaitable[Any]]) -> tuple[list[Any], Counter[str]]:
    """The answers, and how often each reason was given instead."""
    async with asyncio.timeout(60):
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    answers = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    reasons: Counter[str] = Counter()
    for failure in failures:
        assert isinstance(failure, grpc.aio.AioRpcError), failure
        reasons[failure_of(failure).reason] += 1
    return answers, reasons


async def test_fifty_refunds_of_one_transaction_at_once_never_overshoot(pooled: Running, service_url, admin) -> None:
    payer, host = [(await pooled.new_user()).user_id for _ in range(2)]
    paid = await pay(service_url, payer, 100, host, 61)
    answers, reasons = await at_once([refund(pooled, admin, payer, paid, 7) for _ in range(50)])
    assert sorted(answer.refunded for answer in answers) == list(range(7, 99, 7))
    assert reasons == {"REFUND_TOO_LARGE": 36}
    left = await refund(pooled, admin, payer, paid)
    assert sum(answer.taken_back for answer in [*answers, left]) == 61
    assert (await wallet_of(pooled, payer)).coins.available == 100
    assert (await wallet_of(pooled, host)).earnings.available == 0


async def test_a_purchase_is_refunded_or_spent_and_never_both(pooled: Running, service_url, admin) -> None:
    payer = (await pooled.new_user()).user_id
    bought = (await credit(pooled, payer, 400)).transaction.transaction_id
    refunds = [refund(pooled, admin, payer, bought, 15) for _ in range(25)]
    spendings = [adjust(pooled, admin, payer, -25) for _ in range(25)]
    answers, reasons = await at_once([call for pair in zip(refunds, spendings, strict=True) for call in pair])
    assert set(reasons) <= {"PURCHASE_SPENT", "BALANCE_INSUFFICIENT"} and len(answers) + reasons.total() == 50
    left = 500 + sum(answer.transaction.amount for answer in answers)
    assert 0 <= left < 15, "somebody was refused only when too few coins were left"
    assert (await wallet_of(pooled, payer)).coins.available == left


async def test_refunds_of_many_gifts_to_one_host_at_once_take_what_he_has_and_no_more(
    pooled: Running, service_url, admin
) -> None:
    users = [(await pooled.new_user()).user_id for _ in range(11)]
    host, payers = users.pop(5), users  # so that the host's wallet is locked first with some, and second with others
    gifts = [(payer, await pay(service_url, payer, 100, host, 60)) for payer in payers]
    await adjust(pooled, admin, host, -450, wallet="WALLET_KIND_EARNINGS")
    answers, reasons = await at_once([refund(pooled, admin, payer, paid) for payer, paid in gifts])
    assert reasons == {}
    assert sorted(answer.taken_back for answer in answers) == [0] * 7 + [30, 60, 60]
    assert (await wallet_of(pooled, host)).earnings.available == 0
    assert [(await wallet_of(pooled, payer)).coins.available for payer in payers] == [100] * 10


async def test_two_who_give_each_other_are_refunded_meanwhile_without_a_deadlock(
    pooled: Running, service_url, admin
) -> None:
    """Gifts lock all wallets of both in the one order that everybody keeps."""
    one, other = [(await pooled.new_user()).user_id for _ in range(2)]
    pairs = [(one, other), (other, one)] * 10
    gifts = [(payer, await pay(service_url, payer, 4, host, 2)) for payer, host in pairs]
    before = await deadlocks(service_url)
    calls = [refund(pooled, admin, payer, paid) for payer, paid in gifts]
    more = [pay(service_url, payer, 4, host, 2) for payer, host in pairs]
    answers, reasons = await at_once([call for both in zip(calls, more, strict=True) for call in both])
    assert (len(answers), reasons) == (40, {})
    assert await deadlocks(service_url) == before
    for user in (one, other):
        wallet = await wallet_of(pooled, user)
        assert (wallet.coins.available, wallet.earnings.available) == (60, 20)


@pytest.mark.parametrize("amount", [40, -40, -400])
async def test_fifty_identical_corrections_at_once_are_made_once_and_answered_alike(
    pooled: Running, admin, amount: int
) -> None:
    user, request_id = (await pooled.new_user()).user_id, str(uuid.uuid4())
    answers, reasons = await at_once(
        [adjust(pooled, admin, user, amount, request_id=request_id) for _ in range(50)],
    )
    assert (len(answers), reasons) == ((0, {"BALANCE_INSUFFICIENT": 50}) if amount == -400 else (50, {}))
    assert all(answer == answers[0] for answer in answers)
    assert (await wallet_of(pooled, user)).coins.available == (100 if amount == -400 else 100 + amount)


async def test_fifty_corrections_at_once_take_no_more_than_is_there(pooled: Running, admin) -> None:
    user = (await pooled.new_user()).user_id
    answers, reasons = await at_once([adjust(pooled, admin, user, -3) for _ in range(50)])
    assert sorted(answer.transaction.balance_after for answer in answers) == list(range(1, 98, 3))
    assert reasons == {"BALANCE_INSUFFICIENT": 17}
    assert (await wallet_of(pooled, user)).coins.available == 1
