"""What staff move of others' coins."""

from __future__ import annotations

from typing import Final

from banter.v1 import wallet_pb2
from google.protobuf.message import Message

from tests.model.books import Books, Leg, Movement
from tests.model.calls import Call, Operation, Outcome, Seen, moved, once
from tests.model.choices import Choose
from tests.model.requests import NOBODY, amount, promised, reused
from tests.model.subscriptions import end_period

_REFUNDABLE: Final = ("purchase", "call_charge", "gift", "subscription")


def _draw_refund(choose: Choose, seen: Seen) -> Call | None:
    known = seen.named.get("Transaction", [])[::-1]
    refundable = [each for each in known if wallet_pb2.TransactionKind.Name(each.kind)[17:].lower() in _REFUNDABLE]
    spent = [each for each in refundable if 0 < seen.last_balance(each.user_id, each.wallet) < each.amount]
    named = [(each.user_id, each.transaction_id) for each in [*refundable[:6], *known[:3], *spent[:3]]]
    user, transaction = choose([*named, (choose(seen.people), NOBODY)])
    request = wallet_pb2.RefundTransactionRequest(
        request_id=seen.new_id(),
        user_id=choose([user] * 8 + [*seen.people, NOBODY]),
        transaction_id=transaction,
        reason="it did not work",
    )
    coins = choose([0, 0, 1, 3, amount(choose, seen)])
    if coins:
        request.coins = coins
    return Call.of("RefundTransaction", choose(seen.admins), request)


def _refund_transaction(books: Books, call: Call, named: Message) -> Outcome:
    if call.request.user_id == call.actor:
        return Outcome.refused("WALLET_OWN")
    return once(books, call, lambda: _refund(books, call.request, named), _is_same_refund)


def _is_same_refund(request: Message, made: Outcome) -> bool:
    refund = wallet_pb2.RefundTransactionResponse.FromString(made.data).transaction
    coins = request.coins if request.HasField("coins") else abs(refund.amount)
    asked = (request.user_id, request.transaction_id, coins)
    return asked == (refund.user_id, refund.subject_id, abs(refund.amount))


def _refund(books: Books, request: Message, named: Message) -> Outcome:
    user, original = request.user_id, request.transaction_id
    if not books.lives(user):
        return Outcome.refused("USER_NOT_FOUND")
    taken: Movement | None = books.get("movement", original)
    if taken is None or taken.user != user:
        return Outcome.refused("TRANSACTION_NOT_FOUND")
    if taken.kind not in _REFUNDABLE:
        return Outcome.refused("TRANSACTION_NOT_REFUNDABLE")
    before = books.get("refunded", original) or 0
    coins = request.coins if request.HasField("coins") else taken.total - before
    if before == taken.total:
        return Outcome.refused("TRANSACTION_REFUNDED")
    if before + coins > taken.total:
        return Outcome.refused("REFUND_TOO_LARGE")
    if taken.kind == "purchase" and coins > books.wallet(user, "coins").available:
        return Outcome.refused("PURCHASE_SPENT")
    after, name = before + coins, named.transaction
    books.put(after, "refunded", original)
    back, given = _legs(books, taken, before, after)
    books.post(name.transaction_id, "refund", user, *back, subject=original)
    if taken.kind == "subscription" and after == taken.total:
        end_period(books, user, original)
    change = next(leg.amount for leg in back if leg.account == "coins")
    movement = moved(books, name, "refund", user, "coins", change, original)
    return Outcome.of(wallet_pb2.RefundTransactionResponse(transaction=movement, refunded=after, taken_back=given))


def _legs(books: Books, taken: Movement, before: int, after: int) -> tuple[list[Leg], int]:
    """What moves back of a transaction between two marks, and how much of it a host gives."""
    user, coins, given = taken.user, after - before, 0
    if taken.kind == "purchase":
        return [Leg(user, "coins", -coins), Leg(user, "payment_provider", coins)], 0
    back = [Leg(user, "coins", coins)]
    for host, account, part in taken.legs:
        if account == "earnings":
            share = after * part // taken.total - before * part // taken.total
            given = min(share, books.wallet(host, "earnings").available)
            back.append(Leg(host, "earnings", -given))
    return [*back, Leg(user, "platform_revenue", given - coins)], given


def _draw_adjustment(choose: Choose, seen: Seen) -> Call | None:
    user = choose([*seen.customers * 2, *seen.people, NOBODY])
    wallet = choose([wallet_pb2.WALLET_KIND_COINS, wallet_pb2.WALLET_KIND_EARNINGS])
    coins = amount(choose, seen)
    request = wallet_pb2.AdjustBalanceRequest(
        request_id=seen.new_id(),
        user_id=user,
        wallet=wallet,
        amount=choose([coins, -coins, -seen.last_balance(user, wallet) or -coins]),
        reason="it was wrong",
    )
    return Call.of("AdjustBalance", choose(seen.admins), request)


def _adjust_balance(books: Books, call: Call, named: Message) -> Outcome:
    request, user = call.request, call.request.user_id
    wallet = "coins" if request.wallet == wallet_pb2.WALLET_KIND_COINS else "earnings"

    def decide() -> Outcome:
        if not books.lives(user):
            return Outcome.refused("USER_NOT_FOUND")
        if books.wallet(user, wallet).available + request.amount < 0:
            return Outcome.refused("BALANCE_INSUFFICIENT")
        name = named.transaction
        legs = [Leg(user, wallet, request.amount), Leg(user, "promotions", -request.amount)]
        books.post(name.transaction_id, "adjustment", user, *legs)
        movement = moved(books, name, "adjustment", user, wallet, request.amount)
        return Outcome.of(wallet_pb2.AdjustBalanceResponse(transaction=movement))

    return Outcome.refused("WALLET_OWN") if user == call.actor else once(books, call, decide, _is_same_adjustment)


def _is_same_adjustment(request: Message, made: Outcome) -> bool:
    moved = wallet_pb2.AdjustBalanceResponse.FromString(made.data).transaction
    return (request.user_id, request.wallet, request.amount) == (moved.user_id, moved.wallet, moved.amount)


OPERATIONS: Final = (
    Operation(
        "RefundTransaction", _draw_refund, _refund_transaction, reused(_draw_refund), promised("RefundTransaction")
    ),
    Operation("AdjustBalance", _draw_adjustment, _adjust_balance, reused(_draw_adjustment), promised("AdjustBalance")),
)
