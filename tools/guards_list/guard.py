"""What a guard is, and the ways to take one out."""

from __future__ import annotations

from typing import NamedTuple


class Sql(NamedTuple):
    """The guard is in the schema: this statement, the last of all migrations, takes it out."""

    statement: str


class Text(NamedTuple):
    """The guard is a text in a file of the checkout: `old`, which is there so often as is said, becomes `new`."""

    path: str
    old: str
    new: str
    times: int = 1


class Guard(NamedTuple):
    """A guard, named as the schema names it or in words, and the ids of the tests that fail without it."""

    name: str
    out: Sql | Text
    tests: tuple[str, ...]


def out_of(path: str, *found: tuple[str, str, str, str]) -> tuple[Guard, ...]:
    """Guards in the text of one file: the name, the text, what stands there without it, and the test that fails."""
    return tuple(Guard(name, Text(path, old, new), (test,)) for name, old, new, test in found)
