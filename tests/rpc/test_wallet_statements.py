"""Statements: what happened to somebody's coins, in rows and in sums."""

from __future__ import annotations

import uuid
from typing import Any

import grpc
import pytest
from banter.v1 import wallet_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from tests.support.harness import Metadata, Running, refused
from tests.support.money import credit
from tests.support.refunds import adjust, pay, refund

EARNINGS = wallet_pb2.WALLET_KIND_EARNINGS
GRANT, PURCHASE = wallet_pb2.TRANSACTION_KIND_SIGNUP_GRANT, wallet_pb2.TRANSACTION_KIND_PURCHASE
GIFT, CALL = wallet_pb2.TRANSACTION_KIND_GIFT, wallet_pb2.TRANSACTION_KIND_CALL_CHARGE
REFUND = wallet_pb2.TRANSACTION_KIND_REFUND


@pytest.fixture(scope="module")
async def admin(banter: Running) -> str:
    return (await banter.new_user(role="admin")).user_id


async def new_user(banter: Running) -> str:
    return (await banter.new_user()).user_id


async def statement(
    banter: Running, user_id: str, metadata: Metadata | None = None, **fields: Any
) -> wallet_pb2.ListTransactionsResponse:
    request = wallet_pb2.ListTransactionsRequest(user_id=user_id, **fields)
    return await banter.wallets.ListTransactions(request, metadata=metadata or banter.as_user(user_id))


async def earnings(banter: Running, user_id: str, **fields: Any) -> wallet_pb2.ListEarningsResponse:
    request = wallet_pb2.ListEarningsRequest(user_id=user_id, **fields)
    return await banter.wallets.ListEarnings(request, metadata=banter.as_user(user_id))


async def stats(banter: Running, user_id: str, **fields: Any) -> list[wallet_pb2.TransactionStats]:
    request = wallet_pb2.GetTransactionStatsRequest(user_id=user_id, **fields)
    return list((await banter.wallets.GetTransactionStats(request, metadata=banter.as_user(user_id))).stats)


async def summary(banter: Running, user_id: str, **fields: Any) -> wallet_pb2.GetEarningsSummaryResponse:
    request = wallet_pb2.GetEarningsSummaryRequest(user_id=user_id, **fields)
    return await banter.wallets.GetEarningsSummary(request, metadata=banter.as_user(user_id))


class TestListTransactions:
    async def test_a_wallet_is_listed_newest_first(self, banter: Running, service_url: str) -> None:
        user, host = await new_user(banter), await new_user(banter)
        bought = (await credit(banter, user, 50)).transaction
        paid = await pay(service_url, user, 30, host, 18)
        answer = await statement(banter, user)
        assert [(row.kind, row.amount, row.balance_after) for row in answer.transactions] == [
            (GIFT, -30, 120),
            (PURCHASE, 50, 150),
            (GRANT, 100, 100),
        ]
        assert answer.transactions[0].transaction_id == paid
        assert answer.transactions[1] == bought
        assert answer.next_page_token == ""

    async def test_earnings_are_listed_if_asked_for(self, banter: Running, admin: str, service_url: str) -> None:
        user, host = await new_user(banter), await new_user(banter)
        paid = await pay(service_url, user, 30, host, 18)
        back = await refund(banter, admin, user, paid)
        rows = (await statement(banter, host, wallet=EARNINGS)).transactions
        assert [(row.wallet, row.kind, row.amount, row.balance_after, row.subject_id) for row in rows] == [
            (EARNINGS, REFUND, -18, 0, paid),
            (EARNINGS, GIFT, 18, 18, ""),
        ]
        assert rows[0].transaction_id == back.transaction.transaction_id
        assert [row.kind for row in (await statement(banter, host)).transactions] == [GRANT]

    async def test_kinds_narrow_it(self, banter: Running, service_url: str) -> None:
        user = await new_user(banter)
        await credit(banter, user, 50)
        await pay(service_url, user, 30, kind="subscription")
        rows = (await statement(banter, user, kinds=[PURCHASE, GRANT])).transactions
        assert [row.kind for row in rows] == [PURCHASE, GRANT]
        assert not (await statement(banter, user, kinds=[GIFT])).transactions

    async def test_pages_together_are_the_whole(self, banter: Running) -> None:
        user = await new_user(banter)
        for _ in range(4):
            await credit(banter, user, 10)
        whole = (await statement(banter, user)).transactions
        seen, token = [], ""
        for _ in range(3):
            page = await statement(banter, user, page_size=2, page_token=token)
            seen, token = [*seen, *page.transactions], page.next_page_token
            await credit(banter, user, 10)
        assert seen == list(whole) and token == ""

    async def test_a_token_of_another_wallet_is_refused(self, banter: Running) -> None:
        user = await new_user(banter)
        await credit(banter, user, 10)
        token = (await statement(banter, user, page_size=1)).next_page_token
        failure = await refused(statement(banter, user, wallet=EARNINGS, page_size=1, page_token=token))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")

    async def test_what_staff_say_is_for_admins_and_services(self, banter: Running, admin: str) -> None:
        user = await new_user(banter)
        await adjust(banter, admin, user, 10)
        readers = {
            "user": banter.as_user(user),
            "admin": banter.as_user(admin),
            "service": banter.as_service,
            "service for the user": [*banter.as_service, ("banter-on-behalf-of", user)],
        }
        seen = {who: (await statement(banter, user, reader)).transactions[0].note for who, reader in readers.items()}
        assert seen == {"user": "", "admin": "a prize", "service": "a prize", "service for the user": ""}

    async def test_who_is_not_there_has_none(self, banter: Running) -> None:
        assert not (await statement(banter, str(uuid.uuid4()), banter.as_service)).transactions


class TestGetTransactionStats:
    async def test_each_kind_is_summed(self, banter: Running, service_url: str) -> None:
        user, host = await new_user(banter), await new_user(banter)
        for coins in (10, 11, 12):
            await pay(service_url, user, coins, host, 5)
        await credit(banter, user, 10**9)
        await credit(banter, user, 10**9 - 1)
        assert await stats(banter, user) == [
            wallet_pb2.TransactionStats(kind=GIFT, count=3, sum=-33, average=-11),
            wallet_pb2.TransactionStats(kind=PURCHASE, count=2, sum=2 * 10**9 - 1, average=10**9 - 0.5),
            wallet_pb2.TransactionStats(kind=GRANT, count=1, sum=100, average=100),
        ]
        assert await stats(banter, host, wallet=EARNINGS) == [
            wallet_pb2.TransactionStats(kind=GIFT, count=3, sum=15, average=5)
        ]

    async def test_a_time_is_counted_from_its_beginning_up_to_its_end(self, banter: Running) -> None:
        user = await new_user(banter)
        times = [(await credit(banter, user, coins)).transaction.create_time for coins in (1, 20, 300)]
        assert times[0].ToNanoseconds() < times[1].ToNanoseconds() < times[2].ToNanoseconds()
        (found,) = await stats(banter, user, create_time_from=times[0], create_time_until=times[2])
        assert (found.kind, found.count, found.sum) == (PURCHASE, 2, 21)
        (found,) = await stats(banter, user, create_time_from=after(times[0]))
        assert (found.count, found.sum) == (2, 320)
        (found,) = await stats(banter, user, create_time_from=times[2], create_time_until=after(times[2]))
        assert (found.count, found.sum) == (1, 300)
        assert await stats(banter, user, create_time_from=after(times[2])) == []

    async def test_who_is_not_there_has_none(self, banter: Running) -> None:
        request = wallet_pb2.GetTransactionStatsRequest(user_id=str(uuid.uuid4()))
        assert not (await banter.wallets.GetTransactionStats(request, metadata=banter.as_service)).stats


class TestListEarnings:
    async def test_earnings_are_listed_newest_first_with_what_was_taken_back(
        self, banter: Running, admin: str, service_url: str
    ) -> None:
        user, host = await new_user(banter), await new_user(banter)
        gift = await pay(service_url, user, 30, host, 18)
        call = await pay(service_url, user, 10, host, 6, "call_charge")
        await refund(banter, admin, user, gift, 11)
        await refund(banter, admin, user, gift, 10)
        rows = (await earnings(banter, host)).earnings
        assert [(row.transaction_id, row.kind, row.user_id) for row in rows] == [(call, CALL, host), (gift, GIFT, host)]
        assert [(row.total_revenue, row.host_part, row.platform_part) for row in rows] == [(10, 6, 4), (30, 18, 12)]
        assert [(row.refunded, row.taken_back) for row in rows] == [(0, 0), (21, 12)]
        assert rows[0].create_time.ToNanoseconds() > rows[1].create_time.ToNanoseconds() > 0
        assert not (await earnings(banter, user)).earnings

    async def test_pages_together_are_the_whole(self, banter: Running, service_url: str) -> None:
        user, host = await new_user(banter), await new_user(banter)
        paid = [await pay(service_url, user, 10, host, 6) for _ in range(5)]
        seen, token = [], ""
        for _ in range(3):
            page = await earnings(banter, host, page_size=2, page_token=token)
            seen, token = [*seen, *(row.transaction_id for row in page.earnings)], page.next_page_token
            await pay(service_url, user, 10, host, 6)
        assert seen == paid[::-1] and token == ""

    async def test_a_token_of_another_list_is_refused(self, banter: Running) -> None:
        user = await new_user(banter)
        await credit(banter, user, 10)
        token = (await statement(banter, user, page_size=1)).next_page_token
        failure = await refused(earnings(banter, user, page_size=1, page_token=token))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


class TestGetEarningsSummary:
    async def test_what_was_taken_back_is_subtracted(self, banter: Running, admin: str, service_url: str) -> None:
        user, host = await new_user(banter), await new_user(banter)
        gifts = [await pay(service_url, user, coins, host, part) for coins, part in ((30, 18), (10, 6))]
        await pay(service_url, user, 7, host, 4, "call_charge")
        await refund(banter, admin, user, gifts[0], 11)
        await refund(banter, admin, user, gifts[1])
        found = await summary(banter, host)
        assert list(found.sums) == [
            wallet_pb2.EarningsSum(kind=CALL, count=1, total_revenue=7, host_part=4, platform_part=3),
            wallet_pb2.EarningsSum(kind=GIFT, count=2, total_revenue=19, host_part=12, platform_part=7),
        ]
        assert found.total == wallet_pb2.EarningsSum(count=3, total_revenue=26, host_part=16, platform_part=10)

    async def test_what_the_platform_bore_is_its_own_loss(self, banter: Running, admin: str, service_url: str) -> None:
        user, host = await new_user(banter), await new_user(banter)
        paid = await pay(service_url, user, 100, host, 60)
        await adjust(banter, admin, host, -50, EARNINGS)
        await refund(banter, admin, user, paid)
        total = (await summary(banter, host)).total
        assert total == wallet_pb2.EarningsSum(count=1, total_revenue=0, host_part=50, platform_part=-50)

    async def test_a_refund_counts_when_the_coins_were_earned(
        self, banter: Running, admin: str, service_url: str
    ) -> None:
        user, host = await new_user(banter), await new_user(banter)
        first, _ = [await pay(service_url, user, 10, host, 6) for _ in range(2)]
        await refund(banter, admin, user, first)
        newest, oldest = (await earnings(banter, host)).earnings
        early = await summary(banter, host, create_time_until=newest.create_time)
        late = await summary(banter, host, create_time_from=after(oldest.create_time))
        assert (early.total.count, early.total.total_revenue, early.total.host_part) == (1, 0, 0)
        assert (late.total.count, late.total.total_revenue, late.total.host_part) == (1, 10, 6)

    async def test_who_earned_nothing_has_nothing(self, banter: Running) -> None:
        found = await summary(banter, await new_user(banter))
        assert found == wallet_pb2.GetEarningsSummaryResponse(total=wallet_pb2.EarningsSum())


def after(time: Timestamp) -> Timestamp:
    """A nanosecond later."""
    return Timestamp(seconds=time.seconds, nanos=time.nanos + 1)
