"""WalletService: bonuses, one per host, rule and period."""

from __future__ import annotations

import asyncio
import itertools
import uuid

import grpc
import pytest
from banter.v1 import user_pb2, wallet_pb2

from tests.support.harness import Running, refused
from tests.support.money import award, earnings_of, new_host


class TestAwardBonus:
    async def test_it_brings_the_host_its_coins(self, banter: Running) -> None:
        host = await new_host(banter)
        answer = await award(banter, host, 300, rule="most-minutes", period="2026-W47")
        bonus, transaction = answer.bonus, answer.transaction
        assert (bonus.user_id, bonus.rule, bonus.period, bonus.coins) == (host, "most-minutes", "2026-W47", 300)
        assert bonus.create_time == transaction.create_time and bonus.create_time.seconds > 1_700_000_000
        assert bonus.transaction_id == transaction.transaction_id
        assert (transaction.user_id, transaction.amount, transaction.balance_after) == (host, 300, 300)
        assert transaction.wallet == wallet_pb2.WALLET_KIND_EARNINGS
        assert transaction.kind == wallet_pb2.TRANSACTION_KIND_BONUS
        assert await earnings_of(banter, host) == (300, 0)

    async def test_fifty_of_one_at_once_bring_it_once_and_answer_alike(self, banter: Running) -> None:
        host = await new_host(banter)
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(award(banter, host, 300) for _ in range(50)))
        assert all(answer == answers[0] for answer in answers)
        assert await earnings_of(banter, host) == (300, 0)

    async def test_an_id_in_capitals_is_the_same_host(self, banter: Running) -> None:
        host = await new_host(banter)
        assert await award(banter, host, 300) == await award(banter, host.upper(), 300)

    async def test_fifty_different_ones_at_once_all_come(self, banter: Running) -> None:
        host = await new_host(banter)
        periods = [f"2026-{month:02d}-{day:02d}" for month in (1, 2) for day in range(1, 26)]
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(award(banter, host, 10, period=period) for period in periods))
        assert sorted(answer.transaction.balance_after for answer in answers) == list(range(10, 510, 10))
        assert await earnings_of(banter, host) == (500, 0)

    async def test_fifty_of_two_amounts_at_once_bring_one_of_them(self, banter: Running) -> None:
        host = await new_host(banter)
        async with asyncio.timeout(30):
            answers = await asyncio.gather(
                *(award(banter, host, coins) for coins in (300, 400) * 25), return_exceptions=True
            )
        awarded = [answer for answer in answers if isinstance(answer, wallet_pb2.AwardBonusResponse)]
        assert len(awarded) == 25 and all(answer == awarded[0] for answer in awarded)
        assert await earnings_of(banter, host) == (awarded[0].bonus.coins, 0)

    async def test_another_number_of_coins_for_the_same_is_refused(self, banter: Running) -> None:
        host = await new_host(banter, 300)
        failure = await refused(award(banter, host, 301))
        assert (failure.code, failure.reason) == (grpc.StatusCode.ALREADY_EXISTS, "BONUS_AWARDED_OTHERWISE")
        assert await earnings_of(banter, host) == (300, 0)

    @pytest.mark.parametrize("status", ["none", "pending", "rejected"])
    async def test_who_is_no_host_gets_none_until_he_is_one(self, banter: Running, status: str) -> None:
        user = (await banter.new_user(host_status=status)).user_id
        failure = await refused(award(banter, user, 300))
        assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "HOST_NOT_APPROVED")
        await banter.set_columns(user, host_status="approved")
        assert (await award(banter, user, 300)).transaction.balance_after == 300

    async def test_a_bonus_is_answered_again_to_who_is_no_host_any_more(self, banter: Running) -> None:
        host = await new_host(banter)
        first = await award(banter, host, 300)
        await banter.set_columns(host, host_status="rejected")
        assert await award(banter, host, 300) == first

    async def test_who_is_not_there_gets_none(self, banter: Running) -> None:
        failure = await refused(award(banter, str(uuid.uuid4()), 300))
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")

    async def test_who_was_erased_is_not_there(self, banter: Running) -> None:
        host = await new_host(banter)
        request = user_pb2.DeleteUserRequest(user_id=host)
        await banter.users.DeleteUser(request, metadata=banter.as_service)
        failure = await refused(award(banter, host, 300))
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")

    @pytest.mark.parametrize("period", ["2026-W01", "2026-W53", "2026-11", "2026-11-23", "2024-02-29"])
    async def test_a_day_a_month_or_a_week_is_a_period(self, banter: Running, period: str) -> None:
        assert (await award(banter, await new_host(banter), 5, period=period)).bonus.period == period

    @pytest.mark.parametrize(
        "period",
        ["2026", "2025-W53", "2026-W00", "2026-13", "2026-02-29", "2026-W471", "2026W47", "26-11", "2026-1", "٢٠٢٦-11"],
    )
    async def test_nothing_else_is(self, banter: Running, period: str) -> None:
        failure = await refused(award(banter, str(uuid.uuid4()), 5, period=period))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BONUS_PERIOD_INVALID")

    @pytest.mark.parametrize("change", [{"coins": 0}, {"coins": 10**9 + 1}, {"rule": ""}, {"rule": "A b"}])
    async def test_the_contract_refuses(self, banter: Running, change: dict[str, object]) -> None:
        asked = {"user_id": str(uuid.uuid4()), "rule": "tests", "period": "2026-W47", "coins": 5, **change}
        request = wallet_pb2.AwardBonusRequest(**asked)  # type: ignore[arg-type]
        failure = await refused(banter.wallets.AwardBonus(request, metadata=banter.as_service))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")


class TestListBonuses:
    async def test_all_pages_together_are_the_list_newest_first(self, banter: Running) -> None:
        host = await new_host(banter)
        awarded = [(await award(banter, host, 10, period=f"2026-{month:02d}")).bonus for month in range(1, 8)]
        await new_host(banter, 5)
        for size in (1, 3, 7):
            seen: list[wallet_pb2.Bonus] = []
            token = ""
            for _ in itertools.count():
                request = wallet_pb2.ListBonusesRequest(user_id=host, page_size=size, page_token=token)
                page = await banter.wallets.ListBonuses(request, metadata=banter.as_user(host))
                seen += page.bonuses
                token = page.next_page_token
                if not token:
                    break
            assert seen == awarded[::-1]

    async def test_who_has_none_has_an_empty_list(self, banter: Running) -> None:
        request = wallet_pb2.ListBonusesRequest(user_id=(await banter.new_user()).user_id)
        answer = await banter.wallets.ListBonuses(request, metadata=banter.as_service)
        assert answer == wallet_pb2.ListBonusesResponse()

    async def test_nobody_sees_anothers(self, banter: Running) -> None:
        other = (await banter.new_user()).user_id
        request = wallet_pb2.ListBonusesRequest(user_id=await new_host(banter, 5))
        failure = await refused(banter.wallets.ListBonuses(request, metadata=banter.as_user(other)))
        assert failure.reason == "NOT_OWNER"

    async def test_a_token_of_another_list_is_refused(self, banter: Running) -> None:
        request = wallet_pb2.ListBonusesRequest(user_id=await new_host(banter), page_token="AAAA")
        failure = await refused(banter.wallets.ListBonuses(request, metadata=banter.as_service))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")
