"""UserService: what users do, and how often."""

from __future__ import annotations

import time
from datetime import date
from typing import Final

from banter.v1 import user_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from banter_grpc import ids, structs
from banter_grpc.database.database import Database
from banter_grpc.database.queries import user_activity as queries
from banter_grpc.errors import user as user_errors
from banter_grpc.errors import user_activity as errors
from banter_grpc.pages import Pages
from banter_grpc.rpc.caller import Caller

_OLDEST: Final = 30 * 86_400 * 1_000_000
"""How long ago an activity may be, in microseconds: its partition still is there, and its replays are found."""
_AHEAD: Final = 5 * 60 * 1_000_000
_MOST_DAYS: Final = 400


class UserActivityHandler:
    """Answers the calls of UserService that are about activities."""

    def __init__(self, database: Database, pages: Pages) -> None:
        self._database = database
        self._pages = pages

    async def RecordActivities(  # noqa: N802
        self, request: user_pb2.RecordActivitiesRequest, caller: Caller
    ) -> user_pb2.RecordActivitiesResponse:
        """One statement inserts and tallies; ids made of the request's id keep a replay from doing it again."""
        new = request.activities
        user = await self._database.run(
            queries.record_activities(
                user_id=request.user_id,
                ids=[_id(caller, request.request_id, number) for number in range(len(new))],
                occur_times=_occur_times(request),
                types=[each.type for each in new],
                data=[structs.to_json(each.data, field=f"activities[{n}].data") for n, each in enumerate(new)],
                tally_id=ids.new_id(),
            ),
            key=request.user_id,
        )
        if user is None:
            raise user_errors.user_not_found(request.user_id)
        return user_pb2.RecordActivitiesResponse()

    async def GetActivityStats(  # noqa: N802
        self, request: user_pb2.GetActivityStatsRequest, caller: Caller
    ) -> user_pb2.GetActivityStatsResponse:
        """A page of sums; the type before all types is empty."""
        first, last = _days(request)
        page = self._pages.open(request, caller.actor_id, (first, ""))
        after_day, after_type = page.cursor
        rows = await self._database.run(
            queries.get_activity_stats(
                after_day=str(after_day), after_type=str(after_type), last_day=last, at_most=page.limit
            )
        )
        shown, token = page.cut(rows, lambda row: (row.day, row.type))
        counts = [
            user_pb2.ActivityCount(date=row.day, type=row.type, activity_count=row.activity_count) for row in shown
        ]
        return user_pb2.GetActivityStatsResponse(counts=counts, next_page_token=token)


def _id(caller: Caller, request_id: str, number: int) -> str:
    return ids.derived_id(caller.actor_id, request_id, "RecordActivities", number) or ids.new_id()


def _occur_times(request: user_pb2.RecordActivitiesRequest) -> list[int]:
    """Microseconds since 1970-01-01 UTC; raises `Refusal` (OCCUR_TIME_INVALID)."""
    now = time.time_ns() // 1000
    return [_micros(each.occur_time, now, number) for number, each in enumerate(request.activities)]


def _micros(at: Timestamp, now: int, number: int) -> int:
    micros = at.seconds * 1_000_000 + at.nanos // 1000
    if not (now - _OLDEST <= micros <= now + _AHEAD and 0 <= at.nanos < 1_000_000_000):
        raise errors.occur_time_invalid(f"activities[{number}].occur_time")
    return micros


def _days(request: user_pb2.GetActivityStatsRequest) -> tuple[str, str]:
    """The first and the last day; raises `Refusal` (DATE_RANGE_INVALID)."""
    try:
        first = date.fromisoformat(request.start_date)
    except ValueError:
        raise errors.date_range_invalid("start_date") from None
    try:
        last = date.fromisoformat(request.end_date)
    except ValueError:
        raise errors.date_range_invalid("end_date") from None
    if not 0 <= (last - first).days < _MOST_DAYS:
        raise errors.date_range_invalid("end_date")
    return request.start_date, request.end_date
