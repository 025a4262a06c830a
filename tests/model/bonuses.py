"""What hosts get beside what they are paid."""

from __future__ import annotations

from typing import Final

from banter.v1 import wallet_pb2
from google.protobuf.message import Message

from tests.model.books import Books, Leg
from tests.model.calls import Call, Operation, Outcome, Seen, moved
from tests.model.choices import Choose
from tests.model.requests import NOBODY, amount, promised
from tests.model.times import stamp


def _draw_bonus(choose: Choose, seen: Seen) -> Call | None:
    request = wallet_pb2.AwardBonusRequest(
        user_id=choose([*seen.hosts * 4, *seen.people, NOBODY]),
        rule=f"rule-{seen.new_id()}",
        period=choose(["2026-W47"] * 8 + ["2026-W54"]),
        coins=choose([1000, amount(choose, seen)]),
    )
    return Call.of("AwardBonus", choose(["", *seen.admins]), request)


def _award_bonus(books: Books, call: Call, named: Message) -> Outcome:
    request = call.request
    user, key = request.user_id, ("bonus", request.user_id, request.rule, request.period)
    if request.period == "2026-W54":
        return Outcome.refused("BONUS_PERIOD_INVALID")
    prior = books.get(*key)
    if prior is not None:
        return prior[1] if prior[0] == request.coins else Outcome.refused("BONUS_AWARDED_OTHERWISE")
    if not books.lives(user):
        return Outcome.refused("USER_NOT_FOUND")
    if not books.get("host", user):
        return Outcome.refused("HOST_NOT_APPROVED")
    name = named.transaction
    legs = [Leg(user, "earnings", request.coins), Leg(user, "promotions", -request.coins)]
    books.post(name.transaction_id, "bonus", user, *legs)
    bonus = wallet_pb2.Bonus(
        user_id=user,
        rule=request.rule,
        period=request.period,
        coins=request.coins,
        transaction_id=name.transaction_id,
        create_time=stamp(books, name.create_time),
    )
    movement = moved(books, name, "bonus", user, "earnings", request.coins)
    outcome = Outcome.of(wallet_pb2.AwardBonusResponse(bonus=bonus, transaction=movement))
    books.put((request.coins, outcome), *key)
    return outcome


def _alter_bonus(_choose: Choose, _seen: Seen, call: Call) -> Call | None:
    request = call.request
    request.coins = request.coins % 10**9 + 1
    return Call.of(call.rpc, call.actor, request)


OPERATIONS: Final = (Operation("AwardBonus", _draw_bonus, _award_bonus, _alter_bonus, promised("AwardBonus")),)
