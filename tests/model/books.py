"""The ledger as it has to be: whole numbers, and one rule for moving them. It knows nothing of SQL or of the server.

Everything that it knows is a fact under a key, and every change can be taken back: the checker of histories tries many
orders.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Final, NamedTuple

WALLETS: Final = ("coins", "earnings")


class ContradictionError(AssertionError):
    """What the server said can't be, whatever the rest of its answer says."""


class Wallet(NamedTuple):
    """What a wallet holds; `version` counts its entries."""

    available: int = 0
    held: int = 0
    version: int = 0


class Leg(NamedTuple):
    """`amount` changes the account, `held` the held part of it."""

    user: str
    account: str
    amount: int
    held: int = 0


class Movement(NamedTuple):
    """A transaction. Legs of system accounts carry the user whom they are about; so they need no wallet."""

    kind: str
    user: str
    total: int
    subject: str
    legs: frozenset[tuple[str, str, int]]


class Books:
    """Facts by key, and a journal of their changes. Keys and values are hashable and never change themselves."""

    def __init__(self) -> None:
        self._facts: dict[tuple[Hashable, ...], Any] = {}
        self._journal: list[tuple[tuple[Hashable, ...], Any]] = []
        self.sum = 0
        """The same for the same facts, whichever way they came about."""

    def get(self, *key: Hashable) -> Any:
        """The fact under a key; None if there is none."""
        return self._facts.get(key)

    def put(self, value: Hashable, *key: Hashable) -> None:
        """Set the fact under a key; None removes it."""
        before = self._facts.get(key)
        self._journal.append((key, before))
        self._set(key, value)

    def mark(self) -> int:
        """A point to which `undo` goes back."""
        return len(self._journal)

    def undo(self, mark: int) -> None:
        """Take back everything since a mark."""
        while len(self._journal) > mark:
            self._set(*self._journal.pop())

    def since(self, mark: int) -> Iterator[tuple[tuple[Hashable, ...], Any]]:
        """The facts that have changed since a mark, as they are now."""
        return ((key, self._facts.get(key)) for key, _ in self._journal[mark:])

    def of(self, kind: str) -> Iterator[tuple[tuple[Hashable, ...], Any]]:
        """The facts whose key begins so, with the rest of their keys."""
        return ((key[1:], value) for key, value in list(self._facts.items()) if key[0] == kind)

    def open(self, user: str, **traits: Hashable) -> None:
        """A new user with empty wallets."""
        if self.get("user", user) is not None:
            raise ContradictionError(f"{user} is there already, and can't be new")
        self.put(True, "user", user)
        for kind in WALLETS:
            self.put(Wallet(), "wallet", user, kind)
        for name, value in traits.items():
            self.put(value, name, user)

    def lives(self, user: str) -> bool:
        """Whether there is such a user, who was not erased."""
        return self.get("user", user) is True

    def wallet(self, user: str, kind: str) -> Wallet:
        """A user's wallet."""
        return self.get("wallet", user, kind)

    def hold(self, user: str, kind: str, coins: int) -> None:
        """Hold coins that are available; a negative number frees them."""
        wallet = self.wallet(user, kind)
        self.put(wallet._replace(available=wallet.available - coins, held=wallet.held + coins), "wallet", user, kind)

    def post(self, name: str, kind: str, user: str, *legs: Leg, subject: str = "") -> None:
        """A transaction of this name, with all of its legs; those of nothing are left out."""
        if self.get("movement", name) is not None:
            raise ContradictionError(f"transaction {name} was there before, and can't be new")
        moved = [leg for leg in legs if leg.amount]
        assert sum(leg.amount for leg in moved) == 0, "the model itself is balanced"
        total = sum(leg.amount for leg in moved if leg.amount > 0)
        self.put(Movement(kind, user, total, subject, frozenset(leg[:3] for leg in moved)), "movement", name)
        self.put(self.get("now"), "time", name)
        for leg in moved:
            if leg.account in WALLETS:
                self._move(name, leg)

    def _move(self, name: str, leg: Leg) -> None:
        old = self.wallet(leg.user, leg.account)
        new = Wallet(old.available + leg.amount - leg.held, old.held + leg.held, old.version + 1)
        assert min(new) >= 0, "the model itself owes nothing"
        self.put(new, "wallet", leg.user, leg.account)
        self.put(new.version, "place", name, leg.user, leg.account)

    def _set(self, key: tuple[Hashable, ...], value: Any) -> None:
        self.sum ^= hash((key, self._facts.get(key))) ^ hash((key, value))
        if value is None:
            self._facts.pop(key, None)
        else:
            self._facts[key] = value
