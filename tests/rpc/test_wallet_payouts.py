"""WalletService: withdrawals, as staff decide on them and see them to their end."""

from __future__ import annotations

import asyncio
import uuid

import grpc
import pytest
from banter.v1 import wallet_pb2

from tests.support.harness import Running, refused
from tests.support.money import (
    cancel_withdrawal,
    complete_withdrawal,
    earnings_of,
    new_host,
    new_withdrawal,
    review_withdrawal,
)

APPROVED, REJECTED = wallet_pb2.WITHDRAWAL_STATUS_APPROVED, wallet_pb2.WITHDRAWAL_STATUS_REJECTED
PAID, FAILED = wallet_pb2.WITHDRAWAL_STATUS_PAID, wallet_pb2.WITHDRAWAL_STATUS_FAILED


@pytest.fixture(scope="module")
async def admin(banter: Running) -> str:
    """The id of an admin."""
    return (await banter.new_user(role="admin")).user_id


class TestReviewWithdrawal:
    async def test_an_approved_one_stays_held(self, banter: Running, admin: str) -> None:
        host = await new_host(banter, 1500)
        withdrawal = await new_withdrawal(banter, host)
        approved = (await review_withdrawal(banter, admin, host, withdrawal)).withdrawal
        assert (approved.status, approved.reviewer_id) == (APPROVED, admin)
        assert approved.HasField("review_time") and not approved.HasField("end_time")
        assert await earnings_of(banter, host) == (500, 1000)

    async def test_a_rejected_one_is_freed_and_its_user_told_why(self, banter: Running, admin: str) -> None:
        host = await new_host(banter, 1500)
        withdrawal = await new_withdrawal(banter, host)
        rejected = (await review_withdrawal(banter, admin, host, withdrawal, "REJECTED", "No such account")).withdrawal
        assert (rejected.status, rejected.end_time) == (REJECTED, rejected.review_time)
        assert await earnings_of(banter, host) == (1500, 0)
        request = wallet_pb2.ListWithdrawalsRequest(user_id=host)
        (seen,) = (await banter.wallets.ListWithdrawals(request, metadata=banter.as_user(host))).withdrawals
        assert (seen.note, seen.reviewer_id) == ("No such account", "")

    @pytest.mark.parametrize("status", ["APPROVED", "REJECTED"])
    async def test_fifty_at_once_decide_once_and_answer_alike(self, banter: Running, admin: str, status: str) -> None:
        host = await new_host(banter, 1000)
        withdrawal = await new_withdrawal(banter, host)
        async with asyncio.timeout(30):
            answers = await asyncio.gather(
                *(review_withdrawal(banter, admin, host, withdrawal, status) for _ in range(50))
            )
        assert all(answer == answers[0] for answer in answers)
        assert await earnings_of(banter, host) == ((0, 1000) if status == "APPROVED" else (1000, 0))

    @pytest.mark.parametrize("status", ["PAID", "FAILED"])
    async def test_an_approval_is_answered_again_as_it_was(self, banter: Running, admin: str, status: str) -> None:
        host = await new_host(banter, 1000)
        withdrawal = await new_withdrawal(banter, host)
        first = await review_withdrawal(banter, admin, host, withdrawal)
        await complete_withdrawal(banter, host, withdrawal, status)
        assert await review_withdrawal(banter, admin, host, withdrawal) == first

    @pytest.mark.parametrize(("one", "other"), [("APPROVED", "REJECTED"), ("REJECTED", "APPROVED")])
    async def test_the_other_decision_is_refused(self, banter: Running, admin: str, one: str, other: str) -> None:
        host = await new_host(banter, 1000)
        withdrawal = await new_withdrawal(banter, host)
        await review_withdrawal(banter, admin, host, withdrawal, one)
        failure = await refused(review_withdrawal(banter, admin, host, withdrawal, other))
        assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "WITHDRAWAL_NOT_PENDING")
        assert failure.metadata == {"status": one.lower()}

    async def test_a_cancelled_one_is_not_reviewed(self, banter: Running, admin: str) -> None:
        host = await new_host(banter, 1000)
        withdrawal = await new_withdrawal(banter, host)
        await cancel_withdrawal(banter, host, withdrawal)
        failure = await refused(review_withdrawal(banter, admin, host, withdrawal))
        assert failure.reason == "WITHDRAWAL_NOT_PENDING"
        assert await earnings_of(banter, host) == (1000, 0)

    async def test_nobody_reviews_his_own(self, banter: Running) -> None:
        host = await new_host(banter, 1000)
        withdrawal = await new_withdrawal(banter, host)
        await banter.set_columns(host, role="admin")
        for spelled in (host, host.upper()):
            failure = await refused(review_withdrawal(banter, host, spelled, withdrawal))
            assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "WITHDRAWAL_OWN")
        assert await earnings_of(banter, host) == (0, 1000)

    async def test_one_that_is_not_there_is_not_found(self, banter: Running, admin: str) -> None:
        host, other = await new_host(banter, 1000), await new_host(banter, 1000)
        withdrawal = await new_withdrawal(banter, host)
        for user_id, id_ in ((host, str(uuid.uuid4())), (other, withdrawal), (str(uuid.uuid4()), withdrawal)):
            failure = await refused(review_withdrawal(banter, admin, user_id, id_, "REJECTED"))
            assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "WITHDRAWAL_NOT_FOUND")
        assert await earnings_of(banter, host) == (0, 1000)

    @pytest.mark.parametrize("status", ["UNSPECIFIED", "PENDING", "PAID"])
    async def test_no_other_decision_is_one(self, banter: Running, admin: str, status: str) -> None:
        failure = await refused(review_withdrawal(banter, admin, str(uuid.uuid4()), str(uuid.uuid4()), status))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")


class TestCompleteWithdrawal:
    async def approved(self, banter: Running, admin: str, earnings: int = 1500) -> tuple[str, str]:
        """A host who had so many coins, and his approved withdrawal of 1000."""
        host = await new_host(banter, earnings)
        withdrawal = await new_withdrawal(banter, host)
        await review_withdrawal(banter, admin, host, withdrawal)
        return host, withdrawal

    async def test_a_paid_one_leaves_the_earnings(self, banter: Running, admin: str) -> None:
        host, withdrawal = await self.approved(banter, admin)
        answer = await complete_withdrawal(banter, host, withdrawal, "PAID", "UTR7")
        assert (answer.withdrawal.status, answer.withdrawal.payout_reference) == (PAID, "UTR7")
        transaction = answer.transaction
        assert (transaction.user_id, transaction.amount, transaction.balance_after) == (host, -1000, 500)
        assert transaction.kind == wallet_pb2.TRANSACTION_KIND_WITHDRAWAL
        assert transaction.wallet == wallet_pb2.WALLET_KIND_EARNINGS
        assert (transaction.subject_id, transaction.create_time) == (withdrawal, answer.withdrawal.end_time)
        assert await earnings_of(banter, host) == (500, 0)

    async def test_a_failed_one_is_freed(self, banter: Running, admin: str) -> None:
        host, withdrawal = await self.approved(banter, admin)
        answer = await complete_withdrawal(banter, host, withdrawal, "FAILED", "")
        assert answer.withdrawal.status == FAILED and not answer.HasField("transaction")
        assert await earnings_of(banter, host) == (1500, 0)

    @pytest.mark.parametrize("status", ["PAID", "FAILED"])
    async def test_fifty_at_once_end_it_once_and_answer_alike(self, banter: Running, admin: str, status: str) -> None:
        host, withdrawal = await self.approved(banter, admin)
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(complete_withdrawal(banter, host, withdrawal, status) for _ in range(50)))
        assert all(answer == answers[0] for answer in answers)
        assert await complete_withdrawal(banter, host.upper(), withdrawal.upper(), status) == answers[0]
        assert await earnings_of(banter, host) == ((500, 0) if status == "PAID" else (1500, 0))

    @pytest.mark.parametrize("first", ["PAID", "FAILED"])
    async def test_it_does_not_end_otherwise_afterwards(self, banter: Running, admin: str, first: str) -> None:
        host, withdrawal = await self.approved(banter, admin)
        await complete_withdrawal(banter, host, withdrawal, first, "UTR1")
        before = await earnings_of(banter, host)
        for status, reference in (("PAID", "UTR2"), ("FAILED", "UTR2"), ("FAILED", "")):
            failure = await refused(complete_withdrawal(banter, host, withdrawal, status, reference))
            assert failure.code == grpc.StatusCode.ALREADY_EXISTS
            assert failure.reason == "WITHDRAWAL_COMPLETED_OTHERWISE"
        assert await earnings_of(banter, host) == before

    @pytest.mark.parametrize("status", ["pending", "rejected", "cancelled"])
    async def test_only_an_approved_one_ends(self, banter: Running, admin: str, status: str) -> None:
        host = await new_host(banter, 1000)
        withdrawal = await new_withdrawal(banter, host)
        if status == "rejected":
            await review_withdrawal(banter, admin, host, withdrawal, "REJECTED")
        elif status == "cancelled":
            await cancel_withdrawal(banter, host, withdrawal)
        before = await earnings_of(banter, host)
        for wanted in ("PAID", "FAILED"):
            failure = await refused(complete_withdrawal(banter, host, withdrawal, wanted))
            assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "WITHDRAWAL_NOT_APPROVED")
            assert failure.metadata == {"status": status}
        assert await earnings_of(banter, host) == before

    async def test_nobody_completes_his_own(self, banter: Running, admin: str) -> None:
        host, withdrawal = await self.approved(banter, admin)
        await banter.set_columns(host, role="admin")
        request = wallet_pb2.CompleteWithdrawalRequest(
            user_id=host, withdrawal_id=withdrawal, status="WITHDRAWAL_STATUS_FAILED"
        )
        failure = await refused(banter.wallets.CompleteWithdrawal(request, metadata=banter.as_user(host)))
        assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "WITHDRAWAL_OWN")
        assert await earnings_of(banter, host) == (500, 1000)

    async def test_one_that_is_not_there_is_not_found(self, banter: Running, admin: str) -> None:
        host, withdrawal = await self.approved(banter, admin)
        for user_id, id_ in ((host, str(uuid.uuid4())), (await new_host(banter), withdrawal)):
            failure = await refused(complete_withdrawal(banter, user_id, id_))
            assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "WITHDRAWAL_NOT_FOUND")
        assert await earnings_of(banter, host) == (500, 1000)

    @pytest.mark.parametrize(("status", "reference"), [("PAID", ""), ("PAID", "a b"), ("APPROVED", "UTR1")])
    async def test_the_contract_refuses(self, banter: Running, status: str, reference: str) -> None:
        call = complete_withdrawal(banter, str(uuid.uuid4()), str(uuid.uuid4()), status, reference)
        failure = await refused(call)
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")
