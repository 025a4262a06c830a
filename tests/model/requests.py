"""What requests are made of, whichever operation they are for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.model.calls import METHODS, Call, Seen
from tests.model.choices import Choose
from tests.support import contract

NOBODY: Final = "00000000-0000-7000-8000-0000000f00d5"
"""A user, a withdrawal or a transaction that there is not."""

AMOUNTS: Final = [1, 2, 7, 50, 100, 250, 1000, 2500]


def amount(choose: Choose, seen: Seen) -> int:
    """A number of coins: some, or about as many as somebody has."""
    return choose(AMOUNTS + seen.balances())


def no_other(_choose: Choose, _seen: Seen, _call: Call) -> Call | None:
    """Without a key there is nothing to say otherwise."""
    return None


def reused(draw: Callable[[Choose, Seen], Call | None]) -> Callable[[Choose, Seen, Call], Call | None]:
    """Another request of an operation, by the same user and with the same `request_id`."""

    def alter(choose: Choose, seen: Seen, call: Call) -> Call | None:
        other = draw(choose, seen)
        if other is None:
            return None
        request = other.request
        request.request_id = call.request.request_id
        return Call.of(call.rpc, call.actor, request)

    return alter


def promised(rpc: str, *not_by_a_walk: str) -> frozenset[str]:
    """Every way in which an RPC can end, by its contract, but for those to which no walk over states comes."""
    return frozenset(contract.promised_reasons(METHODS[rpc]) | {""}) - set(not_by_a_walk)
