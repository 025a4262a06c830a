"""`banter serve`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from banter_grpc.cli.failures import CommandError
from banter_grpc.cli.options import DataDir, Host, Port, ServiceUrl

if TYPE_CHECKING:
    from banter_grpc.cli.targets import Target
    from banter_grpc.config import Settings
    from banter_grpc.workers.supervisor import Plan


def serve(
    host: Host = None,
    port: Port = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="PORT",
            help="Port of the Prometheus metrics. Default: BANTER_METRICS_PORT, else none.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Processes. Default: BANTER_WORKERS, else one per core, as far as connections reach.",
            show_default=False,
        ),
    ] = None,
    reflection: Annotated[
        bool, typer.Option("--reflection", help="Describe the services to anybody who asks (BANTER_REFLECTION).")
    ] = False,
    migrate: Annotated[
        bool, typer.Option("--migrate", help="Apply migrations first, by BANTER_MIGRATION_DATABASE_URL.")
    ] = False,
    data_dir: DataDir = None,
    database_url: ServiceUrl = None,
) -> None:
    """Serve in production, until SIGTERM or Ctrl-C; then calls in flight are finished.

    BANTER_DATABASE_URL (the service's), BANTER_ISSUERS and BANTER_PHONE_HASH_KEY must be set. A database whose
    migrations are not those of this program is refused, and so is one that may lose what it has committed.

    Its workers share one port. One that dies is replaced at once; SIGHUP replaces all of them, one by one, by what is
    installed then.
    """
    from banter_grpc.cli.environment import settings
    from banter_grpc.cli.places import find_url, folder

    found = settings(
        host=host,
        port=port,
        metrics_port=metrics_port,
        workers=workers,
        reflection=reflection or None,
        data_dir=data_dir,
    )
    url = find_url(database_url, data_dir, found.database_url)
    if url is None and found.data_dir is None:
        raise CommandError("serve needs a database: set BANTER_DATABASE_URL (banter dev brings its own)")
    if not found.issuers:
        raise CommandError("serve needs to know whose tokens to accept: set BANTER_ISSUERS, as the README shows")
    if found.phone_hash_key is None:
        raise CommandError(
            "serve needs a key to remember phone numbers by: set BANTER_PHONE_HASH_KEY to a secret of 32 characters or"
            " more, and never change it"
        )
    if migrate and url is not None and found.migration_database_url is None:
        raise CommandError("--migrate needs the database's owner: set BANTER_MIGRATION_DATABASE_URL")
    from banter_grpc.cli.targets import embedded, given

    with given(url) if url else embedded(folder(data_dir, found)) as target:
        service_url = _prepare(target, found, migrate=migrate)
        from banter_grpc.cli.running import run
        from banter_grpc.workers.supervisor import Supervisor

        plan = _plan(found, service_url)
        run(found, target.embedded, lambda log: Supervisor(plan, log).run())


def _plan(settings: Settings, url: str) -> Plan:
    """So many workers as were asked for, or as there are cores; refused if the database has no room for them."""
    from banter_grpc.database import access
    from banter_grpc.workers.supervisor import Plan

    # One more during a replacement.
    room = access.free_connections(url) // settings.connections - 1
    count = settings.workers or max(1, min(os.cpu_count() or 1, room))
    if room < count:
        raise CommandError(
            f"{count} workers of {settings.connections} connections, and one more while they are replaced, are more"
            " than the database has room for: raise its max_connections, or lower BANTER_WORKERS or BANTER_CONNECTIONS"
        )
    return Plan(
        workers=count,
        host=settings.host,
        port=settings.port,
        metrics_port=settings.metrics_port,
        settings={"host": settings.host, "reflection": settings.reflection, "database_url": url},
        drain=settings.drain_delay + settings.drain + 5.0,
    )


def _prepare(target: Target, settings: Settings, *, migrate: bool) -> str:
    """Migrate if asked to, and refuse a database that can't be served from; its URL for the service."""
    from banter_grpc.cli.targets import require_migrated
    from banter_grpc.database import access
    from banter_grpc.database.migrations import Migrations
    from banter_grpc.database.roles import SERVICE

    url = target.embedded.url(SERVICE) if target.embedded else target.url
    owner = target.url if target.embedded else settings.migration_database_url
    if migrate and owner is not None:
        Migrations().up(owner if isinstance(owner, str) else owner.get_secret_value())
    require_migrated(url)
    unsafe = [] if settings.database_test else access.unsafe_settings(url)
    if unsafe:
        raise CommandError(
            f"the database may lose what it has committed: switch {', '.join(unsafe)} on (or set BANTER_DATABASE_TEST"
            " for a test)"
        )
    return url
