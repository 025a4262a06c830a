"""Makes people, batch by batch: each batch is there whole or not at all, and who is there already stays as he is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from banter_grpc.database.bulk import bulk
from banter_grpc.seeding.people import ADMIN, ADMIN_PHONE_NUMBER, END, FIRST_PHONE_NUMBER, person, uuid7
from banter_grpc.seeding.steps import STEPS, Step, grants

BATCH: Final = 10_000

_STRANGERS: Final = """
SELECT count(*) FROM (
    SELECT FROM users
    WHERE id >= %s::uuid AND delete_time IS NULL AND phone_number <> ALL(%s::text[])
    LIMIT 1
) AS strangers
"""


class Outcome(NamedTuple):
    """What a run did."""

    added: Mapping[str, int]
    """Rows by table."""
    left_out: int
    """People who were not made because somebody else has their phone number, username or e-mail."""


def seed(
    url: str,
    users: int,
    seed: int,
    *,
    steps: Sequence[Step] = STEPS,
    done: Callable[[int], None] = lambda _: None,
    batch: int = BATCH,
) -> Outcome:
    """Make people 0 to `users` - 1 of a seed, and the admin, as the owner of the database.

    `done` is told after each batch how many of them are there. Whatever interrupts it, the next run makes the rest.
    Raises `DatabaseError` and `RoleError`.
    """
    added: Counter[str] = Counter()
    left_out = 0
    with bulk(url) as database:
        for first in range(0, users, batch):
            last = min(first + batch, users)
            numbers = [*([ADMIN] if first == 0 else []), *range(first, last)]
            people = [person(seed, number) for number in numbers]
            with database.batch():
                for step in steps:
                    rows = (row for each in people for row in step.rows(each))
                    added[step.table] += database.add(step.table, step.columns, rows, living=step.owners)
                added["transactions"] += database.grant(grants(people))
                left_out += database.absent("users", "id", [each.id for each in people])
            done(last)
        database.analyze([table for table, number in added.items() if number])
    return Outcome(added, left_out)


def has_strangers(url: str) -> bool:
    """Whether somebody lives in this database whom neither `seed` nor `banter dev` made."""
    first = uuid7(int(END.timestamp() * 1000), 0)
    with bulk(url) as database:
        return bool(database.number(_STRANGERS, first, [ADMIN_PHONE_NUMBER, FIRST_PHONE_NUMBER]))
