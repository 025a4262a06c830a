"""UserService: finding people by name."""

from __future__ import annotations

from typing import Final

from banter.v1 import user_pb2

from banter_grpc.database.database import Database
from banter_grpc.database.queries import user_search as queries
from banter_grpc.encoding import encode_user
from banter_grpc.ids import FIRST_ID
from banter_grpc.pages import Pages
from banter_grpc.rpc.caller import Caller

_FIRST: Final = ("", "", FIRST_ID)
"""Which word of the query is sought is not known; before every word and id."""


class UserSearchHandler:
    """Answers SearchUsers."""

    def __init__(self, database: Database, pages: Pages) -> None:
        self._database = database
        self._pages = pages

    async def SearchUsers(  # noqa: N802
        self, request: user_pb2.SearchUsersRequest, caller: Caller
    ) -> user_pb2.SearchUsersResponse:
        """The database splits the query as it split the names."""
        page = self._pages.open(request, caller.actor_id, _FIRST)
        sought, word, user_id = page.cursor
        rows = await self._database.run(
            queries.search_users(
                query=request.query,
                sought=str(sought),
                after_word=str(word),
                after_id=str(user_id),
                page_limit=page.limit,
            )
        )
        goes_on = bool(rows) and rows[-1].is_enough
        shown, token = page.cut(rows, lambda row: (row.sought, row.word, row.user_id), goes_on=goes_on)
        users = [encode_user(row, caller) for row in shown if row.is_found]
        return user_pb2.SearchUsersResponse(users=users, next_page_token=token)
