"""Every RPC that has pages, with what makes rows for it, so that the tests of paging can walk each of them."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from banter.v1 import options_pb2, user_pb2, wallet_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from tests.support import contract
from tests.support.harness import Metadata, Running
from tests.support.money import award, credit, new_withdrawal
from tests.support.paging import PAGING, ROWS, Subject
from tests.support.requests import unprepared

PAGE_SIZE, PAGE_SIZE_MAX = 4, 6
"""Settings of the server that lists are tested on: small, so that few rows make many pages."""


@dataclass(frozen=True)
class Listing:
    """How a list gets rows. It has a database of its own, in which nobody else works.

    The request is that of `tests/support/requests.py`, and has to find the rows that `add` makes.
    """

    add: Callable[[Running, str, int], Awaitable[object]]
    """Adds so many rows to what the user of an id lists."""
    expected: Callable[[Running, str], Awaitable[list[str]]]
    """The ids of all of his rows, in the order that the contract promises; see `ids`."""
    id_of: Callable[[Any], str]
    """The id of a row in the response."""
    other: Callable[[str], Message] | None = None
    """A request with other arguments; needed where there are any beside `user_id` and the page's own."""


async def _new_users(banter: Running, _user_id: str, count: int) -> None:
    for _ in range(count):
        await banter.new_user()


async def _new_hosts(banter: Running, _user_id: str, count: int) -> None:
    for _ in range(count):
        user_id = (await banter.new_user(host_status="approved")).user_id
        await banter.execute("INSERT INTO hosts (user_id, create_time) VALUES (%s, clock())", user_id)


async def _new_counts(banter: Running, _user_id: str, count: int) -> None:
    await banter.execute(
        "INSERT INTO activity_totals (day, type, count)"
        " SELECT '2026-02-01', 'test.' || (SELECT count(*) FROM activity_totals) + n, 1"
        " FROM generate_series(1, %s) AS n",
        count,
    )


async def _new_bonuses(banter: Running, user_id: str, count: int) -> None:
    await banter.set_columns(user_id, host_status="approved")
    for _ in range(count):
        await award(banter, user_id, 1000, rule=f"r{uuid.uuid4().hex}")


async def _new_purchases(banter: Running, user_id: str, count: int) -> None:
    for _ in range(count):
        await credit(banter, user_id, 10)


async def _new_withdrawals(banter: Running, user_id: str, count: int) -> None:
    await _new_bonuses(banter, user_id, count)
    for _ in range(count):
        await new_withdrawal(banter, user_id)


LISTS: dict[str, Listing] = {
    "banter.v1.UserService.ListUsers": Listing(
        add=_new_users,
        expected=lambda banter, _: ids(banter, "SELECT id FROM users ORDER BY create_time DESC, id DESC"),
        id_of=lambda user: user.user_id,
        other=lambda _: user_pb2.ListUsersRequest(roles=[user_pb2.USER_ROLE_USER]),
    ),
    "banter.v1.UserService.SearchUsers": Listing(
        add=_new_users,
        expected=lambda banter, _: ids(banter, "SELECT id FROM users WHERE full_name = 'Asha Rao' ORDER BY id"),
        id_of=lambda user: user.user_id,
        other=lambda _: user_pb2.SearchUsersRequest(query="asha"),
    ),
    "banter.v1.UserService.ListHosts": Listing(
        add=_new_hosts,
        expected=lambda banter, _: ids(banter, "SELECT user_id FROM hosts ORDER BY rating DESC, user_id DESC"),
        id_of=lambda user: user.user_id,
    ),
    "banter.v1.UserService.ListNotifications": Listing(
        add=lambda banter, user_id, count: banter.users.SendNotifications(
            user_pb2.SendNotificationsRequest(
                notifications=[user_pb2.NewNotification(user_id=user_id, type="test.ping", title="Hello")] * count,
                request_id=str(uuid.uuid4()),
            ),
            metadata=banter.as_service,
        ),
        expected=lambda banter, user_id: ids(
            banter, "SELECT id FROM notifications WHERE user_id = %s ORDER BY id DESC", user_id
        ),
        id_of=lambda notification: notification.notification_id,
        other=lambda _: user_pb2.ListNotificationsRequest(unread_only=False),
    ),
    "banter.v1.UserService.GetActivityStats": Listing(
        add=_new_counts,
        expected=lambda banter, _: ids(
            banter, "SELECT day || '/' || type FROM activity_totals ORDER BY day, type COLLATE \"C\""
        ),
        id_of=lambda count: f"{count.date}/{count.type}",
        other=lambda _: user_pb2.GetActivityStatsRequest(start_date="2026-01-02", end_date="2026-12-31"),
    ),
    "banter.v1.WalletService.ListWithdrawals": Listing(
        add=_new_withdrawals,
        expected=lambda banter, user_id: ids(
            banter, "SELECT id FROM withdrawals WHERE user_id = %s ORDER BY create_time DESC, id DESC", user_id
        ),
        id_of=lambda withdrawal: withdrawal.withdrawal_id,
        other=lambda user_id: wallet_pb2.ListWithdrawalsRequest(
            user_id=user_id, status=wallet_pb2.WITHDRAWAL_STATUS_PENDING
        ),
    ),
    "banter.v1.WalletService.ListTransactions": Listing(
        add=_new_purchases,
        expected=lambda banter, user_id: ids(
            banter,
            "SELECT transaction_id FROM entries WHERE user_id = %s AND account = 'coins' ORDER BY version DESC",
            user_id,
        ),
        id_of=lambda transaction: transaction.transaction_id,
        other=lambda user_id: wallet_pb2.ListTransactionsRequest(
            user_id=user_id, wallet=wallet_pb2.WALLET_KIND_EARNINGS
        ),
    ),
    "banter.v1.WalletService.ListEarnings": Listing(
        add=_new_bonuses,
        expected=lambda banter, user_id: ids(
            banter,
            "SELECT transaction_id FROM earnings WHERE user_id = %s ORDER BY create_time DESC, transaction_id DESC",
            user_id,
        ),
        id_of=lambda earning: earning.transaction_id,
    ),
    "banter.v1.WalletService.ListBonuses": Listing(
        add=_new_bonuses,
        expected=lambda banter, user_id: ids(
            banter,
            "SELECT transaction_id FROM host_bonuses WHERE user_id = %s ORDER BY create_time DESC, transaction_id DESC",
            user_id,
        ),
        id_of=lambda bonus: bonus.transaction_id,
    ),
}
"""By the RPC's full name. A new list needs one here."""


async def ids(banter: Running, query: str, *parameters: object) -> list[str]:
    """The first column of a query's rows, asked as the owner."""
    async with await psycopg.AsyncConnection.connect(banter.owner_url, autocommit=True) as connection:
        rows = await connection.execute(query.encode(), parameters)
        return [str(row[0]) for row in await rows.fetchall()]


async def subject_of(banter: Running, method: MethodDescriptor, listing: Listing) -> Subject:
    """The list with rows in it, and two callers whom it admits."""
    callers = [await _caller(banter, method) for _ in range(2)]
    path = f"/{method.containing_service.full_name}/{method.name}"
    answer_type = message_factory.GetMessageClass(method.output_type)

    async def ask(request: Message, who: int) -> Message:
        call = banter.channel.unary_unary(path)
        metadata = tuple(callers[who][1])
        return answer_type.FromString(await call(request.SerializeToString(), metadata=metadata, timeout=30))

    def request(who: int) -> Message:
        made = unprepared(method, callers[who][0])
        for name in PAGING:
            if name in made.DESCRIPTOR.fields_by_name:
                made.ClearField(name)
        return made

    user_id = callers[0][0]
    await listing.add(banter, user_id, ROWS)
    return Subject(
        method,
        ask,
        request,
        listing.other(user_id) if listing.other is not None else None,
        lambda count: _awaited(listing.add(banter, user_id, count)),
        lambda: listing.expected(banter, user_id),
        listing.id_of,
        PAGE_SIZE,
        PAGE_SIZE_MAX,
    )


async def _caller(banter: Running, method: MethodDescriptor) -> tuple[str, Metadata]:
    """A user whom the list is about, and credentials of somebody who may list it."""
    admitted = contract.policy(method).callers
    kinds = {
        options_pb2.CALLER_KIND_USER: "user",
        options_pb2.CALLER_KIND_MODERATOR: "moderator",
        options_pb2.CALLER_KIND_ADMIN: "admin",
    }
    role = next((kinds[kind] for kind in kinds if kind in admitted), None)
    user_id = (await banter.new_user(**({"role": role} if role not in {None, "user"} else {}))).user_id
    if role is not None:
        return user_id, banter.as_user(user_id)
    return user_id, [("authorization", f"Bearer {banter.service_token(f'lister of {user_id}')}")]


async def _awaited(done: Awaitable[object]) -> None:
    await done
