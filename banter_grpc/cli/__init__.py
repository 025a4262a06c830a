"""The `banter` command: one module per group of commands, which put together what other packages do.

Heavy modules are imported inside the commands, so that `banter --help` answers at once.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence

import typer

from banter_grpc.cli import (
    config,
    contract,
    dev,
    jobs,
    ledger,
    migrate,
    psql,
    queries,
    seed,
    serve,
    token,
    user,
    version,
)

HELP = """The backend of a social audio/video platform: gRPC services on PostgreSQL.

[bold]banter dev[/bold] needs nothing: it starts a PostgreSQL of its own, makes an admin and a user, and prints lines to
call it with. [bold]banter serve[/bold] is for production: it takes its database and its issuers from the environment.

Settings are environment variables BANTER_*; [bold]banter config[/bold] shows them all. A command that needs a database
uses the embedded one in --data-dir, unless --database-url or the environment names another.

An error is one line on standard error; the exit status is then 1, or 2 for a command that makes no sense."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    # What libraries say beside our one line helps nobody; a server's log takes it over.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # grpc's fork handlers crash children that change their account, as PostgreSQL's do when root starts it.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        return application()(args=arguments, prog_name="banter", standalone_mode=False) or 0
    except BrokenPipeError:  # whoever read us has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        from banter_grpc.cli.failures import tell

        return tell(error)


def application() -> typer.Typer:
    """The command with all of its subcommands."""
    app = _group(HELP, "banter dev", "banter token --phone +919876543210", "banter migrate status")
    _add(app, dev.dev, "Serve", "banter dev", "banter dev --port 0 --data-dir /tmp/banter")
    _add(app, serve.serve, "Serve", "banter serve --host 0.0.0.0 --metrics-port 9464", "banter serve --migrate")
    app.add_typer(_migrate(), name="migrate", rich_help_panel="Database")
    _add(app, seed.seed, "Database", "banter seed", "banter seed --users 100000 --seed 7")
    _add(app, psql.psql, "Database", "banter psql", "banter psql -- -c 'SELECT count(*) FROM users'")
    work = _group("What servers do by the clock.", "banter jobs list")
    work.command("list", help=_flowing(jobs.show.__doc__ or ""), epilog=_epilog(["banter jobs list"]))(jobs.show)
    _add(work, jobs.run, None, "banter jobs run purge_read_notifications")
    app.add_typer(work, name="jobs", rich_help_panel="Database")
    books = _group("Whether coins are all there.", "banter ledger verify", "banter ledger seal 2026-11-23.seal")
    _add(books, ledger.verify, None, "banter ledger verify", "banter ledger verify --seal 2026-11-23.seal")
    _add(books, ledger.seal, None, "banter ledger seal 2026-11-23.seal")
    app.add_typer(books, name="ledger", rich_help_panel="Database")
    people = _group("Change what accounts may do.", "banter user role 01990a2b-5c1e-7d3f-8a4b-0123456789ab admin")
    _add(people, user.role, None, "banter user role 01990a2b-5c1e-7d3f-8a4b-0123456789ab moderator")
    app.add_typer(people, name="user", rich_help_panel="People")
    examples = ("TOKEN=$(banter token --phone +919876543210)", "banter token --service push --ttl 30d")
    _add(app, token.token, "People", *examples)
    shared = _group("The contract, for other teams.", "banter contract export ../clients/banter")
    _add(shared, contract.export, None, "banter contract export ../clients/banter")
    app.add_typer(shared, name="contract", rich_help_panel="Development")
    modules = _group("Typed modules made from sql/.", "banter queries generate --check")
    _add(modules, queries.generate, None, "banter queries generate", "banter queries generate --check")
    app.add_typer(modules, name="queries", rich_help_panel="Development")
    _add(app, config.config, "About", "banter config", "BANTER_PORT=50052 banter config | grep PORT")
    _add(app, version.version, "About", "banter version")
    return app


def _migrate() -> typer.Typer:
    app = _group("Bring a database's schema forward or back.", "banter migrate up", "banter migrate status")
    _add(app, migrate.up, None, "banter migrate up", "banter migrate up --database-url postgresql://owner@db/banter")
    _add(app, migrate.down, None, "banter migrate down", "banter migrate down 2")
    _add(app, migrate.status, None, "banter migrate status")
    _add(app, migrate.new, None, "banter migrate new add_rooms")
    return app


def _group(text: str, *examples: str) -> typer.Typer:
    return typer.Typer(
        help=_flowing(text),
        epilog=_epilog(examples),
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def _add(app: typer.Typer, command: Callable[..., None], panel: str | None, *examples: str) -> None:
    app.command(help=_flowing(command.__doc__ or ""), epilog=_epilog(examples), rich_help_panel=panel)(command)


def _flowing(text: str) -> str:
    """The paragraphs without line ends, so that they are wrapped as wide as the terminal is."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _epilog(examples: Sequence[str]) -> str:
    title = "Examples" if len(examples) > 1 else "Example"
    return "\n".join([f"[bold]{title}[/bold]", *(f"$ {example}" for example in examples)])
