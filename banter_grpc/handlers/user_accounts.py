"""UserService: accounts as staff see them, and how one is found, taken out of use and brought back."""

from __future__ import annotations

from collections import Counter
from typing import Final

from banter.v1 import options_pb2, user_pb2

from banter_grpc import ids, values
from banter_grpc.database.database import Database
from banter_grpc.database.queries import user as user_queries
from banter_grpc.database.queries import user_accounts as queries
from banter_grpc.database.statement import Step
from banter_grpc.encoding import HOST_STATUS, ROLE, STATE, Profile, encode_user
from banter_grpc.errors import user as user_errors
from banter_grpc.errors import user_accounts as errors
from banter_grpc.pages import Pages
from banter_grpc.rpc.caller import Caller

_BELOW_STAFF: Final = ("user",)
_ALL_ROLES: Final = ("user", "moderator", "admin")


class UserAccountsHandler:
    """Answers those calls of UserService that are about accounts."""

    def __init__(self, database: Database, pages: Pages) -> None:
        self._database = database
        self._pages = pages

    async def LookupUser(  # noqa: N802
        self, request: user_pb2.LookupUserRequest, caller: Caller
    ) -> user_pb2.LookupUserResponse:
        """One row by one of its unique columns."""
        key = request.WhichOneof("key")
        assert key is not None, "the contract requires it"
        if key != "username" and not (caller.is_staff or caller.is_service):
            raise errors.lookup_not_admitted(key)
        user: Profile | None
        if key == "username":
            user = await self._database.run(queries.get_user_by_username(username=request.username))
        elif key == "firebase_uid":
            user = await self._database.run(queries.get_user_by_firebase_uid(firebase_uid=request.firebase_uid))
        else:
            country_code = request.country_code or values.DEFAULT_COUNTRY_CODE
            phone = values.parse_phone_number(request.phone_number, country_code, field=key)
            user = await self._database.run(user_queries.get_user_by_phone_number(phone_number=phone.e164))
        if user is None:
            raise errors.lookup_found_nobody(key)
        return user_pb2.LookupUserResponse(user=encode_user(user, caller))

    async def ListUsers(  # noqa: N802
        self, request: user_pb2.ListUsersRequest, caller: Caller
    ) -> user_pb2.ListUsersResponse:
        """A filter that is not set becomes all the values that there are, so that one statement serves every list."""
        from_time, until_time = values.created_within(request)
        page = self._pages.open(request, caller.actor_id, (until_time, ids.FIRST_ID))
        before_time, before_id = page.cursor
        rows = await self._database.run(
            queries.list_users(
                roles=ROLE.texts(request.roles),
                host_statuses=HOST_STATUS.texts(request.host_statuses),
                states=STATE.texts(request.states),
                from_time=from_time,
                before_time=int(before_time),
                before_id=str(before_id),
                skip=request.skip,
                page_limit=page.limit,
            )
        )
        shown, token = page.cut(rows, lambda row: (row.create_time, row.user_id))
        return user_pb2.ListUsersResponse(users=[encode_user(row, caller) for row in shown], next_page_token=token)

    async def GetUserStats(  # noqa: N802
        self, _request: user_pb2.GetUserStatsRequest, _caller: Caller
    ) -> user_pb2.GetUserStatsResponse:
        """The database counts each combination, of which there are few; here they are added up."""
        rows, premium = await self._database.run(queries.count_users(), queries.count_premium_users())
        states, roles, host_statuses = Counter[str](), Counter[str](), Counter[str]()
        for row in rows:
            states[row.account_state] += row.users_counted
            if row.account_state != "deleted":
                roles[row.role] += row.users_counted
                host_statuses[row.host_status] += row.users_counted
        return user_pb2.GetUserStatsResponse(
            total_count=states.total(),
            premium_count=premium.users_counted if premium else 0,
            state_counts=[
                user_pb2.UserStateCount(state=STATE.number(text), count=states[text]) for text in STATE.texts()
            ],
            role_counts=[user_pb2.UserRoleCount(role=ROLE.number(text), count=roles[text]) for text in ROLE.texts()],
            host_status_counts=[
                user_pb2.HostStatusCount(host_status=HOST_STATUS.number(text), count=host_statuses[text])
                for text in HOST_STATUS.texts()
            ],
        )

    async def DeactivateUser(  # noqa: N802
        self, request: user_pb2.DeactivateUserRequest, caller: Caller
    ) -> user_pb2.DeactivateUserResponse:
        """The statement itself decides whether the caller may, by the role that the user has at that moment."""
        deactivate = queries.deactivate_user(user_id=request.user_id, roles=_roles_below(caller), actor_id=caller.actor)
        return user_pb2.DeactivateUserResponse(user=await self._changed(deactivate, request.user_id, caller))

    async def ReactivateUser(  # noqa: N802
        self, request: user_pb2.ReactivateUserRequest, caller: Caller
    ) -> user_pb2.ReactivateUserResponse:
        """As DeactivateUser, the other way round."""
        reactivate = queries.reactivate_user(user_id=request.user_id, roles=_roles_below(caller), actor_id=caller.actor)
        return user_pb2.ReactivateUserResponse(user=await self._changed(reactivate, request.user_id, caller))

    async def _changed(self, change: Step[int], user_id: str, caller: Caller) -> user_pb2.User:
        """The user after a change that is counted if the caller's rank allows it."""
        changed, user = await self._database.run(change, user_queries.get_user(user_id=user_id), key=user_id)
        if user is None or user.delete_time is not None:
            raise user_errors.user_not_found(user_id)
        if not changed:
            raise errors.rank_too_low(user_id)
        return encode_user(user, caller)


def _roles_below(caller: Caller) -> tuple[str, ...]:
    """The roles whose accounts the caller may take out of use and bring back, beside his own."""
    if caller.is_service or options_pb2.CALLER_KIND_ADMIN in caller.kinds:
        return _ALL_ROLES
    return _BELOW_STAFF if caller.is_staff else ()
