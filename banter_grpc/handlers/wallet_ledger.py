"""WalletService: whether the ledger is whole."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from banter.v1 import wallet_pb2

from banter_grpc import ledger
from banter_grpc.database.database import Database
from banter_grpc.database.queries import wallet_ledger as queries
from banter_grpc.errors import user as user_errors
from banter_grpc.rpc.caller import Caller


class WalletLedgerHandler:
    """Verifies the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def VerifyLedger(  # noqa: N802
        self, request: wallet_pb2.VerifyLedgerRequest, _caller: Caller
    ) -> AsyncGenerator[wallet_pb2.VerifyLedgerResponse]:
        """What was found is sent as it is found; the next piece is looked at when the caller has taken the last."""
        if request.user_id and await self._database.run(queries.find_anybody(user_id=request.user_id)) is None:
            raise user_errors.user_not_found(request.user_id)
        summary = wallet_pb2.LedgerSummary()
        async for event in ledger.verify(self._database, request.user_id or None):
            if isinstance(event, ledger.Discrepancy):
                summary.discrepancies += 1
                yield wallet_pb2.VerifyLedgerResponse(discrepancy=_discrepancy(event))
            else:
                summary.rows_checked = event.total
                yield wallet_pb2.VerifyLedgerResponse(progress=_progress(event))
        yield wallet_pb2.VerifyLedgerResponse(summary=summary)


def _progress(found: ledger.Progress) -> wallet_pb2.LedgerProgress:
    return wallet_pb2.LedgerProgress(check=found.check, rows_checked=found.rows, rows_estimated=found.estimate)


def _discrepancy(found: ledger.Discrepancy) -> wallet_pb2.LedgerDiscrepancy:
    return wallet_pb2.LedgerDiscrepancy(
        check=found.check,
        table=found.table,
        key=found.key,
        field=found.field,
        expected=found.expected,
        found=found.found,
        message=str(found),
    )
