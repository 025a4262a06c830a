"""AdjustBalance: corrections by staff."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import grpc
import psycopg
import pytest
from banter.v1 import wallet_pb2

from tests.support.harness import Running, refused
from tests.support.money import wallet_of
from tests.support.refunds import adjust, legs

COINS, EARNINGS = wallet_pb2.WALLET_KIND_COINS, wallet_pb2.WALLET_KIND_EARNINGS
CODES = {
    "USER_NOT_FOUND": grpc.StatusCode.NOT_FOUND,
    "WALLET_OWN": grpc.StatusCode.PERMISSION_DENIED,
    "REQUEST_ID_REUSED": grpc.StatusCode.INVALID_ARGUMENT,
    "BALANCE_INSUFFICIENT": grpc.StatusCode.FAILED_PRECONDITION,
}


@pytest.fixture(scope="module")
async def admin(banter: Running) -> str:
    return (await banter.new_user(role="admin")).user_id


class TestAdjustBalance:
    async def test_coins_come_from_promotions_and_go_there(self, banter: Running, admin: str, service_url: str) -> None:
        user = (await banter.new_user()).user_id
        given = (await adjust(banter, admin, user, 50)).transaction
        assert (given.user_id, given.wallet, given.amount, given.balance_after) == (user, COINS, 50, 150)
        assert given.kind == wallet_pb2.TRANSACTION_KIND_ADJUSTMENT and given.create_time.seconds > 1_700_000_000
        assert await legs(service_url, given.transaction_id) == {(user, "coins"): 50, (user, "promotions"): -50}
        taken = (await adjust(banter, admin, user, -150)).transaction
        assert (taken.amount, taken.balance_after) == (-150, 0)
        assert await legs(service_url, taken.transaction_id) == {(user, "coins"): -150, (user, "promotions"): 150}

    async def test_earnings_are_a_wallet_of_their_own(self, banter: Running, admin: str) -> None:
        user = (await banter.new_user()).user_id
        assert (await adjust(banter, admin, user, 50, EARNINGS)).transaction.balance_after == 50
        wallet = await wallet_of(banter, user)
        assert (wallet.coins.available, wallet.earnings.available) == (100, 50)

    @pytest.mark.parametrize("reason", CODES)
    async def test_it_is_refused_with_its_reason_and_changes_nothing(
        self, banter: Running, admin: str, reason: str
    ) -> None:
        user, amount, request_id = (await banter.new_user()).user_id, -20, str(uuid.uuid4())
        of = user
        match reason:
            case "USER_NOT_FOUND":
                of = str(uuid.uuid4())
            case "WALLET_OWN":
                of = admin.upper()
            case "REQUEST_ID_REUSED":
                await adjust(banter, admin, user, -21, request_id=request_id)
            case "BALANCE_INSUFFICIENT":
                amount = -101
        before = await wallet_of(banter, user)
        asked = [adjust(banter, admin, of, amount, request_id=request_id) for _ in range(2)]
        first, again = [await refused(call) for call in asked]
        assert (first.code, first.reason) == (CODES[reason], reason)
        assert (again.reason, again.message) == (first.reason, first.message)
        assert await wallet_of(banter, user) == before

    async def test_a_refusal_is_remembered_when_it_would_no_longer_be_one(self, banter: Running, admin: str) -> None:
        user, request_id = (await banter.new_user()).user_id, str(uuid.uuid4())
        first = await refused(adjust(banter, admin, user, -101, request_id=request_id))
        await adjust(banter, admin, user, 100)
        again = await refused(adjust(banter, admin, user, -101, request_id=request_id))
        assert again.message == first.message and "at most 100" in again.message
        assert (await wallet_of(banter, user)).coins.available == 200

    async def test_what_is_held_is_not_taken(self, banter: Running, admin: str, service_url: str) -> None:
        user = (await banter.new_user()).user_id
        async with await psycopg.AsyncConnection.connect(service_url) as connection:
            await connection.execute(
                "UPDATE wallets SET available = 40, held = 60 WHERE user_id = %s AND kind = 'coins'", [user]
            )
        assert (await refused(adjust(banter, admin, user, -41))).metadata["available"] == "40"
        assert (await adjust(banter, admin, user, -40)).transaction.balance_after == 60

    async def test_a_key_that_has_expired_moves_nothing_twice(
        self, banter: Running, admin: str, service_url: str, move_clock: Callable[[float], None]
    ) -> None:
        user, request_id = (await banter.new_user()).user_id, str(uuid.uuid4())
        first = await adjust(banter, admin, user, -20, request_id=request_id)
        move_clock(31 * 86400)
        async with await psycopg.AsyncConnection.connect(service_url, autocommit=True) as connection:
            await connection.execute("SELECT purge_idempotency_keys(1000000)")
        assert await adjust(banter, admin, user, -20, request_id=request_id) == first
        for other in (
            adjust(banter, admin, user, -19, request_id=request_id),
            adjust(banter, admin, user, -20, EARNINGS, request_id),
            adjust(banter, admin, (await banter.new_user()).user_id, -20, request_id=request_id),
        ):
            assert (await refused(other)).reason == "REQUEST_ID_REUSED"
        assert (await wallet_of(banter, user)).coins.available == 80

    @pytest.mark.parametrize("fault", ["amount", "wallet", "reason", "request_id"])
    async def test_a_senseless_one_is_refused(self, banter: Running, admin: str, fault: str) -> None:
        request = wallet_pb2.AdjustBalanceRequest(
            request_id=str(uuid.uuid4()), user_id=str(uuid.uuid4()), wallet=COINS, amount=1, reason="a prize"
        )
        request.ClearField(fault)  # type: ignore[arg-type]
        failure = await refused(banter.wallets.AdjustBalance(request, metadata=banter.as_user(admin)))
        assert (failure.reason, failure.violations[0][0]) == ("REQUEST_INVALID", fault)
