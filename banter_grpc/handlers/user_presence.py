"""UserService: presence."""

from __future__ import annotations

from typing import Final

from banter.v1 import user_pb2
from google.protobuf.duration_pb2 import Duration

from banter_grpc.database.database import Database
from banter_grpc.database.queries import user_presence as queries
from banter_grpc.rpc.caller import Caller

_INTERVAL: Final = 20
"""Seconds between two heartbeats: so that one of three may be lost before the view `profiles` shows a user offline."""


class UserPresenceHandler:
    """Answers the calls of UserService that are about presence."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def Heartbeat(  # noqa: N802
        self, _: user_pb2.HeartbeatRequest, caller: Caller
    ) -> user_pb2.HeartbeatResponse:
        """One row at most once in the interval, however often it is called."""
        await self._database.run(
            queries.insert_heartbeat(user_id=caller.user, seconds=_INTERVAL),
            queries.mark_host_seen(user_id=caller.user),
            key=caller.user,
        )
        return user_pb2.HeartbeatResponse(interval=Duration(seconds=_INTERVAL))
