"""WalletService: what a user has, and what he pays for."""

from __future__ import annotations

from banter.v1 import wallet_pb2

from banter_grpc import money
from banter_grpc.database.database import Database
from banter_grpc.database.queries import wallet as queries
from banter_grpc.encoding import encode_transaction
from banter_grpc.errors import user as user_errors
from banter_grpc.errors import wallet as errors
from banter_grpc.rpc.caller import Caller


class WalletHandler:
    """Answers what is asked about wallets, and credits payments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def GetWallet(  # noqa: N802
        self, request: wallet_pb2.GetWalletRequest, _caller: Caller
    ) -> wallet_pb2.GetWalletResponse:
        """Both wallets, in one row."""
        row = await self._database.run(queries.get_wallet(user_id=request.user_id))
        if row is None:
            raise user_errors.user_not_found(request.user_id)
        return wallet_pb2.GetWalletResponse(
            wallet=wallet_pb2.Wallet(
                user_id=row.user_id,
                coins=wallet_pb2.Balance(available=row.coins_available, held=row.coins_held),
                earnings=wallet_pb2.Balance(available=row.earnings_available, held=row.earnings_held),
            )
        )

    async def PurchaseCoins(  # noqa: N802
        self, request: wallet_pb2.PurchaseCoinsRequest, caller: Caller
    ) -> wallet_pb2.PurchaseCoinsResponse:
        """The payment's own names are the key: a credit that is there already is the answer, if it is this one."""
        _, row = await self._database.run(
            queries.lock_wallet(user_id=request.user_id, kind="coins"),
            queries.purchase_coins(
                provider=request.provider,
                payment_id=request.payment_id,
                user_id=request.user_id,
                coins=request.coins,
                transaction_id=money.transaction_id("purchase", request.provider, request.payment_id),
                actor_id=caller.actor,
            ),
            key=request.user_id,
        )
        if row is None:
            raise user_errors.user_not_found(request.user_id)
        if (row.user_id, row.coins) != (request.user_id.lower(), request.coins):
            raise errors.payment_credited_otherwise()
        transaction = encode_transaction(
            transaction_id=row.transaction_id,
            user_id=row.user_id,
            wallet="coins",
            kind="purchase",
            amount=row.coins,
            balance_after=row.balance_after,
            create_time=row.create_time,
        )
        return wallet_pb2.PurchaseCoinsResponse(transaction=transaction)
