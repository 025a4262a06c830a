"""WalletService: whether the ledger is whole."""

from __future__ import annotations

import asyncio
import uuid

import grpc
import psycopg
import pytest
from banter.v1 import wallet_pb2

from tests.conftest import NewDatabase
from tests.support.harness import Metadata, Running, refused, running
from tests.support.money import credit


async def verified(
    banter: Running, metadata: Metadata, user_id: str = ""
) -> tuple[list[wallet_pb2.LedgerDiscrepancy], list[wallet_pb2.LedgerProgress], wallet_pb2.LedgerSummary]:
    """What a verification says: discrepancies, progress and, as its last word, the summary."""
    request = wallet_pb2.VerifyLedgerRequest(user_id=user_id)
    answers = [answer async for answer in banter.wallets.VerifyLedger(request, metadata=metadata, timeout=60)]
    assert [answer.WhichOneof("event") for answer in answers].index("summary") == len(answers) - 1
    discrepancies = [answer.discrepancy for answer in answers if answer.HasField("discrepancy")]
    return discrepancies, [answer.progress for answer in answers if answer.HasField("progress")], answers[-1].summary


@pytest.fixture
async def admin(banter: Running) -> Metadata:
    return banter.as_user((await banter.new_user(role="admin")).user_id)


class TestVerifyLedger:
    async def test_a_users_part_of_it_is_whole_whatever_he_did(self, banter: Running, admin: Metadata) -> None:
        user = (await banter.new_user()).user_id
        await credit(banter, user, 250)
        discrepancies, progress, summary = await verified(banter, admin, user)
        assert discrepancies == []
        rows = {each.check: each.rows_checked for each in progress}
        assert (rows["wallets"], rows["transactions"], rows["chains"], rows["payments"]) == (2, 2, 4, 1)
        assert summary == wallet_pb2.LedgerSummary(rows_checked=sum(rows.values()))

    async def test_what_was_changed_by_hand_is_named(self, banter: Running, admin: Metadata) -> None:
        user = (await banter.new_user()).user_id
        with psycopg.connect(banter.owner_url) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute("UPDATE wallets SET available = 105 WHERE user_id = %s AND kind = 'coins'", [user])
        ((found,), _, summary) = await verified(banter, admin, user.upper())
        key = f"user_id = '{user}' AND kind = 'coins'"
        assert found == wallet_pb2.LedgerDiscrepancy(
            check="wallets",
            table="wallets",
            key=key,
            field="available + held",
            expected="100",
            found="105",
            message=f"wallets where {key}: available + held is 105, and should be 100",
        )
        assert summary.discrepancies == 1

    async def test_live_traffic_gives_no_false_alarm(self, new_database: NewDatabase) -> None:
        database = new_database()
        async with running(database.owner_url, database.service_url) as banter:
            admin = banter.as_user((await banter.new_user(role="admin")).user_id)
            users = [(await banter.new_user()).user_id for _ in range(3)]

            async def trade() -> None:
                for number in range(40):
                    await asyncio.gather(*(credit(banter, user, 1 + number) for user in users), banter.new_user())

            async with asyncio.timeout(60):
                trading, rounds = asyncio.ensure_future(trade()), 0
                while not trading.done() or not rounds:
                    discrepancies, _, summary = await verified(banter, admin)
                    assert discrepancies == []
                    rounds += 1
                await trading
                assert summary.rows_checked > 0
                assert (await verified(banter, admin))[0] == []

    async def test_nobody_is_verified_who_never_was(self, banter: Running, admin: Metadata) -> None:
        request = wallet_pb2.VerifyLedgerRequest(user_id=str(uuid.uuid4()))
        failure = await refused(banter.wallets.VerifyLedger(request, metadata=admin).read())
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")

    async def test_a_service_may_not(self, banter: Running) -> None:
        call = banter.wallets.VerifyLedger(wallet_pb2.VerifyLedgerRequest(), metadata=banter.as_service)
        failure = await refused(call.read())
        assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ADMITTED")
