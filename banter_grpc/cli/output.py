"""What commands show while they work, and their tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext


def working(text: str) -> AbstractContextManager[object]:
    """Show on a terminal that something takes its time."""
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(f"{text} ...")


@contextmanager
def counting(text: str) -> Generator[Callable[[int], None]]:
    """Show on a terminal how much is done: what the context gives is told of it."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{text} ...") as status:
        yield lambda count: status.update(f"{text}: {count} done ...")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: for people on a terminal, else its rows with tabs, for programs."""
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(row))
        return
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(*columns, box=SIMPLE)
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    Console().print(made)
