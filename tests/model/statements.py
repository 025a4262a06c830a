"""What is told of movements: sums that have to be those of the books."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable
from typing import Final

from banter.v1 import wallet_pb2
from google.protobuf.message import Message

from tests.model.books import Books
from tests.model.calls import Call, Operation, Outcome, Seen
from tests.model.choices import Choose
from tests.model.requests import no_other, promised


def _draw_stats(choose: Choose, seen: Seen) -> Call | None:
    request = wallet_pb2.GetTransactionStatsRequest(
        user_id=choose(seen.people), wallet=choose([wallet_pb2.WALLET_KIND_COINS, wallet_pb2.WALLET_KIND_EARNINGS])
    )
    _draw_period(choose, seen, request)
    return Call.of("GetTransactionStats", "", request)


def _get_transaction_stats(books: Books, call: Call, named: Message) -> Outcome:
    wallet = "coins" if call.request.wallet == wallet_pb2.WALLET_KIND_COINS else "earnings"
    amounts = defaultdict[str, list[int]](list)
    for (name,), movement in books.of("movement"):
        for user, account, amount in movement.legs if _is_within(books, call.request, name) else ():
            if (user, account) == (call.request.user_id, wallet):
                amounts[movement.kind].append(amount)
    stats = [
        wallet_pb2.TransactionStats(
            kind=f"TRANSACTION_KIND_{kind.upper()}", count=len(each), sum=sum(each), average=sum(each) / len(each)
        )
        for kind, each in sorted(amounts.items())
    ]
    for mine, told in zip(stats, named.stats, strict=False):
        if math.isclose(mine.average, told.average):  # an average is no coin
            mine.average = told.average
    return Outcome.of(wallet_pb2.GetTransactionStatsResponse(stats=stats))


def _draw_summary(choose: Choose, seen: Seen) -> Call | None:
    request = wallet_pb2.GetEarningsSummaryRequest(user_id=choose([*seen.hosts, *seen.people]))
    _draw_period(choose, seen, request)
    return Call.of("GetEarningsSummary", "", request)


def _get_earnings_summary(books: Books, call: Call, _named: Message) -> Outcome:
    host, sums = call.request.user_id, dict[str, wallet_pb2.EarningsSum]()
    for (name,), movement in books.of("movement"):
        part = sum(amount for user, account, amount in movement.legs if (user, account) == (host, "earnings"))
        paid = movement.kind in {"call_charge", "gift", "bonus"} and _is_within(books, call.request, name)
        if part > 0 and paid:
            kind = f"TRANSACTION_KIND_{movement.kind.upper()}"
            each = sums.setdefault(movement.kind, wallet_pb2.EarningsSum(kind=kind))
            back = -sum(
                amount
                for _, refund in books.of("movement")
                if (refund.kind, refund.subject) == ("refund", name)
                for user, account, amount in refund.legs
                if (user, account) == (host, "earnings")
            )
            total = movement.total - (books.get("refunded", name) or 0)
            each.count += 1
            each.total_revenue += total
            each.host_part += part - back
            each.platform_part += total - (part - back)
    total = wallet_pb2.EarningsSum()
    for each in sums.values():
        total.count += each.count
        total.total_revenue += each.total_revenue
        total.host_part += each.host_part
        total.platform_part += each.platform_part
    found = [sums[kind] for kind in sorted(sums)]
    return Outcome.of(wallet_pb2.GetEarningsSummaryResponse(sums=found, total=total))


def _draw_period(choose: Choose, seen: Seen, request: Message) -> None:
    """From one time that something has, or the one after it, up to another; only while the books know all times."""
    if seen.now is not None and choose([False, True]):
        known = [each.create_time.ToMicroseconds() for each in seen.named.get("Transaction", [])[-6:]]
        times = [at + more for at in [seen.now, *known] for more in (0, 1)]
        request.create_time_from.FromMicroseconds(choose(times))
        request.create_time_until.FromMicroseconds(choose(times))


def _is_within(books: Books, request: Message, name: Hashable) -> bool:
    if not request.HasField("create_time_from"):
        return True
    begin, end = request.create_time_from.ToMicroseconds(), request.create_time_until.ToMicroseconds()
    return begin <= books.get("time", name) < end


OPERATIONS: Final = (
    Operation("GetTransactionStats", _draw_stats, _get_transaction_stats, no_other, promised("GetTransactionStats")),
    Operation("GetEarningsSummary", _draw_summary, _get_earnings_summary, no_other, promised("GetEarningsSummary")),
)
