"""Every operation on money, as the tests of money know it.

What a request may be, given what a client knows; what has to come of it, in whole numbers; and the same key with
another payload. A new RPC that moves coins is one more entry in a module's list, and the state machine, the histories,
the duplicates and the crashes have it.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

from tests.model import basics, bonuses, erasure, refunds, statements, subscriptions, withdrawals
from tests.model.books import Books
from tests.model.calls import Call, Outcome, Seen

_MODULES: Final = (basics, erasure, bonuses, withdrawals, subscriptions, refunds, statements)
OPERATIONS: Final = {operation.rpc: operation for module in _MODULES for operation in module.OPERATIONS}
"""By the RPC's name."""


def _of(*modules: ModuleType) -> list[str]:
    return [operation.rpc for module in modules for operation in module.OPERATIONS]


THEMES: Final = (
    list(OPERATIONS),
    _of(subscriptions, refunds, erasure, basics),
    _of(withdrawals, erasure, refunds, bonuses),
)
"""What a program may be about: of fewer operations it comes further with each."""


def agree(books: Books, seen: Seen, call: Call, outcome: Outcome) -> None:
    """What came of a call is what the books say; it has its effect on them, and is remembered."""
    operation = OPERATIONS[call.rpc]
    wanted = operation.outcome(books, call, outcome.answer(call))
    if outcome.again and outcome != wanted:  # its effect was there when the answer was made
        wanted = operation.outcome(books, call, outcome.answer(call))
    assert outcome.told(call) == wanted.told(call), call
    assert outcome == wanted
    seen.learn(call, outcome)
