"""WalletService: earnings on their way out."""

from __future__ import annotations

from typing import Final, Protocol

from banter.v1 import wallet_pb2

from banter_grpc import money, values
from banter_grpc.database.database import Database
from banter_grpc.database.queries import wallet as wallet_queries
from banter_grpc.database.queries import wallet_withdrawals as queries
from banter_grpc.database.queries.wallet_withdrawals import GetWithdrawalRow, ListedWithdrawal
from banter_grpc.database.statement import Step
from banter_grpc.encoding import encode_transaction
from banter_grpc.errors import user as user_errors
from banter_grpc.errors import wallet_withdrawals as errors
from banter_grpc.pages import Page, Pages
from banter_grpc.rpc.caller import Caller

_STATUS: Final = values.TextEnum(wallet_pb2.WithdrawalStatus)
_STATUSES: Final = ("pending", "approved", "paid", "rejected", "failed", "cancelled")
_REVIEWED_AS: Final = {"approved": "approved", "paid": "approved", "failed": "approved", "rejected": "rejected"}


class WithdrawalHandler:
    """Takes withdrawals of at least `minimum` coins through their states.

    Whatever changes one locks the earnings wallet of its user first; what it has come to is read in the same unit.
    """

    def __init__(self, database: Database, pages: Pages, minimum: int) -> None:
        self._database = database
        self._pages = pages
        self._minimum = minimum

    async def RequestWithdrawal(  # noqa: N802
        self, request: wallet_pb2.RequestWithdrawalRequest, caller: Caller
    ) -> wallet_pb2.RequestWithdrawalResponse:
        """The withdrawal as it was made, whatever has become of it: payout details are what the request says."""
        asked, details = money.fingerprint(request), request.payout_details
        by_upi = details.WhichOneof("method") == "upi_id"
        withdrawal_id = money.withdrawal_id(caller.user, request.request_id)
        _, row = await self._database.run(
            wallet_queries.lock_wallet(user_id=caller.user, kind="earnings"),
            queries.request_withdrawal(
                user_id=caller.user,
                request_id=request.request_id,
                fingerprint=asked,
                withdrawal_id=withdrawal_id,
                amount=request.amount,
                minimum=self._minimum,
                method="upi" if by_upi else "bank_account",
                upi_id=details.upi_id if by_upi else None,
                account_holder=None if by_upi else details.bank_account.holder,
                account_number=None if by_upi else details.bank_account.number,
                bank_code=None if by_upi else details.bank_account.bank_code,
            ),
            key=caller.user,
        )
        if row is None:
            raise user_errors.caller_inactive()
        outcome = money.outcome_of(row, asked)
        withdrawal = wallet_pb2.Withdrawal(
            user_id=caller.user,
            withdrawal_id=withdrawal_id,
            amount=request.amount,
            status=wallet_pb2.WITHDRAWAL_STATUS_PENDING,
            payout_details=details,
        )
        values.set_timestamp(withdrawal.create_time, outcome["create_time"])
        return wallet_pb2.RequestWithdrawalResponse(withdrawal=withdrawal)

    async def CancelWithdrawal(  # noqa: N802
        self, request: wallet_pb2.CancelWithdrawalRequest, caller: Caller
    ) -> wallet_pb2.CancelWithdrawalResponse:
        """Only its owner finds it."""
        row = await self._change(
            queries.cancel_withdrawal(user_id=caller.user, withdrawal_id=request.withdrawal_id),
            caller.user,
            request.withdrawal_id,
        )
        if row.status != "cancelled":
            raise errors.withdrawal_not_pending(row.status)
        return wallet_pb2.CancelWithdrawalResponse(withdrawal=_withdrawal(row, caller))

    async def ListWithdrawals(  # noqa: N802
        self, request: wallet_pb2.ListWithdrawalsRequest, caller: Caller
    ) -> wallet_pb2.ListWithdrawalsResponse:
        """A walk down the index of the user's withdrawals, or of everybody's in one status."""
        page = self._pages.open(request, caller.actor_id, values.NEWEST)
        rows = await self._database.run(_listing(request, page))
        shown, token = page.cut(rows, lambda row: (row.create_time, row.withdrawal_id))
        return wallet_pb2.ListWithdrawalsResponse(
            withdrawals=[_withdrawal(row, caller) for row in shown], next_page_token=token
        )

    async def ReviewWithdrawal(  # noqa: N802
        self, request: wallet_pb2.ReviewWithdrawalRequest, caller: Caller
    ) -> wallet_pb2.ReviewWithdrawalResponse:
        """The withdrawal as the review left it, whatever came of it afterwards."""
        if request.user_id.lower() == caller.user_id:
            raise errors.withdrawal_own()
        status = _decided(request.status)
        row = await self._change(
            queries.review_withdrawal(
                user_id=request.user_id,
                withdrawal_id=request.withdrawal_id,
                status=status,
                reviewer_id=caller.user,
                note=request.note or None,
            ),
            request.user_id,
            request.withdrawal_id,
        )
        if _REVIEWED_AS.get(row.status) != status:
            raise errors.withdrawal_not_pending(row.status)
        if status == "approved":
            row = row._replace(status=status, end_time=None, payout_reference=None)
        return wallet_pb2.ReviewWithdrawalResponse(withdrawal=_withdrawal(row, caller))

    async def CompleteWithdrawal(  # noqa: N802
        self, request: wallet_pb2.CompleteWithdrawalRequest, caller: Caller
    ) -> wallet_pb2.CompleteWithdrawalResponse:
        """An ended withdrawal is the answer, if it ended like this."""
        if request.user_id.lower() == caller.user_id:
            raise errors.withdrawal_own()
        status = _decided(request.status)
        row = await self._change(
            queries.complete_withdrawal(
                user_id=request.user_id,
                withdrawal_id=request.withdrawal_id,
                status=status,
                completer_id=caller.actor,
                transaction_id=money.transaction_id("payout", request.user_id.lower(), request.withdrawal_id.lower()),
                payout_reference=request.payout_reference or None,
            ),
            request.user_id,
            request.withdrawal_id,
        )
        if row.status not in {"paid", "failed"}:
            raise errors.withdrawal_not_approved(row.status)
        erased = row.method is None
        if row.status != status or not (erased or row.payout_reference == (request.payout_reference or None)):
            raise errors.withdrawal_completed_otherwise(row.status)
        return wallet_pb2.CompleteWithdrawalResponse(withdrawal=_withdrawal(row, caller), transaction=_payout(row))

    async def _change(self, step: Step[int], user_id: str, withdrawal_id: str) -> GetWithdrawalRow:
        """What the withdrawal has come to after a step; raises `Refusal` if the user has no such one."""
        _, _, row = await self._database.run(
            wallet_queries.lock_wallet(user_id=user_id, kind="earnings"),
            step,
            queries.get_withdrawal(user_id=user_id, withdrawal_id=withdrawal_id),
            key=user_id,
        )
        if row is None:
            raise errors.withdrawal_not_found(withdrawal_id)
        return row


def _listing(request: wallet_pb2.ListWithdrawalsRequest, page: Page) -> Step[list[ListedWithdrawal]]:
    before_time, before_id = int(page.cursor[0]), str(page.cursor[1])
    status = _STATUS.text(request.status)
    if request.user_id:
        return queries.list_withdrawals(
            user_id=request.user_id,
            statuses=_STATUSES if status is None else (status,),
            before_time=before_time,
            before_id=before_id,
            count=page.limit,
        )
    return queries.list_withdrawals_by_status(
        status=_decided(request.status), before_time=before_time, before_id=before_id, count=page.limit
    )


def _decided(status: wallet_pb2.WithdrawalStatus.ValueType) -> str:
    """A status that the contract requires."""
    text = _STATUS.text(status)
    assert text is not None, "refused by the contract's rules"
    return text


class _Row(Protocol):
    """The columns of a withdrawal and its details."""

    @property
    def user_id(self) -> str: ...
    @property
    def withdrawal_id(self) -> str: ...
    @property
    def amount(self) -> int: ...
    @property
    def status(self) -> str: ...
    @property
    def method(self) -> str | None: ...
    @property
    def upi_id(self) -> str | None: ...
    @property
    def account_holder(self) -> str | None: ...
    @property
    def account_number(self) -> str | None: ...
    @property
    def bank_code(self) -> str | None: ...
    @property
    def create_time(self) -> int: ...
    @property
    def reviewer_id(self) -> str | None: ...
    @property
    def review_time(self) -> int | None: ...
    @property
    def note(self) -> str | None: ...
    @property
    def end_time(self) -> int | None: ...
    @property
    def payout_reference(self) -> str | None: ...


def _withdrawal(row: _Row, caller: Caller) -> wallet_pb2.Withdrawal:
    """The row as the caller may see it."""
    withdrawal = wallet_pb2.Withdrawal(
        user_id=row.user_id,
        withdrawal_id=row.withdrawal_id,
        amount=row.amount,
        status=_STATUS.number(row.status),
        payout_details=_payout_details(row),
        note=row.note or "",
        payout_reference=row.payout_reference or "",
    )
    values.set_timestamp(withdrawal.create_time, row.create_time)
    if row.review_time is not None:
        values.set_timestamp(withdrawal.review_time, row.review_time)
    if row.end_time is not None:
        values.set_timestamp(withdrawal.end_time, row.end_time)
    if row.reviewer_id is not None and (caller.is_staff or caller.is_service):
        withdrawal.reviewer_id = row.reviewer_id
    return withdrawal


def _payout_details(row: _Row) -> wallet_pb2.PayoutDetails | None:
    if row.method is None:
        return None
    if row.upi_id is not None:
        return wallet_pb2.PayoutDetails(upi_id=row.upi_id)
    return wallet_pb2.PayoutDetails(
        bank_account=wallet_pb2.BankAccount(
            holder=row.account_holder or "", number=row.account_number or "", bank_code=row.bank_code or ""
        )
    )


def _payout(row: GetWithdrawalRow) -> wallet_pb2.Transaction | None:
    """The movement that paid it; it has the time at which the withdrawal ended."""
    if row.transaction_id is None or row.balance_after is None or row.end_time is None:
        return None
    return encode_transaction(
        wallet="earnings",
        kind="withdrawal",
        user_id=row.user_id,
        transaction_id=row.transaction_id,
        amount=-row.amount,
        balance_after=row.balance_after,
        create_time=row.end_time,
        subject_id=row.withdrawal_id,
    )
