"""New users and their grant, what they have, and what they buy."""

from __future__ import annotations

from typing import Final

from banter.v1 import user_pb2, wallet_pb2
from google.protobuf.message import Message

from tests.model.books import Books, Leg
from tests.model.calls import Call, Operation, Outcome, Seen, moved
from tests.model.choices import Choose
from tests.model.requests import NOBODY, amount, no_other, promised
from tests.support.harness import new_phone_number

SIGNUP_GRANT: Final = 100
_MOST_PEOPLE: Final = 6


def _draw_user(choose: Choose, seen: Seen) -> Call | None:
    new = [""] if len(seen.people) < _MOST_PEOPLE else []
    if not new and not seen.phones:
        return None
    phone = choose(new + seen.phones)
    if not phone:
        phone = new_phone_number()
        seen.phones.append(phone)
    return Call.of("FindOrCreateUser", "", user_pb2.FindOrCreateUserRequest(phone_number=phone, full_name="Asha Rao"))


def _find_or_create_user(books: Books, call: Call, named: Message) -> Outcome:
    answer = user_pb2.FindOrCreateUserResponse()
    answer.CopyFrom(named)
    phone = call.request.phone_number
    known = books.get("phone", phone)
    answer.created = known is None
    if known is None:
        known = answer.user.user_id
        books.open(known)
        books.put(known, "phone", phone)
        grant_signup(books, known, phone)
    answer.user.user_id = known
    answer.user.phone_number = phone
    return Outcome.of(answer)


def grant_signup(books: Books, user: str, phone: str) -> None:
    """The coins of a new user, once for his phone number. No answer names the transaction, so its user does."""
    if books.get("granted", phone) is None:
        books.put(True, "granted", phone)
        legs = [Leg(user, "coins", SIGNUP_GRANT), Leg(user, "promotions", -SIGNUP_GRANT)]
        books.post(f"signup_grant/{user}", "signup_grant", user, *legs)


def _alter_user(choose: Choose, seen: Seen, call: Call) -> Call | None:
    """The other name of somebody who is there changes nothing."""
    request = call.request
    request.full_name = choose(["Ravi", "Meera"])
    return Call.of(call.rpc, call.actor, request)


def _draw_wallet(choose: Choose, seen: Seen) -> Call | None:
    user = choose([*seen.people, NOBODY])
    actor = choose(["", user]) if user != NOBODY else ""
    return Call.of("GetWallet", actor, wallet_pb2.GetWalletRequest(user_id=user))


def _get_wallet(books: Books, call: Call, _named: Message) -> Outcome:
    user = call.request.user_id
    if not books.lives(user):
        return Outcome.refused("USER_NOT_FOUND")
    coins, earnings = books.wallet(user, "coins"), books.wallet(user, "earnings")
    return Outcome.of(
        wallet_pb2.GetWalletResponse(
            wallet=wallet_pb2.Wallet(
                user_id=user,
                coins=wallet_pb2.Balance(available=coins.available, held=coins.held),
                earnings=wallet_pb2.Balance(available=earnings.available, held=earnings.held),
            )
        )
    )


def _draw_purchase(choose: Choose, seen: Seen) -> Call | None:
    request = wallet_pb2.PurchaseCoinsRequest(
        user_id=choose([*seen.people, NOBODY]), provider="tests", payment_id=seen.new_id(), coins=amount(choose, seen)
    )
    return Call.of("PurchaseCoins", "", request)


def _purchase_coins(books: Books, call: Call, named: Message) -> Outcome:
    request = call.request
    user, key = request.user_id, ("payment", request.provider, request.payment_id)
    prior = books.get(*key)
    if prior is not None:
        same = prior[0] == (user, request.coins)
        return prior[1] if same else Outcome.refused("PAYMENT_CREDITED_OTHERWISE")
    if not books.lives(user):
        return Outcome.refused("USER_NOT_FOUND")
    name = named.transaction
    legs = [Leg(user, "coins", request.coins), Leg(user, "payment_provider", -request.coins)]
    books.post(name.transaction_id, "purchase", user, *legs)
    shown = moved(books, name, "purchase", user, "coins", request.coins)
    outcome = Outcome.of(wallet_pb2.PurchaseCoinsResponse(transaction=shown))
    books.put(((user, request.coins), outcome), *key)
    return outcome


def _alter_purchase(choose: Choose, seen: Seen, call: Call) -> Call | None:
    request = call.request
    if choose([True, False]):
        request.coins = request.coins % 10**9 + 1
    else:
        request.user_id = choose([user for user in seen.people if user != request.user_id])
    return Call.of(call.rpc, call.actor, request)


OPERATIONS: Final = (
    Operation("FindOrCreateUser", _draw_user, _find_or_create_user, _alter_user, frozenset({""})),
    Operation("GetWallet", _draw_wallet, _get_wallet, no_other, promised("GetWallet")),
    Operation("PurchaseCoins", _draw_purchase, _purchase_coins, _alter_purchase, promised("PurchaseCoins")),
)
