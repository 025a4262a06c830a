"""What a query module is made of: statements, and the steps of a unit.

A *unit* is one or more steps that go to the database together: one network round trip, one implicit transaction,
committed as a whole or rolled back as a whole. Each step sees what the steps before it did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Generic, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Way(Enum):
    """How a statement reaches the database."""

    SHARED = auto()
    """Short: it may share a connection with other callers' statements."""
    OWN = auto()
    """Long, streamed, or to die with its caller: it has a connection of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Statement(Generic[T_co]):
    """One named query, a constant of its module.

    `sql` has ``$1`` placeholders, each cast in the text; parameters travel as text and results come binary.
    `row` makes a row of the tuple of its values. `answer` makes what the caller gets of the rows and of how many
    were returned or affected. `repeatable` says that running it twice has the effect of running it once, so that it
    may be sent again when the connection broke before the answer; what does not write is always repeatable.
    `collides` are the unique keys whose violation means that another unit has just done the same thing: the unit is
    sent again, and finds it done.
    """

    name: str
    sql: str
    row: Callable[[Sequence[Any]], Any]
    answer: Callable[[Sequence[Any], int], T_co]
    way: Way
    writes: bool
    repeatable: bool
    collides: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Step(Generic[T_co]):
    """A statement with its parameters. Not frozen only because that would double the cost of making one."""

    statement: Statement[T_co]
    parameters: Sequence[object]


def first_or_none(rows: Sequence[T], _: int) -> T | None:
    """The answer of a ``:one`` query: its row, or None for no row."""
    return rows[0] if rows else None


def all_rows(rows: Sequence[T], _: int) -> list[T]:
    """The answer of a ``:many`` query: its rows."""
    return list(rows)


def row_count(_: Sequence[object], count: int) -> int:
    """The answer of an ``:exec`` query: how many rows it returned or affected."""
    return count
