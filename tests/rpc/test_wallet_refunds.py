"""RefundTransaction: what goes back to whom, once."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

import grpc
import psycopg
import pytest
from banter.v1 import wallet_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from banter_grpc import money
from tests.support.harness import Running, failure_of, refused
from tests.support.money import credit, wallet_of
from tests.support.refunds import adjust, legs, pay, refund

REFUSED = {
    "USER_NOT_FOUND": grpc.StatusCode.NOT_FOUND,
    "TRANSACTION_NOT_FOUND": grpc.StatusCode.NOT_FOUND,
    "WALLET_OWN": grpc.StatusCode.PERMISSION_DENIED,
    "REQUEST_ID_REUSED": grpc.StatusCode.INVALID_ARGUMENT,
}
SHARES = st.integers(1, 10**9).flatmap(
    lambda total: st.tuples(
        st.just(total), st.integers(1, total), st.lists(st.integers(0, total), max_size=4).map(sorted)
    )
)
"""Coins that are paid, the host's part of them, and the marks up to which they are refunded one after the other."""


@pytest.fixture(scope="module")
async def admin(banter: Running) -> str:
    return (await banter.new_user(role="admin")).user_id


async def new_pair(banter: Running) -> tuple[str, str]:
    """A user who pays, and one who earns."""
    return (await banter.new_user()).user_id, (await banter.new_user()).user_id


async def have(banter: Running, payer: str, host: str) -> tuple[int, int]:
    """The payer's coins, and the host's earnings."""
    return (await wallet_of(banter, payer)).coins.available, (await wallet_of(banter, host)).earnings.available


class TestRefundTransaction:
    @pytest.mark.parametrize("kind", ["gift", "call_charge"])
    async def test_the_payer_gets_all_back_and_the_host_gives_his_part(
        self, banter: Running, admin: str, service_url: str, kind: str
    ) -> None:
        payer, host = await new_pair(banter)
        paid = await pay(service_url, payer, 99, host, 59, kind)
        assert await have(banter, payer, host) == (1, 59)
        answer = await refund(banter, admin, payer, paid)
        transaction = answer.transaction
        assert (transaction.amount, transaction.balance_after, transaction.subject_id) == (99, 100, paid)
        assert (transaction.user_id, transaction.wallet) == (payer, wallet_pb2.WALLET_KIND_COINS)
        assert transaction.kind == wallet_pb2.TRANSACTION_KIND_REFUND
        assert transaction.create_time.seconds > 1_700_000_000
        assert (answer.refunded, answer.taken_back) == (99, 59)
        assert await have(banter, payer, host) == (100, 0)
        assert await legs(service_url, transaction.transaction_id) == {
            (payer, "coins"): 99,
            (host, "earnings"): -59,
            (payer, "platform_revenue"): -40,
        }

    async def test_parts_are_refunded_until_nothing_is_left(
        self, banter: Running, admin: str, service_url: str
    ) -> None:
        payer, host = await new_pair(banter)
        paid = await pay(service_url, payer, 10, host, 6)
        marks = [await refund(banter, admin, payer, paid, coins) for coins in (1, 1, 3)]
        marks.append(await refund(banter, admin, payer, paid))
        assert [(mark.refunded, mark.taken_back) for mark in marks] == [(1, 0), (2, 1), (5, 2), (10, 3)]
        assert await have(banter, payer, host) == (100, 0)

    @settings(max_examples=15, deadline=None, print_blob=True)
    @given(shares=SHARES)
    async def test_however_it_is_split_all_refunds_together_take_exactly_the_hosts_part(
        self, banter: Running, admin: str, service_url: str, shares: tuple[int, int, list[int]]
    ) -> None:
        total, part, marks = shares
        payer, host = await new_pair(banter)
        await credit(banter, payer, total)
        paid = await pay(service_url, payer, total, host, part)
        done, taken = 0, 0
        for mark in [*marks, total]:
            if mark > done:
                answer = await refund(banter, admin, payer, paid, mark - done)
                done, taken = mark, taken + answer.taken_back
                assert (answer.refunded, taken) == (mark, mark * part // total)
        assert taken == part
        assert await have(banter, payer, host) == (100 + total, 0)

    async def test_the_platform_bears_what_the_host_no_longer_has(
        self, banter: Running, admin: str, service_url: str
    ) -> None:
        payer, host = await new_pair(banter)
        paid = await pay(service_url, payer, 100, host, 60)
        await hold_or_lose(service_url, host, lose=40, hold=15)
        answer = await refund(banter, admin, payer, paid)
        assert answer.taken_back == 5
        assert (await wallet_of(banter, host)).earnings == wallet_pb2.Balance(held=15)
        moved = await legs(service_url, answer.transaction.transaction_id)
        assert moved == {(payer, "coins"): 100, (host, "earnings"): -5, (payer, "platform_revenue"): -95}

    async def test_a_host_without_a_part_gives_nothing(self, banter: Running, admin: str, service_url: str) -> None:
        payer, host = await new_pair(banter)
        paid = await pay(service_url, payer, 100, host, 0)
        answer = await refund(banter, admin, payer, paid)
        assert await legs(service_url, answer.transaction.transaction_id) == {
            (payer, "coins"): 100,
            (payer, "platform_revenue"): -100,
        }

    async def test_a_subscription_comes_back_from_the_platform(
        self, banter: Running, admin: str, service_url: str
    ) -> None:
        payer = (await banter.new_user()).user_id
        paid = await pay(service_url, payer, 80, kind="subscription")
        answer = await refund(banter, admin, payer, paid, 30)
        assert (answer.refunded, answer.taken_back, answer.transaction.balance_after) == (30, 0, 50)

    async def test_a_purchase_goes_back_to_the_provider_as_far_as_it_is_there(
        self, banter: Running, admin: str, service_url: str
    ) -> None:
        payer, host = await new_pair(banter)
        bought = (await credit(banter, payer, 250)).transaction.transaction_id
        await pay(service_url, payer, 200, host, 120)
        failure = await refused(refund(banter, admin, payer, bought))
        assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PURCHASE_SPENT")
        assert failure.metadata["available"] == "150" and "150" in failure.message
        answer = await refund(banter, admin, payer, bought, 150)
        assert (answer.transaction.amount, answer.transaction.balance_after, answer.refunded) == (-150, 0, 150)
        moved = await legs(service_url, answer.transaction.transaction_id)
        assert moved == {(payer, "coins"): -150, (payer, "payment_provider"): 150}

    @pytest.mark.parametrize(
        "reason",
        [
            "USER_NOT_FOUND",
            "TRANSACTION_NOT_FOUND",
            "WALLET_OWN",
            "REQUEST_ID_REUSED",
            "TRANSACTION_NOT_REFUNDABLE",
            "TRANSACTION_REFUNDED",
            "REFUND_TOO_LARGE",
        ],
    )
    async def test_it_is_refused_with_its_reason_and_changes_nothing(
        self, banter: Running, admin: str, service_url: str, reason: str
    ) -> None:
        payer, host = await new_pair(banter)
        user, paid, coins, request_id = payer, await pay(service_url, payer, 50, host, 30), None, str(uuid.uuid4())
        match reason:
            case "USER_NOT_FOUND":
                user = str(uuid.uuid4())
            case "TRANSACTION_NOT_FOUND":
                user = host  # whom it is not about
            case "WALLET_OWN":
                user = admin.upper()
            case "REQUEST_ID_REUSED":
                await refund(banter, admin, payer, paid, 20, request_id)
            case "TRANSACTION_NOT_REFUNDABLE":
                paid = money.transaction_id("signup", payer)
            case "TRANSACTION_REFUNDED":
                await refund(banter, admin, payer, paid)
            case _:
                await refund(banter, admin, payer, paid, 20)
                coins = 31
        before = await have(banter, payer, host)
        asked = [refund(banter, admin, user, paid, coins, request_id) for _ in range(2)]
        first, again = [await refused(call) for call in asked]
        code = REFUSED.get(reason, grpc.StatusCode.FAILED_PRECONDITION)
        assert (first.code, first.reason) == (code, reason)
        assert (again.reason, again.message) == (first.reason, first.message)
        assert await have(banter, payer, host) == before

    async def test_nobody_who_was_erased_is_refunded_and_what_was_said_of_him_is_gone(
        self, banter: Running, admin: str, service_url: str
    ) -> None:
        payer, host = await new_pair(banter)
        paid = await pay(service_url, payer, 50, host, 30)
        await refund(banter, admin, payer, paid, 20)
        erased = dict.fromkeys(("phone_number", "country_code", "full_name", "timezone"))
        assert await notes(service_url, payer) == ["not what was meant"]
        await banter.set_columns(payer, **erased, is_active=False, delete_time="2026-01-01")
        failure = await refused(refund(banter, admin, payer, paid))
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")
        assert await notes(service_url, payer) == []

    async def test_a_key_that_has_expired_moves_nothing_twice(
        self, banter: Running, admin: str, service_url: str, move_clock: Callable[[float], None]
    ) -> None:
        payer, host = await new_pair(banter)
        paid, request_id = await pay(service_url, payer, 50, host, 30), str(uuid.uuid4())
        first = await refund(banter, admin, payer, paid, 20, request_id)
        move_clock(31 * 86400)
        async with await psycopg.AsyncConnection.connect(service_url, autocommit=True) as connection:
            await connection.execute("SELECT purge_idempotency_keys(1000000)")
        assert await refund(banter, admin, payer, paid, 20, request_id) == first
        another = await pay(service_url, payer, 20, host, 12)
        for other in (
            refund(banter, admin, payer, paid, 21, request_id),
            refund(banter, admin, payer, another, 20, request_id),
            refund(banter, admin, host, paid, 20, request_id),
            adjust(banter, admin, payer, 20, request_id=request_id),
        ):
            assert (await refused(other)).reason == "REQUEST_ID_REUSED"
        assert await have(banter, payer, host) == (50, 30)

    async def test_fifty_identical_ones_at_once_refund_once_and_answer_alike(
        self, banter: Running, admin: str, service_url: str
    ) -> None:
        payer, host = await new_pair(banter)
        paid, request_id = await pay(service_url, payer, 50, host, 30), str(uuid.uuid4())
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(refund(banter, admin, payer, paid, 20, request_id) for _ in range(50)))
        assert all(answer == answers[0] for answer in answers)
        assert await have(banter, payer, host) == (70, 18)

    async def test_fifty_identical_ones_at_once_are_refused_alike(
        self, banter: Running, admin: str, service_url: str
    ) -> None:
        payer, host = await new_pair(banter)
        paid, request_id = await pay(service_url, payer, 50, host, 30), str(uuid.uuid4())
        async with asyncio.timeout(30):
            answers = await asyncio.gather(
                *(refund(banter, admin, payer, paid, 51, request_id) for _ in range(50)), return_exceptions=True
            )
        assert {failure_of(answer).reason for answer in answers} == {"REFUND_TOO_LARGE"}  # type: ignore[arg-type]
        assert len({failure_of(answer).message for answer in answers}) == 1  # type: ignore[arg-type]


async def hold_or_lose(service_url: str, host: str, *, lose: int, hold: int) -> None:
    """Some of a host's earnings are taken, and some held, as a withdrawal would."""
    async with await psycopg.AsyncConnection.connect(service_url) as connection:
        await connection.execute("SELECT FROM wallets WHERE user_id = %s FOR NO KEY UPDATE", [host])
        await connection.execute(
            "SELECT post(gen_random_uuid(), 'withdrawal', %(host)s, NULL, %(host)s, ARRAY["
            "(%(host)s, 'earnings', -%(coins)s::bigint, 0)::leg, (%(host)s, 'payouts', %(coins)s::bigint, 0)::leg])",
            {"host": host, "coins": lose},
        )
        await connection.execute(
            "UPDATE wallets SET available = available - %s, held = held + %s WHERE user_id = %s AND kind = 'earnings'",
            [hold, hold, host],
        )


async def notes(service_url: str, user_id: str) -> list[str]:
    """What staff said of a user's transactions."""
    async with await psycopg.AsyncConnection.connect(service_url) as connection:
        rows = await connection.execute("SELECT note FROM transaction_notes WHERE user_id = %s", [user_id])
        return [note for (note,) in await rows.fetchall()]
