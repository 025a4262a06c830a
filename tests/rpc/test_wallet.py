"""WalletService: what a user has, and what he pays for."""

from __future__ import annotations

import asyncio
import uuid

import grpc
import pytest
from banter.v1 import wallet_pb2

from tests.support.harness import Running, refused
from tests.support.money import credit, wallet_of


class TestGetWallet:
    async def test_a_new_user_has_the_signup_grant(self, banter: Running) -> None:
        user = await banter.new_user()
        answer = await banter.wallets.GetWallet(
            wallet_pb2.GetWalletRequest(user_id=user.user_id), metadata=banter.as_user(user.user_id)
        )
        assert answer.wallet == wallet_pb2.Wallet(
            user_id=user.user_id, coins=wallet_pb2.Balance(available=100), earnings=wallet_pb2.Balance()
        )

    async def test_who_is_not_there_has_none(self, banter: Running) -> None:
        request = wallet_pb2.GetWalletRequest(user_id=str(uuid.uuid4()))
        failure = await refused(banter.wallets.GetWallet(request, metadata=banter.as_service))
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")


class TestPurchaseCoins:
    async def test_a_payment_credits_its_coins(self, banter: Running) -> None:
        user = (await banter.new_user()).user_id
        answer = await credit(banter, user, 250)
        transaction = answer.transaction
        assert (transaction.amount, transaction.balance_after) == (250, 350)
        assert (transaction.user_id, transaction.wallet) == (user, wallet_pb2.WALLET_KIND_COINS)
        assert transaction.kind == wallet_pb2.TRANSACTION_KIND_PURCHASE
        assert transaction.create_time.seconds > 1_700_000_000
        assert (await wallet_of(banter, user)).coins.available == 350

    async def test_fifty_of_one_payment_at_once_credit_it_once_and_answer_alike(self, banter: Running) -> None:
        user, payment = (await banter.new_user()).user_id, uuid.uuid4().hex
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(credit(banter, user, 250, payment) for _ in range(50)))
        assert all(answer == answers[0] for answer in answers)
        assert (await wallet_of(banter, user)).coins.available == 350

    async def test_one_payment_for_many_users_at_once_credits_one_of_them(self, banter: Running) -> None:
        users = [(await banter.new_user()).user_id for _ in range(10)]
        payment = uuid.uuid4().hex
        async with asyncio.timeout(30):
            answers = await asyncio.gather(
                *(credit(banter, user, 250, payment) for user in users * 5), return_exceptions=True
            )
        credited = [answer for answer in answers if isinstance(answer, wallet_pb2.PurchaseCoinsResponse)]
        assert len(credited) == 5 and all(answer == credited[0] for answer in credited)
        balances = [(await wallet_of(banter, user)).coins.available for user in users]
        assert sorted(balances) == [100] * 9 + [350]

    @pytest.mark.parametrize("other", ["user", "coins"])
    async def test_a_payment_that_was_credited_otherwise_is_refused(self, banter: Running, other: str) -> None:
        user, payment = (await banter.new_user()).user_id, uuid.uuid4().hex
        await credit(banter, user, 250, payment)
        to = (await banter.new_user()).user_id if other == "user" else user
        failure = await refused(credit(banter, to, 251 if other == "coins" else 250, payment))
        assert (failure.code, failure.reason) == (grpc.StatusCode.ALREADY_EXISTS, "PAYMENT_CREDITED_OTHERWISE")
        assert (await wallet_of(banter, user)).coins.available == 350

    async def test_nobody_is_credited_who_is_not_there(self, banter: Running) -> None:
        failure = await refused(credit(banter, str(uuid.uuid4()), 250))
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")

    async def test_a_refused_payment_can_be_credited_later(self, banter: Running) -> None:
        payment = uuid.uuid4().hex
        await refused(credit(banter, str(uuid.uuid4()), 250, payment))
        user = (await banter.new_user()).user_id
        assert (await credit(banter, user, 250, payment)).transaction.balance_after == 350

    @pytest.mark.parametrize("coins", [0, -1, 10**9 + 1])
    async def test_so_many_coins_are_refused(self, banter: Running, coins: int) -> None:
        failure = await refused(credit(banter, str(uuid.uuid4()), coins))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")
