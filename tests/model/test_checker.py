"""The checker of histories finds what is wrong: each of these was written by hand, and lies in one thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from banter.v1 import user_pb2, wallet_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from tests.model.basics import grant_signup
from tests.model.books import Books
from tests.model.calls import Call, Outcome
from tests.model.erasure import forfeit_of
from tests.model.history import Event, InexplicableError, explain

USER = "00000000-0000-7000-8000-000000000001"


@dataclass
class Story:
    """What is told of a user who begins with his grant of 100 coins; times are chosen by the teller."""

    books: Books = field(default_factory=Books)
    events: list[Event] = field(default_factory=list)
    places: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.books.open(USER)
        grant_signup(self.books, USER, "+919812345678")
        self.places[f"signup_grant/{USER}", USER, "coins"] = 1

    def buys(self, begin: float, end: float, coins: int, *, after: int, name: str, payment: str = "") -> None:
        """He is told that a payment (by default of the movement's name) made his balance `after`."""
        movement = wallet_pb2.Transaction(
            transaction_id=name,
            user_id=USER,
            wallet=wallet_pb2.WALLET_KIND_COINS,
            kind=wallet_pb2.TRANSACTION_KIND_PURCHASE,
            amount=coins,
            balance_after=after,
            create_time=Timestamp(seconds=1),
        )
        outcome = Outcome.of(wallet_pb2.PurchaseCoinsResponse(transaction=movement))
        self.events.append(Event(_purchase(payment or name, coins), outcome, begin, end))

    def is_refused(self, begin: float, end: float, coins: int, *, payment: str) -> None:
        """He is told that the payment was credited otherwise."""
        outcome = Outcome.refused("PAYMENT_CREDITED_OTHERWISE")
        self.events.append(Event(_purchase(payment, coins), outcome, begin, end))

    def looks(self, begin: float, end: float, coins: int) -> None:
        """He is told that he has so many coins."""
        wallet = wallet_pb2.Wallet(
            user_id=USER, coins=wallet_pb2.Balance(available=coins), earnings=wallet_pb2.Balance()
        )
        call = Call.of("GetWallet", USER, wallet_pb2.GetWalletRequest(user_id=USER))
        self.events.append(Event(call, Outcome.of(wallet_pb2.GetWalletResponse(wallet=wallet)), begin, end))

    def is_erased(self, begin: float, end: float) -> None:
        """A service is told that he is gone, with all that he had."""
        call = Call.of("DeleteUser", "", user_pb2.DeleteUserRequest(user_id=USER))
        outcome = Outcome.of(user_pb2.DeleteUserResponse(delete_time=Timestamp(seconds=1)))
        self.events.append(Event(call, outcome, begin, end))
        self.chain(forfeit_of(USER))

    def looks_in_vain(self, begin: float, end: float, reason: str) -> None:
        """He is told this, and nothing of his coins."""
        call = Call.of("GetWallet", USER, wallet_pb2.GetWalletRequest(user_id=USER))
        self.events.append(Event(call, Outcome.refused(reason), begin, end))

    def chain(self, *names: str) -> None:
        """The versions of his coins after the grant, as the database has them."""
        self.places |= {(name, USER, "coins"): version for version, name in enumerate(names, 2)}

    def explained(self) -> list[Event]:
        return explain(self.books, self.events, self.places)


def _purchase(payment: str, coins: int) -> Call:
    request = wallet_pb2.PurchaseCoinsRequest(user_id=USER, provider="tests", payment_id=payment, coins=coins)
    return Call.of("PurchaseCoins", "", request)


def test_what_overlaps_may_have_been_in_any_order() -> None:
    story = Story()
    story.buys(0, 9, 10, after=130, name="a")
    story.buys(1, 8, 20, after=120, name="b")
    story.looks(2, 7, 100)
    story.looks(2, 7, 130)
    story.looks(3, 6, 120)
    story.buys(4, 5, 20, after=120, name="b")
    story.is_refused(4, 9, 21, payment="b")
    story.chain("b", "a")
    told = [event.outcome.answer(event.call) for event in story.explained() if event.call.rpc == "GetWallet"]
    assert [answer.wallet.coins.available for answer in told] == [100, 120, 130]
    assert story.books.wallet(USER, "coins").available == 130


def test_who_was_let_in_before_he_was_erased_may_be_found_missing() -> None:
    story = Story()
    story.is_erased(1, 4)
    story.looks(0, 2, 100)
    story.looks_in_vain(3, 9, "USER_NOT_FOUND")
    story.looks_in_vain(3, 9, "CALLER_UNKNOWN")
    story.looks_in_vain(5, 6, "CALLER_UNKNOWN")
    assert len(story.explained()) == 5


def test_what_was_there_before_is_named_again_at_any_time() -> None:
    story = Story()
    story.buys(0, 1, 10, after=110, name="a")
    story.chain("a")
    books, again = story.books, story.events[0]
    story.explained()
    story.buys(2, 3, 20, after=130, name="b")
    story.chain("a", "b")
    explain(books, [story.events[1], again._replace(begin=4, end=5)], story.places)


def lost_update(story: Story) -> None:
    story.buys(0, 2, 10, after=110, name="a")
    story.buys(1, 3, 20, after=120, name="b")
    story.chain("a", "b")


def doubled(story: Story) -> None:
    story.buys(0, 2, 10, after=110, name="a", payment="one")
    story.buys(1, 3, 10, after=120, name="b", payment="one")
    story.chain("a", "b")


def stale_refusal(story: Story) -> None:
    story.is_refused(0, 1, 11, payment="a")
    story.buys(2, 3, 10, after=110, name="a")
    story.chain("a")


def stale_read(story: Story) -> None:
    story.buys(0, 1, 10, after=110, name="a")
    story.looks(2, 3, 100)
    story.chain("a")


def read_from_the_future(story: Story) -> None:
    story.looks(0, 1, 110)
    story.buys(2, 3, 10, after=110, name="a")
    story.chain("a")


def reads_that_go_back(story: Story) -> None:
    story.buys(0, 9, 10, after=110, name="a")
    story.looks(1, 2, 110)
    story.looks(3, 4, 100)
    story.chain("a")


def versions_against_time(story: Story) -> None:
    story.buys(0, 1, 10, after=130, name="a")
    story.buys(2, 3, 20, after=120, name="b")
    story.chain("b", "a")


def acknowledged_and_not_there(story: Story) -> None:
    story.buys(0, 1, 10, after=110, name="a")


def there_and_not_asked_for(story: Story) -> None:
    story.buys(0, 1, 10, after=110, name="a")
    story.chain("a", "b")


def place_of_another(story: Story) -> None:
    story.buys(0, 3, 10, after=110, name="a")
    story.buys(1, 2, 20, after=130, name="b")
    story.chain("b", "a")


def let_in_after_he_was_erased(story: Story) -> None:
    story.is_erased(0, 1)
    story.looks_in_vain(2, 3, "USER_NOT_FOUND")


def unknown_before_he_was_erased(story: Story) -> None:
    story.looks_in_vain(0, 1, "CALLER_UNKNOWN")
    story.is_erased(2, 3)


def erased_and_not_forfeited(story: Story) -> None:
    story.is_erased(0, 1)
    del story.places[forfeit_of(USER), USER, "coins"]


LIES = {
    let_in_after_he_was_erased: "was told USER_NOT_FOUND\n.* the books say CALLER_UNKNOWN",
    unknown_before_he_was_erased: "was told CALLER_UNKNOWN\n.* the books say .* available: 100 ",
    erased_and_not_forfeited: "an order of 0 of 1 calls can be found",
    lost_update: "was told .* balance_after: 120 .*\n.* the books say .* balance_after: 130 ",
    doubled: "was told .* balance_after: 120 .*\n.* the books say .* balance_after: 110 ",
    stale_refusal: "was told PAYMENT_CREDITED_OTHERWISE\n.* the books say .* balance_after: 111 ",
    stale_read: "was told .* available: 100 .*\n.* the books say .* available: 110 ",
    read_from_the_future: "was told .* available: 110 .*\n.* the books say .* available: 100 ",
    reads_that_go_back: "was told .* available: 100 .*\n.* the books say .* available: 110 ",
    versions_against_time: "these movements come each before the next one: .*'a'",
    acknowledged_and_not_there: "were acknowledged, and are not there: {'a'}",
    there_and_not_asked_for: "nobody asked for them: {'b'}",
    place_of_another: "an order of 0 of 2 calls can be found",
}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__.replace("_", " "))
def test_it_finds(lie: Callable[[Story], None]) -> None:
    story = Story()
    lie(story)
    with pytest.raises(InexplicableError, match=LIES[lie]):
        story.explained()
