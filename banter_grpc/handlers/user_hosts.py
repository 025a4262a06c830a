"""UserService: how a user becomes a host, what he asks for a minute, and how he is found."""

from __future__ import annotations

from typing import Final, cast

from banter.v1 import user_pb2

from banter_grpc import ids, values
from banter_grpc.database.database import Database
from banter_grpc.database.queries import user as user_queries
from banter_grpc.database.queries import user_hosts as queries
from banter_grpc.encoding import HOST_STATUS, encode_user
from banter_grpc.errors import user as user_errors
from banter_grpc.errors import user_hosts as errors
from banter_grpc.pages import Cursor, Pages
from banter_grpc.rpc.caller import Caller

_TOP: Final = (2**62, ids.LAST_ID)
_BOTTOM: Final = (-1, ids.FIRST_ID)
"""Places before the first host of a part of the list, and after the last: a rating, and an id."""


class UserHostsHandler:
    """Answers the calls of UserService that are about hosts. `rates` are what they may ask for, beside 0."""

    def __init__(self, database: Database, pages: Pages, *, rates: range) -> None:
        self._database = database
        self._pages = pages
        self._rates = rates

    async def RequestHostVerification(  # noqa: N802
        self, request: user_pb2.RequestHostVerificationRequest, caller: Caller
    ) -> user_pb2.RequestHostVerificationResponse:
        """Behind the user's lock one pending request is made, or found."""
        user_id = caller.user
        before, _, _, verification = await self._database.run(
            queries.lock_host_status(user_id=user_id),
            queries.insert_host_verification(user_id=user_id, verification_id=ids.new_id(), note=request.note or None),
            queries.update_host_status(user_id=user_id),
            queries.get_newest_host_verification(user_id=user_id),
            key=user_id,
        )
        if before is None:
            raise user_errors.user_not_found(user_id)
        if before.host_status == "approved" or verification is None:
            raise errors.host_already_approved()
        return user_pb2.RequestHostVerificationResponse(verification=_encode_verification(verification))

    async def ReviewHostVerification(  # noqa: N802
        self, request: user_pb2.ReviewHostVerificationRequest, caller: Caller
    ) -> user_pb2.ReviewHostVerificationResponse:
        """Behind the user's lock the first decision is made; whoever comes later finds it, and agrees or is refused."""
        user_id, decision = request.user_id.lower(), HOST_STATUS.text(request.decision)
        assert decision is not None, "the contract's rules name the two that there are"
        if user_id == caller.user_id:
            raise errors.host_verification_own()
        before, _, _, _, verification = await self._database.run(
            queries.lock_host_status(user_id=user_id),
            queries.review_host_verification(
                user_id=user_id, decision=decision, reviewer_id=caller.user, note=request.note or None
            ),
            queries.update_host_status(user_id=user_id),
            queries.insert_host(user_id=user_id),
            queries.get_newest_host_verification(user_id=user_id),
            key=user_id,
        )
        if before is None:
            raise user_errors.user_not_found(user_id)
        if verification is None or verification.status != decision:
            raise errors.host_verification_not_pending(user_id)
        return user_pb2.ReviewHostVerificationResponse(verification=_encode_verification(verification))

    async def SetHostRates(  # noqa: N802
        self, request: user_pb2.SetHostRatesRequest, caller: Caller
    ) -> user_pb2.SetHostRatesResponse:
        """The rates change if he is a host; the next statement reads him as he now is."""
        for field, rate in (("audio_rate", request.audio_rate), ("video_rate", request.video_rate)):
            if rate and rate not in self._rates:
                raise errors.host_rate_out_of_range(field, self._rates[0], self._rates[-1])
        changed, user = await self._database.run(
            queries.set_host_rates(
                user_id=request.user_id,
                audio_rate=request.audio_rate if request.HasField("audio_rate") else None,
                video_rate=request.video_rate if request.HasField("video_rate") else None,
            ),
            user_queries.get_user(user_id=request.user_id),
            key=request.user_id,
        )
        if user is None or user.delete_time is not None:
            raise user_errors.user_not_found(request.user_id)
        if not changed:
            raise errors.host_not_approved(request.user_id)
        return user_pb2.SetHostRatesResponse(user=encode_user(user, caller))

    async def ListHosts(  # noqa: N802
        self, request: user_pb2.ListHostsRequest, caller: Caller
    ) -> user_pb2.ListHostsResponse:
        """One statement fills the page with who is online, and what is left of it with the others."""
        page = self._pages.open(request, caller.actor_id, (0, *_TOP, *_TOP))
        as_of, online_rating, online_id, other_rating, other_id = cast("_Place", tuple(page.cursor))
        rows = await self._database.run(
            queries.list_hosts(
                as_of=as_of,
                online_rating=online_rating,
                online_id=online_id,
                other_rating=other_rating,
                other_id=other_id,
                page_limit=page.limit,
            )
        )
        hosts, token = page.cut(rows, _place)
        return user_pb2.ListHostsResponse(hosts=[encode_user(row, caller) for row in hosts], next_page_token=token)


_Place = tuple[int, int, str, int, str]
"""Time of the walk's first page, and how far it has come in each of the list's two parts."""


def _place(row: queries.ListHostsRow) -> Cursor:
    here = (row.listed_rating, row.user_id)
    return (row.as_of, *here, *_TOP) if row.listed_online else (row.as_of, *_BOTTOM, *here)


def _encode_verification(row: queries.GetNewestHostVerificationRow) -> user_pb2.HostVerification:
    verification = user_pb2.HostVerification(
        user_id=row.user_id,
        verification_id=row.id,
        status=HOST_STATUS.number(row.status),
        note=row.note,
        reviewer_id=row.reviewer_id,
        review_note=row.review_note,
    )
    values.set_timestamp(verification.create_time, row.create_time)
    if row.review_time is not None:
        values.set_timestamp(verification.review_time, row.review_time)
    return verification
