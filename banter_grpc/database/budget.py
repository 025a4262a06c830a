"""How one process divides its connections to the database: nothing else opens any."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Way = Literal["lanes", "pool"]

_BESIDE: Final = 2
"""One listens for notifications, one is for jobs."""


class Budget(NamedTuple):
    """Connections of each kind; those that listen and work on jobs come to it."""

    read_lanes: int
    write_lanes: int
    pool: int


def divide(connections: int, read_lanes: int, write_lanes: int, way: Way) -> Budget:
    """The pool gets what lanes, listening and jobs leave of all `connections`.

    By the way of the pool there are no lanes. Raises `ValueError` when that does not work out.
    """
    lanes = read_lanes + write_lanes if way == "lanes" else 0
    if connections < lanes + _BESIDE + 1:
        kinds = f"{read_lanes} read lanes, {write_lanes} write lanes, " if lanes else ""
        raise ValueError(
            f"{connections} connections are too few: {kinds}1 for the pool, 1 that listens and 1 for jobs make"
            f" {lanes + _BESIDE + 1}"
        )
    return Budget(read_lanes if lanes else 0, write_lanes if lanes else 0, connections - lanes - _BESIDE)
