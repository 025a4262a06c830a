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


@contextmanager
def progress(what: str, total: int) -> Generator[Callable[[int], None]]:
    """Show how many of `total` are done, as the given function is told: a bar on a terminal, else a line per tenth."""
    if not sys.stderr.isatty():
        yield _tenths(what, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def _tenths(what: str, total: int) -> Callable[[int], None]:
    shown = 0

    def tell(done: int) -> None:
        nonlocal shown
        if done * 10 // total > shown:
            shown = done * 10 // total
            print(f"{done:,} of {total:,} {what}", flush=True)

    return tell


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
