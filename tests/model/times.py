"""Time in the books: microseconds since 1970, known while a test's clock stands still, else told by answers."""

from __future__ import annotations

import calendar
import datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from tests.model.books import Books

HOUR: Final = 3600 * 10**6
DAY: Final = 24 * HOUR


def now(books: Books) -> int | None:
    """What the clock says; None if it runs."""
    return books.get("now")


def stamp(books: Books, told: Timestamp) -> Timestamp:
    """The time of what happens now: the clock's, whatever an answer told, or else that."""
    at = now(books)
    return told if at is None else timestamp(at)


def timestamp(micros: int) -> Timestamp:
    """A time as the contract has it."""
    made = Timestamp()
    made.FromMicroseconds(micros)
    return made


def later(micros: int, months: int) -> int:
    """So many months later, in UTC: on the last day of a month that has no such day."""
    at = timestamp(micros).ToDatetime(datetime.UTC)
    year, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    day = min(at.day, calendar.monthrange(year, month + 1)[1])
    made = Timestamp()
    made.FromDatetime(at.replace(year=year, month=month + 1, day=day))
    return made.ToMicroseconds()
