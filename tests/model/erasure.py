"""Users who are erased, and what they leave behind."""

from __future__ import annotations

from typing import Final

from banter.v1 import user_pb2
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from banter_grpc import money
from tests.model.books import Books, Leg
from tests.model.calls import Call, Operation, Outcome, Seen
from tests.model.choices import Choose
from tests.model.requests import NOBODY, no_other, promised
from tests.model.times import stamp
from tests.model.withdrawals import forget_details

_MOST_GONE: Final = 3
"""A long walk would soon be among the dead."""


def forfeit_of(user: str) -> str:
    """The transaction that takes what a user leaves. No answer names it: its id follows from whom it is about."""
    return money.transaction_id("forfeit", user)


def _draw_delete(choose: Choose, seen: Seen) -> Call | None:
    """Somebody who is not the last of hosts or admins, a host who keeps his earnings, or who was erased before."""
    customers, hosts, admins = (
        [user for user in kind if user not in seen.gone] for kind in (seen.customers, seen.hosts, seen.admins)
    )
    spare = customers + hosts * (len(hosts) > 1) + admins * (len(admins) > 1) if len(seen.gone) < _MOST_GONE else []
    user = choose([*spare, *hosts, *seen.gone, NOBODY])
    request = user_pb2.DeleteUserRequest(user_id=user, forfeit_balance=user in spare and choose([False, True]))
    return Call.of("DeleteUser", choose(["", *seen.admins, *([user] if user != NOBODY else [])]), request)


def _delete_user(books: Books, call: Call, named: Message) -> Outcome:
    """An answer that was lost has not told when; the next one does."""
    user, told = call.request.user_id, stamp(books, named.delete_time).SerializeToString()
    if books.lives(user):
        reason = _hindrance(books, call.request)
        if reason:
            return Outcome.refused(reason)
        _erase(books, user)
    elif books.get("user", user) is None:
        return Outcome.refused("USER_NOT_FOUND")
    if not books.get("gone", user):
        books.put(told, "gone", user)
    return Outcome.of(user_pb2.DeleteUserResponse(delete_time=Timestamp.FromString(books.get("gone", user))))


def _hindrance(books: Books, request: Message) -> str:
    """Why somebody who lives stays; no call of the model's holds coins."""
    earnings = books.wallet(request.user_id, "earnings")
    if earnings.held:
        return "WITHDRAWAL_OPEN"
    return "EARNINGS_LEFT" if earnings.available and not request.forfeit_balance else ""


def _erase(books: Books, user: str) -> None:
    """All that he has is the platform's, and his phone number anybody's: but it had its grant."""
    coins, earnings = books.wallet(user, "coins").available, books.wallet(user, "earnings").available
    if coins + earnings:
        legs = [Leg(user, "coins", -coins), Leg(user, "earnings", -earnings)]
        books.post(forfeit_of(user), "forfeit", user, *legs, Leg(user, "platform_revenue", coins + earnings))
    forget_details(books, user)
    for key, owner in books.of("phone"):
        if owner == user:
            books.put(None, "phone", *key)
    books.put(False, "user", user)


OPERATIONS: Final = (
    Operation("DeleteUser", _draw_delete, _delete_user, no_other, promised("DeleteUser", "CALL_LIVE")),
)
