"""Earnings on their way out."""

from __future__ import annotations

from typing import Final, NamedTuple

from banter.v1 import wallet_pb2
from google.protobuf.message import Message

from tests.model.books import Books, Leg
from tests.model.calls import Call, Operation, Outcome, Seen, moved, once
from tests.model.choices import Choose
from tests.model.requests import NOBODY, amount, no_other, promised, reused
from tests.model.times import stamp

MINIMUM: Final = 1000
_APPROVED: Final = wallet_pb2.WITHDRAWAL_STATUS_APPROVED
_CANCELLED: Final = wallet_pb2.WITHDRAWAL_STATUS_CANCELLED
_PENDING: Final = wallet_pb2.WITHDRAWAL_STATUS_PENDING
_FAILED: Final = wallet_pb2.WITHDRAWAL_STATUS_FAILED
_PAID: Final = wallet_pb2.WITHDRAWAL_STATUS_PAID
_REJECTED: Final = wallet_pb2.WITHDRAWAL_STATUS_REJECTED
_BANK: Final = wallet_pb2.BankAccount(holder="Asha Rao", number="1234567890", bank_code="ABCD0123456")


class _Known(NamedTuple):
    """A withdrawal, as staff see it."""

    status: int
    data: bytes

    @property
    def shown(self) -> wallet_pb2.Withdrawal:
        return wallet_pb2.Withdrawal.FromString(self.data)


def _draw_request(choose: Choose, seen: Seen) -> Call | None:
    details = choose([wallet_pb2.PayoutDetails(upi_id="asha@okbank"), wallet_pb2.PayoutDetails(bank_account=_BANK)])
    request = wallet_pb2.RequestWithdrawalRequest(
        request_id=seen.new_id(), amount=choose([MINIMUM, MINIMUM, amount(choose, seen)]), payout_details=details
    )
    return Call.of("RequestWithdrawal", choose([*seen.hosts * 4, *seen.people]), request)


def _request_withdrawal(books: Books, call: Call, named: Message) -> Outcome:
    request, user = call.request, call.actor

    def decide() -> Outcome:
        if not books.lives(user):
            return Outcome.refused("CALLER_INACTIVE")
        if request.amount < MINIMUM:
            return Outcome.refused("WITHDRAWAL_TOO_SMALL")
        if request.amount > books.wallet(user, "earnings").available:
            return Outcome.refused("EARNINGS_INSUFFICIENT")
        name = named.withdrawal
        shown = wallet_pb2.Withdrawal(
            user_id=user,
            withdrawal_id=name.withdrawal_id,
            amount=request.amount,
            status=_PENDING,
            payout_details=request.payout_details,
            create_time=stamp(books, name.create_time),
        )
        _put(books, shown)
        books.hold(user, "earnings", request.amount)
        return Outcome.of(wallet_pb2.RequestWithdrawalResponse(withdrawal=shown))

    outcome = once(books, call, decide, _is_same)
    return _with_details(outcome, request) if not outcome.reason else outcome


def _is_same(request: Message, made: Outcome) -> bool:
    return request.amount == wallet_pb2.RequestWithdrawalResponse.FromString(made.data).withdrawal.amount


def _with_details(outcome: Outcome, request: Message) -> Outcome:
    """Whoever asks again is told where he asks it to be paid, also where another place was asked for at first."""
    answer = wallet_pb2.RequestWithdrawalResponse.FromString(outcome.data)
    answer.withdrawal.payout_details.CopyFrom(request.payout_details)
    return Outcome.of(answer)


def _put(books: Books, shown: wallet_pb2.Withdrawal) -> None:
    known = _Known(shown.status, shown.SerializeToString(deterministic=True))
    books.put(known, "withdrawal", shown.user_id, shown.withdrawal_id)


def _pick(choose: Choose, seen: Seen) -> tuple[str, str]:
    """Whose withdrawal, and which: mostly one that there is, first of all of somebody who was erased."""
    known = [(each.user_id, each.withdrawal_id) for each in seen.named.get("Withdrawal", [])]
    options = sorted(dict.fromkeys(known[::-1]), key=lambda each: each[0] not in seen.gone)[:6]
    return choose([*options, *options, (choose(seen.people), NOBODY)])


def _draw_cancel(choose: Choose, seen: Seen) -> Call | None:
    user, withdrawal = _pick(choose, seen)
    actor = choose([user] * 8 + seen.people)
    return Call.of("CancelWithdrawal", actor, wallet_pb2.CancelWithdrawalRequest(withdrawal_id=withdrawal))


def _cancel_withdrawal(books: Books, call: Call, named: Message) -> Outcome:
    known = books.get("withdrawal", call.actor, call.request.withdrawal_id)
    if known is None:
        return Outcome.refused("WITHDRAWAL_NOT_FOUND")
    shown = known.shown
    if known.status == _PENDING:
        shown.status = _CANCELLED
        shown.end_time.CopyFrom(stamp(books, named.withdrawal.end_time))
        _put(books, shown)
        books.hold(call.actor, "earnings", -shown.amount)
    elif known.status != _CANCELLED:
        return Outcome.refused("WITHDRAWAL_NOT_PENDING")
    return Outcome.of(wallet_pb2.CancelWithdrawalResponse(withdrawal=shown))


def _draw_review(choose: Choose, seen: Seen) -> Call | None:
    user, withdrawal = _pick(choose, seen)
    request = wallet_pb2.ReviewWithdrawalRequest(
        user_id=choose([user] * 8 + seen.people),
        withdrawal_id=withdrawal,
        status=choose([_APPROVED, _APPROVED, _REJECTED]),
        note=choose(["", "well sung"]),
    )
    return Call.of("ReviewWithdrawal", choose(seen.admins), request)


def _review_withdrawal(books: Books, call: Call, named: Message) -> Outcome:
    request = call.request
    if request.user_id == call.actor:
        return Outcome.refused("WITHDRAWAL_OWN")
    known = books.get("withdrawal", request.user_id, request.withdrawal_id)
    if known is None:
        return Outcome.refused("WITHDRAWAL_NOT_FOUND")
    key = ("reviewed", request.user_id, request.withdrawal_id)
    if known.status == _PENDING:
        shown = known.shown
        shown.status, shown.reviewer_id, shown.note = request.status, call.actor, request.note
        shown.review_time.CopyFrom(stamp(books, named.withdrawal.review_time))
        if request.status == _REJECTED:
            shown.end_time.CopyFrom(shown.review_time)
            books.hold(request.user_id, "earnings", -shown.amount)
        _put(books, shown)
        books.put((shown.status, Outcome.of(wallet_pb2.ReviewWithdrawalResponse(withdrawal=shown))), *key)
    reviewed = books.get(*key)
    if reviewed is None or reviewed[0] != request.status:
        return Outcome.refused("WITHDRAWAL_NOT_PENDING")
    return reviewed[1]


def _alter_review(_choose: Choose, _seen: Seen, call: Call) -> Call | None:
    request = call.request
    request.status = _REJECTED if request.status == _APPROVED else _APPROVED
    return Call.of(call.rpc, call.actor, request)


def _draw_complete(choose: Choose, seen: Seen) -> Call | None:
    user, withdrawal = _pick(choose, seen)
    request = wallet_pb2.CompleteWithdrawalRequest(
        user_id=choose([user] * 8 + seen.people),
        withdrawal_id=withdrawal,
        status=choose([_PAID, _PAID, _FAILED]),
        payout_reference="UTR1",
    )
    return Call.of("CompleteWithdrawal", choose(["", *seen.admins]), request)


def _complete_withdrawal(books: Books, call: Call, named: Message) -> Outcome:
    request = call.request
    if request.user_id == call.actor:
        return Outcome.refused("WITHDRAWAL_OWN")
    known = books.get("withdrawal", request.user_id, request.withdrawal_id)
    if known is None:
        return Outcome.refused("WITHDRAWAL_NOT_FOUND")
    key = ("completed", request.user_id, request.withdrawal_id)
    said = (request.status, request.payout_reference)
    if known.status == _APPROVED:
        books.put((said, _complete(books, known.shown, request, named)), *key)
    completed = books.get(*key)
    if completed is None:
        return Outcome.refused("WITHDRAWAL_NOT_APPROVED")
    same = completed[0] == (said if books.lives(request.user_id) else said[:1])
    return completed[1] if same else Outcome.refused("WITHDRAWAL_COMPLETED_OTHERWISE")


def _complete(books: Books, shown: wallet_pb2.Withdrawal, request: Message, named: Message) -> Outcome:
    """What was held goes out, at the time at which the withdrawal ends, or is free again."""
    shown.status, shown.payout_reference = request.status, request.payout_reference
    shown.end_time.CopyFrom(stamp(books, named.withdrawal.end_time))
    _put(books, shown)
    user, coins, subject = shown.user_id, shown.amount, shown.withdrawal_id
    if request.status == _FAILED:
        books.hold(user, "earnings", -coins)
        return Outcome.of(wallet_pb2.CompleteWithdrawalResponse(withdrawal=shown))
    name = wallet_pb2.Transaction(transaction_id=named.transaction.transaction_id, create_time=shown.end_time)
    legs = [Leg(user, "earnings", -coins, -coins), Leg(user, "payouts", coins)]
    books.post(name.transaction_id, "withdrawal", user, *legs, subject=subject)
    movement = moved(books, name, "withdrawal", user, "earnings", -coins, subject)
    return Outcome.of(wallet_pb2.CompleteWithdrawalResponse(withdrawal=shown, transaction=movement))


def forget_details(books: Books, user: str) -> None:
    """What is personal about the withdrawals of a user goes with him: where they were paid, and what was noted."""
    for key, known in list(books.of("withdrawal")):
        if key[0] == user:
            _put(books, _without_details(known.shown))
    for kind in ("reviewed", "completed"):
        for key, (said, outcome) in list(books.of(kind)):
            if key[0] == user:
                books.put((said if kind == "reviewed" else said[:1], _told_without_details(kind, outcome)), kind, *key)


def _told_without_details(kind: str, outcome: Outcome) -> Outcome:
    made = wallet_pb2.ReviewWithdrawalResponse if kind == "reviewed" else wallet_pb2.CompleteWithdrawalResponse
    answer = made.FromString(outcome.data)
    answer.withdrawal.CopyFrom(_without_details(answer.withdrawal))
    return Outcome.of(answer)


def _without_details(shown: wallet_pb2.Withdrawal) -> wallet_pb2.Withdrawal:
    for name in ("payout_details", "note", "payout_reference"):
        shown.ClearField(name)
    return shown


def _alter_complete(choose: Choose, _seen: Seen, call: Call) -> Call | None:
    request = call.request
    if choose([True, False]):
        request.payout_reference = "UTR2"
    else:
        request.status = _FAILED if request.status == _PAID else _PAID
    return Call.of(call.rpc, call.actor, request)


OPERATIONS: Final = (
    Operation(
        "RequestWithdrawal", _draw_request, _request_withdrawal, reused(_draw_request), promised("RequestWithdrawal")
    ),
    Operation("CancelWithdrawal", _draw_cancel, _cancel_withdrawal, no_other, promised("CancelWithdrawal")),
    Operation("ReviewWithdrawal", _draw_review, _review_withdrawal, _alter_review, promised("ReviewWithdrawal")),
    Operation(
        "CompleteWithdrawal", _draw_complete, _complete_withdrawal, _alter_complete, promised("CompleteWithdrawal")
    ),
)
