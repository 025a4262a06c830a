"""What is made: one step per table. A new table's step is a function from a person to his rows, and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from banter_grpc.seeding.people import Person

Row = Sequence[object]


class Step(NamedTuple):
    """The rows of a table. Ids in them come from `Person.draws`, so that the same rows come of the same seed."""

    table: str
    columns: Sequence[str]
    rows: Callable[[Person], Iterable[Row]]
    owners: Sequence[str] = ("user_id",)
    """The columns that name people: rows of somebody who is not there any more are left out."""


_COLUMNS: Final = tuple(name for name in Person._fields if name not in ("seed", "number"))


def _users(person: Person) -> Iterable[Row]:
    yield person[2:]


USERS: Final = Step("users", _COLUMNS, _users, owners=())

STEPS: Final = (USERS,)
"""In the order in which their tables refer to each other."""
