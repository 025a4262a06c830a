"""WalletService: withdrawals, as their users ask for them, take them back and see them."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Callable

import grpc
import psycopg
import pytest
from banter.v1 import wallet_pb2

from banter_grpc.database.queries import wallet_withdrawals as queries
from tests.support.harness import Metadata, Running, refused
from tests.support.money import (
    UPI,
    award,
    cancel_withdrawal,
    earnings_of,
    new_host,
    new_withdrawal,
    request_withdrawal,
    review_withdrawal,
)

PENDING, CANCELLED = wallet_pb2.WITHDRAWAL_STATUS_PENDING, wallet_pb2.WITHDRAWAL_STATUS_CANCELLED
BANK = wallet_pb2.PayoutDetails(
    bank_account=wallet_pb2.BankAccount(holder="Asha Rao", number="000123456789", bank_code="HDFC0000001")
)


@pytest.fixture(scope="module")
async def admin(banter: Running) -> str:
    """The id of an admin."""
    return (await banter.new_user(role="admin")).user_id


async def listed(banter: Running, metadata: Metadata, **asked: object) -> list[wallet_pb2.Withdrawal]:
    """All pages of a list."""
    found: list[wallet_pb2.Withdrawal] = []
    token = ""
    for _ in itertools.count():
        request = wallet_pb2.ListWithdrawalsRequest(page_token=token, **asked)  # type: ignore[arg-type]
        page = await banter.wallets.ListWithdrawals(request, metadata=metadata)
        found += page.withdrawals
        token = page.next_page_token
        if not token:
            break
    return found


class TestRequestWithdrawal:
    @pytest.mark.parametrize("details", [UPI, BANK], ids=["upi", "bank account"])
    async def test_it_holds_the_coins(self, banter: Running, details: wallet_pb2.PayoutDetails) -> None:
        host = await new_host(banter, 2500)
        made = (await request_withdrawal(banter, host, 1500, payout_details=details)).withdrawal
        assert (made.user_id, made.amount, made.status) == (host, 1500, PENDING)
        assert made.payout_details == details and made.create_time.seconds > 1_700_000_000
        assert await earnings_of(banter, host) == (1000, 1500)
        assert await listed(banter, banter.as_user(host), user_id=host) == [made]

    async def test_fifty_of_one_at_once_hold_once_and_answer_alike(self, banter: Running) -> None:
        host, request_id = await new_host(banter, 5000), str(uuid.uuid4())
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(request_withdrawal(banter, host, 1000, request_id) for _ in range(50)))
        assert all(answer == answers[0] for answer in answers)
        assert await earnings_of(banter, host) == (4000, 1000)

    async def test_more_than_is_available_is_refused_for_good_under_its_request_id(self, banter: Running) -> None:
        host, request_id = await new_host(banter, 1000), str(uuid.uuid4())
        async with asyncio.timeout(30):
            failures = await asyncio.gather(
                *(refused(request_withdrawal(banter, host, 1001, request_id)) for _ in range(50))
            )
        assert {(failure.code, failure.reason) for failure in failures} == {
            (grpc.StatusCode.FAILED_PRECONDITION, "EARNINGS_INSUFFICIENT")
        }
        await award(banter, host, 500, rule="more")
        assert (await refused(request_withdrawal(banter, host, 1001, request_id))).reason == "EARNINGS_INSUFFICIENT"
        assert await earnings_of(banter, host) == (1500, 0)
        await request_withdrawal(banter, host, 1001)
        assert await earnings_of(banter, host) == (499, 1001)

    async def test_less_than_the_least_is_refused(self, banter: Running) -> None:
        host, request_id = await new_host(banter, 5000), str(uuid.uuid4())
        for _ in range(2):
            failure = await refused(request_withdrawal(banter, host, 999, request_id))
            assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "WITHDRAWAL_TOO_SMALL")
            assert failure.metadata["minimum"] == "1000"
        assert await earnings_of(banter, host) == (5000, 0)

    async def test_a_request_id_is_good_for_one_request(self, banter: Running) -> None:
        host, request_id = await new_host(banter, 5000), str(uuid.uuid4())
        await request_withdrawal(banter, host, 1000, request_id)
        for amount, details in ((1001, UPI), (1000, BANK)):
            failure = await refused(request_withdrawal(banter, host, amount, request_id, details))
            assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
        assert await earnings_of(banter, host) == (4000, 1000)

    async def test_the_first_answer_stays_whatever_became_of_it(self, banter: Running) -> None:
        host, request_id = await new_host(banter, 1000), str(uuid.uuid4())
        first = await request_withdrawal(banter, host, 1000, request_id)
        await cancel_withdrawal(banter, host, first.withdrawal.withdrawal_id)
        assert await request_withdrawal(banter, host, 1000, request_id) == first
        assert await earnings_of(banter, host) == (1000, 0)

    async def test_an_expired_key_holds_nothing_twice(
        self, banter: Running, move_clock: Callable[[float], None]
    ) -> None:
        host, request_id = await new_host(banter, 3000), str(uuid.uuid4())
        first = await request_withdrawal(banter, host, 1000, request_id)
        move_clock(31 * 86400)
        async with await psycopg.AsyncConnection.connect(banter.owner_url, autocommit=True) as connection:
            await connection.execute("SELECT purge_idempotency_keys(100000)")
        assert (await refused(request_withdrawal(banter, host, 1001, request_id))).reason == "REQUEST_ID_REUSED"
        assert await request_withdrawal(banter, host, 1000, request_id) == first
        assert await earnings_of(banter, host) == (2000, 1000)

    async def test_a_former_host_takes_out_what_he_earned(self, banter: Running) -> None:
        host = await new_host(banter, 1000)
        await banter.set_columns(host, host_status="rejected")
        await request_withdrawal(banter, host, 1000)
        assert await earnings_of(banter, host) == (0, 1000)

    async def test_who_was_deactivated_a_moment_ago_takes_out_nothing(self, banter: Running) -> None:
        host = await new_host(banter, 1000)
        await banter.set_columns(host, is_active=False)
        step = queries.request_withdrawal(
            user_id=host,
            request_id=str(uuid.uuid4()),
            fingerprint="00" * 32,
            withdrawal_id=str(uuid.uuid4()),
            amount=1000,
            minimum=1,
            method="upi",
            upi_id="asha@okbank",
            account_holder=None,
            account_number=None,
            bank_code=None,
        )
        assert await banter.server.database.run(step) is None
        assert await earnings_of(banter, host) == (1000, 0)

    @pytest.mark.parametrize(
        "details",
        [
            wallet_pb2.PayoutDetails(),
            wallet_pb2.PayoutDetails(upi_id="asha"),
            wallet_pb2.PayoutDetails(bank_account=wallet_pb2.BankAccount()),
            wallet_pb2.PayoutDetails(
                bank_account=wallet_pb2.BankAccount(holder="A", number="12 34", bank_code="HDFC0000001")
            ),
        ],
    )
    async def test_it_says_where_to(self, banter: Running, details: wallet_pb2.PayoutDetails) -> None:
        host = await new_host(banter)
        failure = await refused(request_withdrawal(banter, host, 1000, payout_details=details))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")


class TestCancelWithdrawal:
    async def test_it_frees_the_coins(self, banter: Running) -> None:
        host = await new_host(banter, 1500)
        withdrawal = await new_withdrawal(banter, host)
        cancelled = (await cancel_withdrawal(banter, host, withdrawal)).withdrawal
        assert (cancelled.withdrawal_id, cancelled.status) == (withdrawal, CANCELLED)
        assert cancelled.HasField("end_time") and not cancelled.HasField("review_time")
        assert await earnings_of(banter, host) == (1500, 0)

    async def test_fifty_at_once_free_them_once_and_answer_alike(self, banter: Running) -> None:
        host = await new_host(banter, 1500)
        withdrawal = await new_withdrawal(banter, host)
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(cancel_withdrawal(banter, host, withdrawal) for _ in range(50)))
        assert all(answer == answers[0] for answer in answers)
        assert await earnings_of(banter, host) == (1500, 0)

    @pytest.mark.parametrize("status", ["APPROVED", "REJECTED"])
    async def test_what_is_reviewed_is_not_taken_back(self, banter: Running, admin: str, status: str) -> None:
        host = await new_host(banter, 1000)
        withdrawal = await new_withdrawal(banter, host)
        await review_withdrawal(banter, admin, host, withdrawal, status)
        before = await earnings_of(banter, host)
        failure = await refused(cancel_withdrawal(banter, host, withdrawal))
        assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "WITHDRAWAL_NOT_PENDING")
        assert failure.metadata == {"status": status.lower()}
        assert await earnings_of(banter, host) == before

    async def test_nobody_takes_back_anothers(self, banter: Running) -> None:
        host, other = await new_host(banter, 1000), await new_host(banter, 1000)
        withdrawal = await new_withdrawal(banter, host)
        failure = await refused(cancel_withdrawal(banter, other, withdrawal))
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "WITHDRAWAL_NOT_FOUND")
        assert await earnings_of(banter, host) == (0, 1000)


class TestListWithdrawals:
    async def test_all_pages_together_are_the_list_newest_first(self, banter: Running) -> None:
        host = await new_host(banter, 10_000)
        made = [(await request_withdrawal(banter, host, 1000)).withdrawal for _ in range(5)]
        for size in (1, 2, 5):
            assert await listed(banter, banter.as_user(host), user_id=host, page_size=size) == made[::-1]

    async def test_one_status_is_listed_alone(self, banter: Running) -> None:
        host = await new_host(banter, 10_000)
        one, other, _ = [await new_withdrawal(banter, host) for _ in range(3)]
        await cancel_withdrawal(banter, host, one)
        await cancel_withdrawal(banter, host, other)
        found = await listed(banter, banter.as_user(host), user_id=host, status=CANCELLED, page_size=1)
        assert [withdrawal.withdrawal_id for withdrawal in found] == [other, one]

    async def test_staff_and_services_list_everybodys_of_a_status(self, banter: Running, admin: str) -> None:
        hosts = [await new_host(banter, 1000) for _ in range(3)]
        made = [await new_withdrawal(banter, host) for host in hosts]
        for metadata in (banter.as_user(admin), banter.as_service):
            found = await listed(banter, metadata, status=PENDING, page_size=2)
            assert [one.withdrawal_id for one in found if one.user_id in hosts] == made[::-1]
            assert {one.status for one in found} == {PENDING}

    async def test_a_user_lists_nobody_elses(self, banter: Running) -> None:
        host, other = await new_host(banter), await new_host(banter)
        for asked in ({"user_id": other}, {"status": PENDING}):
            failure = await refused(listed(banter, banter.as_user(host), **asked))
            assert failure.reason == "NOT_OWNER"

    async def test_everybodys_of_every_status_is_no_list(self, banter: Running) -> None:
        failure = await refused(listed(banter, banter.as_service))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")

    async def test_a_token_of_another_list_is_refused(self, banter: Running) -> None:
        request = wallet_pb2.ListWithdrawalsRequest(user_id=await new_host(banter), page_token="AAAA")
        failure = await refused(banter.wallets.ListWithdrawals(request, metadata=banter.as_service))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")

    async def test_of_a_deleted_user_only_the_money_is_left(self, banter: Running) -> None:
        host = await new_host(banter, 1000)
        withdrawal = await new_withdrawal(banter, host)
        await cancel_withdrawal(banter, host, withdrawal)
        erased = ("phone_number", "country_code", "full_name", "timezone")
        await banter.set_columns(host, is_active=False, delete_time="2026-01-01", **dict.fromkeys(erased))
        (left,) = await listed(banter, banter.as_service, user_id=host)
        assert (left.withdrawal_id, left.amount, left.status) == (withdrawal, 1000, CANCELLED)
        assert not left.HasField("payout_details")
