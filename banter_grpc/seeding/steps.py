"""What is made: one step per table. A new table's step is a function from a person to his rows, and a line here.

Every time is drawn from the seed, and so in the past: nobody is online before his first heartbeat. That is also why
nobody has activities, which no database keeps for longer than 13 months, and why no notification was ever read: a job
deletes those that were, and the next run would bring them back.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from banter_grpc import money
from banter_grpc.seeding.people import MODERATOR, Person, between, id_of, person
from banter_grpc.seeding.words import HOST_NOTES, NOTICES, REVIEW_NOTES

COINS: Final = 10_000
"""What people have whom others type."""

Row = Sequence[object]


class Step(NamedTuple):
    """The rows of a table. Ids in them come from `Person.draws`, so that the same rows come of the same seed."""

    table: str
    columns: Sequence[str]
    rows: Callable[[Person], Iterable[Row]]
    owners: Sequence[str] = ("user_id",)
    """The columns that name people: rows of somebody who is not there any more are left out."""


class Verification(NamedTuple):
    """Somebody's request to become a host, with the columns of `host_verifications`."""

    user_id: str
    id: str
    status: str
    note: str | None
    reviewer_id: str | None
    review_note: str | None
    create_time: dt.datetime
    review_time: dt.datetime | None


_COLUMNS: Final = tuple(name for name in Person._fields if name not in ("seed", "number"))


def verifications(of: Person) -> Iterator[Verification]:
    """What somebody asked, and what came of it, up to his host status; some were refused before."""
    if of.host_status == "none":
        return
    draws = of.draws("host_verifications")
    asked, refused_before = between(draws, of.create_time, of.update_time), draws.happens(15)
    note = draws.one_of(HOST_NOTES) if draws.happens(50) else None
    if refused_before:
        earlier = between(draws, of.create_time, asked)
        yield _reviewed(of, "rejected", id_of(draws, earlier), None, earlier, between(draws, earlier, asked))
    made = id_of(draws, asked)
    if of.host_status == "pending":
        yield Verification(of.id, made, "pending", note, None, None, asked, None)
    else:
        yield _reviewed(of, of.host_status, made, note, asked, between(draws, asked, of.update_time))


def _reviewed(
    of: Person, status: str, id_: str, note: str | None, asked: dt.datetime, reviewed: dt.datetime
) -> Verification:
    reason = REVIEW_NOTES[of.number % len(REVIEW_NOTES)] if status == "rejected" else None
    return Verification(of.id, id_, status, note, person(of.seed, MODERATOR).id, reason, asked, reviewed)


def grants(people: Iterable[Person]) -> Iterator[tuple[str, str, int]]:
    """Coins to play with, as (transaction, user, coins): as if they had been given as people signed up."""
    for each in people:
        if each.is_typed:
            yield money.transaction_id("signup", each.id), each.id, COINS


def _users(of: Person) -> Iterable[Row]:
    yield of[2:]


def _presence(of: Person) -> Iterable[Row]:
    draws = of.draws("presence")
    if draws.happens(90):
        yield of.id, between(draws, of.update_time, of.update_time + dt.timedelta(days=60))


def _hosts(of: Person) -> Iterable[Row]:
    if of.host_status != "approved":
        return
    draws, *_, last = of.draws("hosts"), *verifications(of)
    ratings = min(draws.below(500), draws.below(500))  # few have many
    yield of.id, ratings * (300 + draws.below(201)) // 100, ratings, False, last.review_time


def _notifications(of: Person) -> Iterable[Row]:
    draws = of.draws("notifications")
    if not draws.happens(30) and not of.is_typed:
        return
    for _ in range(1 + draws.below(3)):
        notice, sent = draws.one_of(NOTICES), between(draws, of.create_time, of.update_time)
        yield of.id, id_of(draws, sent), *notice, "{}", sent


STEPS: Final = (
    Step("users", _COLUMNS, _users, owners=()),
    Step("presence", ("user_id", "last_seen"), _presence),
    Step("hosts", ("user_id", "rating_sum", "rating_count", "seen_lately", "create_time"), _hosts),
    Step("host_verifications", Verification._fields, verifications, owners=("user_id", "reviewer_id")),
    Step("notifications", ("user_id", "id", "type", "title", "body", "data", "create_time"), _notifications),
)
"""In the order in which their tables refer to each other."""
