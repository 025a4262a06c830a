"""`banter ledger ...`."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from banter_grpc.cli.failures import CommandError
from banter_grpc.cli.options import DataDir, ServiceUrl

if TYPE_CHECKING:
    from banter_grpc.ledger import Discrepancy, Progress
    from banter_grpc.seals import Seal

BROKEN = 3
"""Exit status of a verification that was made and found discrepancies: neither an error nor a senseless command."""

_Shown = Callable[["Progress"], None]


def verify(
    user: Annotated[UUID | None, typer.Option(metavar="ID", help="Only what concerns this user.")] = None,
    seal: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare with this seal, too; BANTER_SEAL_KEY is its key.")
    ] = None,
    data_dir: DataDir = None,
    database_url: ServiceUrl = None,
) -> None:
    """Verify the ledger: print every row that breaks a rule of it.

    It may run while the service works. The exit status is 0 if the ledger is whole, 3 if it is not, and 1 if that could
    not be found out.
    """
    import asyncio

    from banter_grpc import seals
    from banter_grpc.cli.targets import as_service, require_migrated

    trusted = seals.trusted(seal, _key()) if seal else None
    with as_service(database_url, data_dir) as target:
        require_migrated(target.url)
        rows, discrepancies = asyncio.run(_verify(target.url, str(user) if user else None, trusted))
    if trusted is not None:
        print(f"compared with the seal of {trusted.time}: {trusted.wallets} wallets")
    if discrepancies:
        noun = "discrepancy" if discrepancies == 1 else "discrepancies"
        print(f"the ledger is not whole: {discrepancies} {noun} in {rows} rows")
        raise typer.Exit(BROKEN)
    print(f"the ledger is whole: {rows} rows")


def seal(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, outside the database's reach.")],
    data_dir: DataDir = None,
    database_url: ServiceUrl = None,
) -> None:
    """Write a signed file that says where the history of each wallet ends now; banter ledger verify --seal compares.

    It finds out who wrote that history anew, which verify alone can't. BANTER_SEAL_KEY signs it: a secret of 32
    characters or more that whoever administers the database does not know.
    """
    import asyncio

    from banter_grpc.cli.targets import as_service, require_migrated

    key = _key()
    with as_service(database_url, data_dir) as target:
        require_migrated(target.url)
        wallets = asyncio.run(_seal(target.url, file, key))
    print(f"wrote {file}: {wallets} wallets")


async def _verify(url: str, user_id: str | None, seal: Seal | None) -> tuple[int, int]:
    """How many rows were looked at, and how many discrepancies found and printed."""
    from banter_grpc import ledger, seals
    from banter_grpc.cli.connected import connected
    from banter_grpc.database.queries import wallet_ledger as queries

    async with connected(url) as database:
        if user_id and await database.run(queries.find_anybody(user_id=user_id)) is None:
            raise CommandError(f"there is no user {user_id}: check the id")
        with _progress() as show:
            rows, found = await _follow(ledger.verify(database, user_id), show)
            if seal is not None:
                found += (await _follow(seals.compare(database, seal, user_id), show))[1]
    return rows, found


async def _follow(events: AsyncGenerator[Progress | Discrepancy], show: _Shown) -> tuple[int, int]:
    from banter_grpc.ledger import Discrepancy

    rows = found = 0
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Discrepancy):
                found += 1
                print(event)
            else:
                rows = event.total
                show(event)
    return rows, found


async def _seal(url: str, file: Path, key: bytes) -> int:
    """How many wallets were sealed."""
    from banter_grpc import seals
    from banter_grpc.cli.connected import connected
    from banter_grpc.ledger import Progress

    wallets = 0
    async with connected(url) as database, aclosing(seals.write(database, file, key)) as counts:
        with _progress() as show:
            async for wallets in counts:
                show(Progress("wallets", wallets, 0, wallets))
    return wallets


def _key() -> bytes:
    from banter_grpc.cli.environment import settings

    key = settings().seal_key
    if key is None:
        raise CommandError("seals need BANTER_SEAL_KEY: set it to a secret of 32 characters or more")
    return key.get_secret_value().encode()


@contextmanager
def _progress() -> Generator[_Shown]:
    """What shows how far a check is: a bar on a terminal, else a line for each check that is done."""
    if sys.stderr.isatty():
        with _bar() as show:
            yield show
        return
    last: list[Progress] = []

    def keep(now: Progress) -> None:
        if last and last[0].check != now.check:
            _print(last[0])
        last[:] = [now]

    yield keep
    for now in last:
        _print(now)


@contextmanager
def _bar() -> Generator[_Shown]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True, soft_wrap=True, highlight=False)  # a row's name is to be copied in one piece
    with Bars(*columns, console=console, redirect_stdout=sys.stdout.isatty(), transient=True) as bars:

        def show(now: Progress) -> None:
            if [now.check] != [task.description for task in bars.tasks]:
                for done in bars.task_ids:
                    bars.remove_task(done)
                bars.add_task(now.check, total=now.estimate or None)
            bars.update(bars.task_ids[0], completed=now.rows, total=now.estimate or None)

        yield show


def _print(done: Progress) -> None:
    print(f"{done.check}: {done.rows} rows")
