"""WalletService: statements of wallets and of earnings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from banter.v1 import options_pb2, wallet_pb2

from banter_grpc import values
from banter_grpc.database.database import Database
from banter_grpc.database.queries import wallet_statements as queries
from banter_grpc.encoding import TRANSACTION_KIND, WALLET_KIND, encode_transaction
from banter_grpc.pages import Pages
from banter_grpc.rpc.caller import Caller

_LAST_VERSION: Final = 2**63 - 1
_NOTE_READERS: Final = frozenset({int(options_pb2.CALLER_KIND_ADMIN), int(options_pb2.CALLER_KIND_SERVICE)})


class StatementHandler:
    """Answers what happened to somebody's coins."""

    def __init__(self, database: Database, pages: Pages) -> None:
        self._database = database
        self._pages = pages

    async def ListTransactions(  # noqa: N802
        self, request: wallet_pb2.ListTransactionsRequest, caller: Caller
    ) -> wallet_pb2.ListTransactionsResponse:
        """A walk down the versions of one wallet."""
        page = self._pages.open(request, caller.actor_id, (_LAST_VERSION,))
        rows = await self._database.run(
            queries.list_transactions(
                user_id=request.user_id,
                wallet=WALLET_KIND.text(request.wallet) or "coins",
                kinds=TRANSACTION_KIND.texts(request.kinds),
                before=int(page.cursor[0]),
                count=page.limit,
            )
        )
        shown, token = page.cut(rows, lambda row: (row.version,))
        reads_notes = not _NOTE_READERS.isdisjoint(caller.kinds)
        return wallet_pb2.ListTransactionsResponse(
            transactions=[_transaction(row, reads_notes) for row in shown], next_page_token=token
        )

    async def GetTransactionStats(  # noqa: N802
        self, request: wallet_pb2.GetTransactionStatsRequest, _caller: Caller
    ) -> wallet_pb2.GetTransactionStatsResponse:
        """One row for each kind, summed by the database."""
        from_time, until_time = values.created_within(request)
        rows = await self._database.run(
            queries.get_transaction_stats(
                user_id=request.user_id,
                wallet=WALLET_KIND.text(request.wallet) or "coins",
                from_time=from_time,
                until_time=until_time,
            )
        )
        return wallet_pb2.GetTransactionStatsResponse(
            stats=[
                wallet_pb2.TransactionStats(
                    kind=TRANSACTION_KIND.number(row.kind),
                    count=row.movements,
                    sum=row.amount,
                    average=row.average,
                )
                for row in rows
            ]
        )

    async def ListEarnings(  # noqa: N802
        self, request: wallet_pb2.ListEarningsRequest, caller: Caller
    ) -> wallet_pb2.ListEarningsResponse:
        """A walk down the index of the host's earnings, with the refunds of each."""
        page = self._pages.open(request, caller.actor_id, values.NEWEST)
        before_time, before_id = page.cursor
        rows = await self._database.run(
            queries.list_earnings(
                user_id=request.user_id,
                before_time=int(before_time),
                before_id=str(before_id),
                count=page.limit,
            )
        )
        shown, token = page.cut(rows, lambda row: (row.create_time, row.transaction_id))
        return wallet_pb2.ListEarningsResponse(earnings=[_earning(row) for row in shown], next_page_token=token)

    async def GetEarningsSummary(  # noqa: N802
        self, request: wallet_pb2.GetEarningsSummaryRequest, _caller: Caller
    ) -> wallet_pb2.GetEarningsSummaryResponse:
        """One row for each kind, what was taken back subtracted by the database."""
        from_time, until_time = values.created_within(request)
        rows = await self._database.run(
            queries.get_earnings_summary(user_id=request.user_id, from_time=from_time, until_time=until_time)
        )
        sums = [
            wallet_pb2.EarningsSum(
                kind=TRANSACTION_KIND.number(row.kind),
                count=row.earnings,
                total_revenue=row.total,
                host_part=row.host_part,
                platform_part=row.platform_part,
            )
            for row in rows
        ]
        return wallet_pb2.GetEarningsSummaryResponse(sums=sums, total=_total(sums))


def _transaction(row: queries.ListTransactionsRow, reads_notes: bool) -> wallet_pb2.Transaction:
    return encode_transaction(
        transaction_id=row.transaction_id,
        user_id=row.user_id,
        wallet=row.wallet,
        kind=row.kind,
        amount=row.amount,
        balance_after=row.balance_after,
        subject_id=row.subject_id,
        create_time=row.create_time,
        note=row.note if reads_notes else "",
    )


def _earning(row: queries.ListEarningsRow) -> wallet_pb2.Earning:
    earning = wallet_pb2.Earning(
        user_id=row.user_id,
        transaction_id=row.transaction_id,
        kind=TRANSACTION_KIND.number(row.kind),
        total_revenue=row.total,
        host_part=row.host_part,
        platform_part=row.platform_part,
        refunded=row.refunded,
        taken_back=row.taken_back,
    )
    values.set_timestamp(earning.create_time, row.create_time)
    return earning


def _total(sums: Iterable[wallet_pb2.EarningsSum]) -> wallet_pb2.EarningsSum:
    total = wallet_pb2.EarningsSum()
    for each in sums:
        total.count += each.count
        total.total_revenue += each.total_revenue
        total.host_part += each.host_part
        total.platform_part += each.platform_part
    return total
