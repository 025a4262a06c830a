"""UserService: what is stored about one person, given to him and erased."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from types import ModuleType
from typing import Final, Protocol

from banter.v1 import user_pb2
from google.protobuf.struct_pb2 import Struct

from banter_grpc import money, values
from banter_grpc.database.database import Database
from banter_grpc.database.queries import user_data as queries
from banter_grpc.database.queries import wallet as wallet_queries
from banter_grpc.database.statement import Step
from banter_grpc.errors import Refusal
from banter_grpc.errors import user as errors
from banter_grpc.rpc.caller import Caller

_PREFIX: Final = "export_"
_CHARACTERS: Final = 200_000
"""How much JSON one message holds, unless a single record is longer: clients refuse messages above 4 MiB."""


class DataRow(Protocol):
    """A row of a table, whatever table that is."""

    @property
    def record(self) -> str: ...


Export = Callable[..., Step[list[DataRow]]]
"""Makes the step that reads what one table holds about the user of `user_id`."""


def exports_of(module: ModuleType) -> Mapping[str, Export]:
    """By the table's name, in the order of their file, the queries that are called ``export_<table>``."""
    return {name.removeprefix(_PREFIX): make for name, make in vars(module).items() if name.startswith(_PREFIX)}


class UserDataHandler:
    """Answers the calls of UserService about all of a person's data. `exports` has the queries of every table."""

    def __init__(self, database: Database, exports: ModuleType = queries) -> None:
        self._database = database
        self._exports = exports_of(exports)

    async def DeleteUser(  # noqa: N802
        self, request: user_pb2.DeleteUserRequest, caller: Caller
    ) -> user_pb2.DeleteUserResponse:
        """Coins are forfeited, the row becomes a tombstone, the schema takes the rest along; then: since when."""
        user_id = request.user_id
        *_, end = await self._database.run(
            wallet_queries.lock_wallet(user_id=user_id, kind="coins"),
            wallet_queries.lock_wallet(user_id=user_id, kind="earnings"),
            wallet_queries.forfeit(
                user_id=user_id,
                forfeit_balance=request.forfeit_balance,
                transaction_id=money.transaction_id("forfeit", user_id.lower()),
                actor_id=caller.actor,
            ),
            queries.delete_user(user_id=user_id),
            queries.get_end(user_id=user_id),
            key=user_id,
        )
        if end is None:
            raise errors.user_not_found(user_id)
        if end.delete_time is None:
            raise _hindrance(end)
        response = user_pb2.DeleteUserResponse()
        values.set_timestamp(response.delete_time, end.delete_time)
        return response

    async def ExportUserData(  # noqa: N802
        self, request: user_pb2.ExportUserDataRequest, _caller: Caller
    ) -> AsyncGenerator[user_pb2.ExportUserDataResponse, None]:
        """Table by table from one snapshot; the first one is the account, without which there is nothing."""
        found = False
        steps = [export(user_id=request.user_id) for export in self._exports.values()]
        async with aclosing(self._database.stream(*steps)) as batches:
            async for query, rows in batches:
                if not found and query != steps[0].statement.name:
                    break
                found = True
                for records in _portions(row.record for row in rows):
                    yield user_pb2.ExportUserDataResponse(table=query.removeprefix(_PREFIX), records=records)
        if not found:
            raise errors.user_not_found(request.user_id)


def _hindrance(end: queries.GetEndRow) -> Refusal:
    """Why a user who lives was not deleted."""
    if end.coins_held:
        return errors.call_live()
    return errors.withdrawal_open() if end.earnings_held else errors.earnings_left(end.earnings_available)


def _portions(records: Iterable[str]) -> Iterator[list[Struct]]:
    """Records of JSON as a message's worth of them at a time."""
    portion: list[Struct] = []
    room = _CHARACTERS
    for record in records:
        if portion and len(record) > room:
            yield portion
            portion, room = [], _CHARACTERS
        struct = Struct()
        struct.update(json.loads(record))
        portion.append(struct)
        room -= len(record)
    if portion:
        yield portion
