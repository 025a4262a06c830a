"""`banter jobs ...`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from banter_grpc.cli.failures import CommandError
from banter_grpc.cli.options import DataDir, ServiceUrl
from banter_grpc.cli.output import counting, table

if TYPE_CHECKING:
    from banter_grpc.jobs.job import Job

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def show() -> None:
    """Say of each job how often it runs and what it does."""
    from banter_grpc.jobs.registry import JOBS

    table(("job", "every", "what it does"), [(job.name, _spoken(job.every), job.about) for job in JOBS])


def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which one, as banter jobs list has it.")],
    data_dir: DataDir = None,
    database_url: ServiceUrl = None,
) -> None:
    """Do now all that a job finds to do, and say how much that was.

    Safe beside servers that run jobs, and any number of times.
    """
    import asyncio

    from banter_grpc.cli.targets import as_service, require_migrated
    from banter_grpc.jobs.registry import JOBS

    job = next((each for each in JOBS if each.name == name), None)
    if job is None:
        raise CommandError(f"there is no job {name}: choose one of {', '.join(each.name for each in JOBS)}")
    with as_service(database_url, data_dir) as target:
        require_migrated(target.url)
        items = asyncio.run(_run(target.url, job))
    print(f"{job.name}: {items} done")


async def _run(url: str, job: Job) -> int:
    """Run it to its end; nothing but the person at the keyboard limits its time."""
    from banter_grpc.cli.connected import connected
    from banter_grpc.jobs.job import run_to_end

    with counting(job.name) as done:
        async with connected(url, statement_timeout=None) as database:
            return await run_to_end(job, database, done)


def _spoken(seconds: float) -> str:
    for size, unit in _UNITS:
        if seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
