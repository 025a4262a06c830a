"""WalletService: what hosts get beside what they are paid."""

from __future__ import annotations

import datetime
import re
from typing import Final, Protocol

from banter.v1 import wallet_pb2

from banter_grpc import money, values
from banter_grpc.database.database import Database
from banter_grpc.database.queries import caller as caller_queries
from banter_grpc.database.queries import wallet as wallet_queries
from banter_grpc.database.queries import wallet_bonuses as queries
from banter_grpc.encoding import encode_transaction
from banter_grpc.errors import user as user_errors
from banter_grpc.errors import user_hosts as host_errors
from banter_grpc.errors import wallet_bonuses as errors
from banter_grpc.pages import Pages
from banter_grpc.rpc.caller import Caller

_PERIOD: Final = re.compile(r"(?P<year>[0-9]{4})-(W(?P<week>[0-9]{2})|(?P<month>[0-9]{2})(-(?P<day>[0-9]{2}))?)")


class BonusHandler:
    """Awards and lists bonuses."""

    def __init__(self, database: Database, pages: Pages) -> None:
        self._database = database
        self._pages = pages

    async def AwardBonus(  # noqa: N802
        self, request: wallet_pb2.AwardBonusRequest, caller: Caller
    ) -> wallet_pb2.AwardBonusResponse:
        """Host, rule and period are the key: a bonus that is there already is the answer, if it is this one."""
        check_period(request.period)
        _, row, user = await self._database.run(
            wallet_queries.lock_wallet(user_id=request.user_id, kind="earnings"),
            queries.award_bonus(
                user_id=request.user_id,
                rule=request.rule,
                period=request.period,
                coins=request.coins,
                transaction_id=money.transaction_id("bonus", request.user_id.lower(), request.rule, request.period),
                actor_id=caller.actor,
            ),
            caller_queries.find_caller_by_user_id(user_id=request.user_id),
            key=request.user_id,
        )
        if row is None:
            raise (
                user_errors.user_not_found(request.user_id)
                if user is None
                else host_errors.host_not_approved(request.user_id)
            )
        if row.coins != request.coins:
            raise errors.bonus_awarded_otherwise()
        transaction = encode_transaction(
            wallet="earnings",
            kind="bonus",
            user_id=row.user_id,
            transaction_id=row.transaction_id,
            amount=row.coins,
            balance_after=row.balance_after,
            create_time=row.create_time,
        )
        return wallet_pb2.AwardBonusResponse(bonus=_bonus(row), transaction=transaction)

    async def ListBonuses(  # noqa: N802
        self, request: wallet_pb2.ListBonusesRequest, caller: Caller
    ) -> wallet_pb2.ListBonusesResponse:
        """A walk down the index of the host's bonuses."""
        page = self._pages.open(request, caller.actor_id, values.NEWEST)
        before_time, before_id = page.cursor
        rows = await self._database.run(
            queries.list_bonuses(
                user_id=request.user_id, before_time=int(before_time), before_id=str(before_id), count=page.limit
            )
        )
        shown, token = page.cut(rows, lambda row: (row.create_time, row.transaction_id))
        return wallet_pb2.ListBonusesResponse(bonuses=[_bonus(row) for row in shown], next_page_token=token)


def check_period(text: str) -> None:
    """Raise `Refusal` (BONUS_PERIOD_INVALID) unless there is such a day, month or week of ISO 8601."""
    match = _PERIOD.fullmatch(text)
    if match is None:
        raise errors.bonus_period_invalid()
    year = int(match["year"])
    try:
        if match["week"] is not None:
            datetime.date.fromisocalendar(year, int(match["week"]), 1)
        else:
            datetime.date(year, int(match["month"]), int(match["day"] or 1))
    except ValueError:
        raise errors.bonus_period_invalid() from None


class _Awarded(Protocol):
    """The columns of a bonus."""

    @property
    def user_id(self) -> str: ...
    @property
    def rule(self) -> str: ...
    @property
    def period(self) -> str: ...
    @property
    def coins(self) -> int: ...
    @property
    def transaction_id(self) -> str: ...
    @property
    def create_time(self) -> int: ...


def _bonus(row: _Awarded) -> wallet_pb2.Bonus:
    bonus = wallet_pb2.Bonus(
        user_id=row.user_id, rule=row.rule, period=row.period, coins=row.coins, transaction_id=row.transaction_id
    )
    values.set_timestamp(bonus.create_time, row.create_time)
    return bonus
