"""WalletService: what staff move of others' coins."""

from __future__ import annotations

from banter.v1 import wallet_pb2

from banter_grpc import money
from banter_grpc.database.database import Database
from banter_grpc.database.queries import wallet as wallet_queries
from banter_grpc.database.queries import wallet_refunds as queries
from banter_grpc.database.queries import wallet_subscriptions as subscription_queries
from banter_grpc.encoding import WALLET_KIND, encode_transaction
from banter_grpc.errors import wallet_refunds as errors
from banter_grpc.rpc.caller import Caller


class RefundHandler:
    """Takes transactions back and corrects balances: of everybody but the admin who asks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def RefundTransaction(  # noqa: N802
        self, request: wallet_pb2.RefundTransactionRequest, caller: Caller
    ) -> wallet_pb2.RefundTransactionResponse:
        """The wallets that the transaction moved are the ones that move back: locked in order, one by one."""
        actor_id = _actor(caller, request.user_id)
        asked = money.fingerprint(request)
        refund_id = money.transaction_id(actor_id, request.request_id.lower())
        original = {"user_id": request.user_id, "transaction_id": request.transaction_id}
        _, _, row, _ = await self._database.run(
            queries.lock_moved_wallet(**original, place=0),
            queries.lock_moved_wallet(**original, place=1),
            queries.refund_transaction(
                **original,
                coins=request.coins if request.HasField("coins") else None,
                note=request.reason,
                refund_id=refund_id,
                actor_id=actor_id,
                request_id=request.request_id,
                fingerprint=asked,
            ),
            subscription_queries.end_refunded_period(transaction_id=request.transaction_id),
            key=request.user_id,
        )
        assert row is not None, "the statement answers with the outcome of before, or of now"
        outcome = money.outcome_of(row, asked)
        return wallet_pb2.RefundTransactionResponse(
            transaction=encode_transaction(
                transaction_id=refund_id,
                user_id=request.user_id.lower(),
                wallet="coins",
                kind="refund",
                amount=outcome["amount"],
                balance_after=outcome["balance_after"],
                subject_id=request.transaction_id.lower(),
                create_time=outcome["create_time"],
            ),
            refunded=outcome["refunded"],
            taken_back=outcome["taken_back"],
        )

    async def AdjustBalance(  # noqa: N802
        self, request: wallet_pb2.AdjustBalanceRequest, caller: Caller
    ) -> wallet_pb2.AdjustBalanceResponse:
        """One wallet, and the platform's promotions on the other side."""
        actor_id = _actor(caller, request.user_id)
        asked = money.fingerprint(request)
        transaction_id = money.transaction_id(actor_id, request.request_id.lower())
        kind = WALLET_KIND.text(request.wallet)
        assert kind is not None, "refused by the contract's rules"
        _, row = await self._database.run(
            wallet_queries.lock_wallet(user_id=request.user_id, kind=kind),
            queries.adjust_balance(
                user_id=request.user_id,
                kind=kind,
                amount=request.amount,
                note=request.reason,
                transaction_id=transaction_id,
                actor_id=actor_id,
                request_id=request.request_id,
                fingerprint=asked,
            ),
            key=request.user_id,
        )
        assert row is not None, "the statement answers with the outcome of before, or of now"
        outcome = money.outcome_of(row, asked)
        return wallet_pb2.AdjustBalanceResponse(
            transaction=encode_transaction(
                transaction_id=transaction_id,
                user_id=request.user_id.lower(),
                wallet=kind,
                kind="adjustment",
                amount=request.amount,
                balance_after=outcome["balance_after"],
                create_time=outcome["create_time"],
            )
        )


def _actor(caller: Caller, user_id: str) -> str:
    """Who acts; raises `Refusal` (WALLET_OWN) if it is on himself."""
    if user_id.lower() == caller.user:
        raise errors.wallet_own()
    return caller.user
